"""Records that ClickHouse refuses: each is one dead letter, and nothing else is disturbed."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import clickhouse_connect
import pytest
from clickhouse_connect.driver.exceptions import ClickHouseError
from confluent_kafka import Message, Producer

from scoreline.kafka import client_options
from scoreline.settings import Settings
from scoreline.topics import declare_groups, declare_topics
from scoreline_sink.clickhouse import ClickHouse
from scoreline_sink.letters import raw_offset
from scoreline_sink.plan import decode
from tests.running_pipeline import Pipeline, start
from tests.sinks.scoreline_sink.conftest import StartSink
from tests.sinks.scoreline_sink.dying_sink import KILLED, UNANSWERED
from tests.sinks.scoreline_sink.records import behind, committed, encoded, enriched, stored
from tests.sinks.scoreline_sink.test_sink import assert_ends, owned
from tests.support import Running, environment, eventually, headers_of, lag, read_topic

log = logging.getLogger(__name__)

SECRET = "swordfish"
BROKEN: Mapping[str, bytes | None] = {
    "no value": None,
    "an array": b"[" + encoded(enriched(1, comment=SECRET)) + b"]",
    "two objects": encoded(enriched(1, comment=SECRET)) * 2,
    "a bad date": encoded(enriched(1, comment=SECRET, raw_partition=3)).replace(b"2026-", b"x"),
    "cut short": encoded(enriched(1, comment=SECRET))[:-40],
    "cut short before a brace": encoded(enriched(1, metadata={"a": SECRET}))[:-300] + b"}",
    "something behind it": encoded(enriched(1, comment=SECRET)) + b"x}",
    "coordinates of its own": encoded(enriched(1, comment=SECRET))[:-1] + b',"src_offset":7}',
    "no name": encoded(enriched(1, name="", comment=SECRET, raw_partition=3)),
}


def write(settings: Settings, topic: str, records: list[tuple[int, bytes | None, bytes | None]]) -> None:
    """Put (partition, key, value) on a topic, each with a header that says which it is."""
    producer = Producer(client_options(settings, linger_ms=5))
    for number, (partition, key, value) in enumerate(records):
        producer.produce(topic, value, key, partition, headers=[("n", b"%d\xff" % number), ("empty", b"")])
    assert producer.flush(30) == 0


def letters(settings: Settings) -> list[Message]:
    """What stands on the topic of rejected records."""
    return read_topic(settings, declare_topics(settings).rejected.name)


def await_settled(settings: Settings) -> None:
    """The sink has stored or rejected all of enriched, and stored all of rejected."""
    topics, groups = declare_topics(settings), declare_groups(settings)
    eventually(lambda: behind(settings) == 0, "the sink has committed all of enriched")
    eventually(lambda: lag(settings, groups.sink_rejected, topics.rejected.name) == 0, "and all of rejected")
    assert not any(position.metadata for position in committed(settings))


def raw_record(number: int, value: object) -> tuple[int, bytes, bytes]:
    """Partition, key and value of a raw record."""
    event = {"score_id": f"s-{number}", "name": "n", "value": value, "trace_id": "t", "comment": "ä\n"}
    return number % 4, b"default/s-%d" % number, json.dumps(event, ensure_ascii=False).encode()


def test_refused_scores_go_back_to_their_senders_and_all_adds_up(
    settings: Settings, pipeline: ClickHouse, tmp_path: Path
) -> None:
    """What the worker made comes back as it was sent, what others wrote as it stands; nothing else moves."""
    pipeline.query(f"ALTER TABLE {pipeline.database}.scores ADD CONSTRAINT no_seven CHECK value IS NULL OR value != 7")
    topics = declare_topics(settings)
    raw = [raw_record(n, 7 if n % 25 == 3 else n / 8 + 100) for n in range(200)]
    refused = {number for number in range(200) if number % 25 == 3}
    with start(settings, tmp_path, "worker") as worker, start(settings, tmp_path, "sink") as sink:
        running = Pipeline(settings, worker.await_ready(), sink.await_ready())
        sink.stop()
        write(settings, topics.raw.name, raw[:150])
        eventually(lambda: lag(settings, declare_groups(settings).worker, topics.raw.name) == 0, "the worker has all")
        a_copy = next(m for m in read_topic(settings, topics.enriched.name) if m.partition() == 2)
        forged = (a_copy.value() or b"").replace(b'"timestamp":"2', b'"timestamp":"x')
        foreign = [(n % 4, None, value) for n, value in enumerate(BROKEN.values())] + [(2, a_copy.key(), forged)]
        write(settings, topics.enriched.name, foreign)
        write(settings, topics.raw.name, [*raw[150:], raw[3]])
        with start(settings, tmp_path, "sink") as again:
            again.await_ready()
            running.drain()
            report = json.loads(running.run("reconcile", "--json"))
            found = letters(settings)
            assert stored(pipeline) == (192, 192, 192)
            assert (report["ok"], report["raw"], report["stored"]) == (True, 201, 192)
            assert (report["rejected"], report["duplicate"]) == (8, 1)
            assert again.stop() == 0
            assert SECRET not in again.log
    of_raw = [message for message in found if headers_of(message)["scoreline.topic"] == topics.raw.name.encode()]
    of_enriched = [message for message in found if message not in of_raw]
    assert sorted((m.partition(), m.key(), m.value()) for m in of_raw) == sorted(raw[n] for n in refused)
    for message in of_raw:
        headers = headers_of(message)
        assert headers["n"].endswith(b"\xff")
        assert (headers["empty"], headers["scoreline.partition"]) == (b"", b"%d" % (message.partition() or 0))
        assert (headers["scoreline.reason"], headers["scoreline.stage"]) == (b"refused_by_store", b"store")
        assert headers["scoreline.detail"].startswith(b"VIOLATED_CONSTRAINT (code 469) in no_seven; ")
    sent = Counter((partition, key, value) for partition, key, value in foreign)
    assert Counter((m.partition(), m.key(), m.value()) for m in of_enriched) == sent
    assert {headers_of(m)["scoreline.topic"] for m in of_enriched} == {topics.enriched.name.encode()}
    rows = pipeline.query(
        "SELECT raw_topic, raw_partition, raw_offset, hex(value), reason, stage, project, score_id "
        f"FROM {pipeline.database}.rejected_scores"
    )
    assert len(rows) == len(found)
    assert {row[4:6] for row in rows} == {("refused_by_store", "store")}
    expected = {(topics.raw.name, n % 4, n // 4, raw[n][2].hex().upper(), f"s-{n}") for n in refused}
    assert {(*row[:4], row[7]) for row in rows if row[0] == topics.raw.name} == expected


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_record_costs_its_neighbours_nothing(
    settings: Settings, pipeline: ClickHouse, start_sink: StartSink, kind: str
) -> None:
    """The rows before and behind it are stored once, and the record is a letter as it stood on enriched."""
    values = [encoded(enriched(5)), BROKEN[kind], encoded(enriched(6))]
    write(settings, declare_topics(settings).enriched.name, [(2, b"the key", value) for value in values])
    sink = start_sink()
    await_settled(settings)
    (letter,) = letters(settings)
    assert (letter.partition(), letter.key(), letter.value()) == (2, b"the key", BROKEN[kind])
    headers = headers_of(letter)
    assert (headers["n"], headers["scoreline.offset"]) == (b"1\xff", b"1")
    assert headers["scoreline.topic"] == declare_topics(settings).enriched.name.encode()
    assert stored(pipeline) == (2, 2, 2)
    assert sink.stop() == 0
    assert SECRET not in sink.log + headers["scoreline.detail"].decode()


def spread(settings: Settings) -> None:
    """Twenty good records and four bad ones, over all partitions."""
    bad = [None, b"[]", encoded(enriched(100, name="")), encoded(enriched(101)).replace(b"2026-", b"x")]
    good = [encoded(enriched(n)) for n in range(20)]
    records = [(n % 4, b"k", value) for n, value in enumerate([*good[:8], *bad, *good[8:]])]
    write(settings, declare_topics(settings).enriched.name, records)


def assert_spread_settled(settings: Settings, pipeline: ClickHouse) -> None:
    await_settled(settings)
    assert stored(pipeline) == (20, 20, 20)
    origins = [(m.partition(), int(headers_of(m)["scoreline.offset"])) for m in letters(settings)]
    assert sorted(origins) == [(0, 2), (1, 2), (2, 2), (3, 2)]
    assert pipeline.query(f"SELECT count() FROM {pipeline.database}.rejected_scores") == [(4,)]


def dying(settings: Settings, step: str, log: Path) -> subprocess.Popen[bytes]:
    """A sink that does not survive `step`."""
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.sinks.scoreline_sink.dying_sink", step],
            env=environment(settings.model_copy(update={"instance_id": "one", "session_timeout_s": 6.0})),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )


@pytest.mark.parametrize("step", KILLED)
def test_killed_around_the_dead_letters_it_writes_each_once(
    settings: Settings, pipeline: ClickHouse, start_sink: StartSink, tmp_path: Path, step: str
) -> None:
    """The successor finds the plan and does the rest, or finds it ended."""
    spread(settings)
    log = tmp_path / "dying.log"
    assert dying(settings, step, log).wait(60) == -9, log.read_text()
    was_ended = not any(position.metadata for position in committed(settings))
    assert was_ended is (step == "after the commit")
    sink = start_sink(instance_id="one")
    assert_spread_settled(settings, pipeline)
    assert sink.stop() == 0


@pytest.mark.parametrize("step", UNANSWERED)
def test_an_unanswered_transaction_is_settled_in_place(
    settings: Settings, pipeline: ClickHouse, tmp_path: Path, step: str
) -> None:
    """The committed offsets tell whether it happened; the sink goes on without a restart."""
    spread(settings)
    log = tmp_path / "dying.log"
    sink = dying(settings, step, log)
    try:
        assert_spread_settled(settings, pipeline)
        write(settings, declare_topics(settings).enriched.name, [(1, b"k", encoded(enriched(200)))])
        await_settled(settings)
        assert stored(pipeline)[0] == 21
        sink.terminate()
        assert sink.wait(60) == 0
        assert log.read_text().count("plans to settle") >= 3
    finally:
        sink.kill()


@contextmanager
def held(pipeline: ClickHouse, token: str) -> Iterator[None]:
    """While something runs on the server under a plan's token, nobody can insert that plan."""
    query_id = f"{pipeline.database}:{token}"
    sql = "SELECT count() FROM (SELECT sleepEachRow(0.1) FROM numbers(3000)) SETTINGS max_block_size = 1"
    host, port, user = pipeline.server.split(":")[0], pipeline.server.split(":")[1], pipeline.user
    holder = clickhouse_connect.get_client(host=host, port=int(port), username=user, autogenerate_session_id=False)
    released = threading.Event()

    def hold() -> None:
        while not released.is_set():
            try:
                holder.command(sql, settings={"query_id": query_id})
            except ClickHouseError as error:
                log.warning("nothing holds %s: %s", token, error)

    def is_released() -> bool:
        pipeline.query(f"KILL QUERY WHERE query_id = '{query_id}' SYNC")
        return not thread.is_alive()

    thread = threading.Thread(target=hold)
    thread.start()
    running = f"SELECT count() FROM system.processes WHERE query_id = '{query_id}' AND query LIKE '%sleepEachRow%'"
    eventually(lambda: pipeline.query(running) == [(1,)], "the token is taken")
    try:
        yield
    finally:
        released.set()
        eventually(is_released, "the token is free")


def test_two_owners_of_one_plan_answer_for_their_own_partitions(
    settings: Settings, pipeline: ClickHouse, start_sink: StartSink, tmp_path: Path
) -> None:
    """Both settle the whole plan, and each writes the letters of what it owns."""
    spread(settings)
    output = tmp_path / "dying.log"
    assert dying(settings, "before the narrowed insert", output).wait(60) == -9, output.read_text()
    (plan,) = {decode(position.metadata) for position in committed(settings) if position.metadata}
    assert len(plan.ranges) == 4
    with held(pipeline, plan.token(declare_topics(settings).enriched.name)):
        sinks = [start_sink(name, session_timeout_s=6.0) for name in ("first", "second")]
        eventually(lambda: all(len(owned(sink)) == 2 for sink in sinks), "each has half")
    assert_spread_settled(settings, pipeline)
    assert [sink.stop() for sink in sinks] == [0, 0]
    wrote = [sink.log.count("it goes to scores.rejected") for sink in sinks]
    assert wrote == [2, 2]


def test_too_many_refused_records_stop_the_sink(
    settings: Settings, pipeline: ClickHouse, start_sink: StartSink
) -> None:
    """So many mean a table that does not fit; nothing is lost, and the message says both ways out."""
    topic = declare_topics(settings).enriched.name
    write(settings, topic, [(1, None, encoded(enriched(n, name="" if n else "n"))) for n in range(4)])
    stopped: Running = start_sink("first", refused_rows_max=2)
    assert_ends(stopped, "more than 2 records .* is_a_score.* scoreline migrate.* SCORELINE_REFUSED_ROWS_MAX")
    assert letters(settings) == []
    start_sink("second", refused_rows_max=3)
    await_settled(settings)
    assert (len(letters(settings)), stored(pipeline)[0]) == (3, 1)


def test_a_dead_letter_that_is_refused_stops_the_sink(
    settings: Settings, pipeline: ClickHouse, start_sink: StartSink
) -> None:
    """One of it would be refused as well, without end."""
    pipeline.query(f"ALTER TABLE {pipeline.database}.rejected_scores ADD CONSTRAINT named CHECK name != ''")
    write(settings, declare_topics(settings).rejected.name, [(3, None, b"{")])
    assert_ends(start_sink(), "partition 3 offset 0: ClickHouse refuses the row for rejected_scores: .* never end")
    assert len(letters(settings)) == 1


@pytest.mark.parametrize(
    ("value", "offset"),
    [
        (b'{"raw_partition":2,"raw_offset":7}', 7),
        (b'{"raw_partition":1,"raw_offset":7}', None),
        (b'{"raw_partition":2,"raw_offset":-1}', None),
        (b'{"raw_partition":2,"raw_offset":true}', None),
        (b'{"raw_partition":2,"raw_offset":9223372036854775808}', None),
        (b'{"raw_partition":2}', None),
        (b"[2]", None),
        (b"{", None),
        (None, None),
    ],
)
def test_a_raw_offset_is_read_only_where_it_can_be_one(value: bytes | None, offset: int | None) -> None:
    """Anybody may have written the record; a letter must not point at somebody else's."""
    assert raw_offset(value, 2) == offset
