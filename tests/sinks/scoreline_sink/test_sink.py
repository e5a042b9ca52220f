"""The sink as a process, on real Kafka and real ClickHouse."""

from __future__ import annotations

import json
import random
import re
import signal
import time
from threading import Event, Thread
from typing import Any, Self

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from scoreline.kafka import client_options
from scoreline.rejections import Origin, Reason, Rejection, rejection_headers
from scoreline.settings import Settings
from scoreline.topics import declare_groups, declare_topics
from scoreline_sink.clickhouse import ClickHouse
from scoreline_sink.plan import decode_all
from tests.conftest import Stack
from tests.sinks.scoreline_sink.conftest import StartSink
from tests.sinks.scoreline_sink.records import Writer, behind, committed, encoded, enriched, rolled_up, stored, values
from tests.sinks.scoreline_sink.server import clickhouse_process, restart
from tests.support import Running, eventually, produce

pytestmark = pytest.mark.usefixtures("pipeline")


def await_stored(pipeline: ClickHouse, settings: Settings, count: int) -> None:
    """Everything is in the table once, in every rollup, and nothing is left to read."""
    eventually(lambda: behind(settings) == 0, "the sink has committed all of enriched")
    assert stored(pipeline) == (count, count, count)
    assert set(rolled_up(pipeline).values()) == {count}


def test_a_score_arrives_with_every_field(settings: Settings, pipeline: ClickHouse, start_sink: StartSink) -> None:
    """Exact numbers, exact times, text as it was; what is absent is empty or NULL."""
    texts = "label config_id observation_id session_id dataset_run_id author service environment release"
    texts += " evaluator_name evaluator_version evaluator_model error"
    full: dict[str, Any] = {name: f"the {name}" for name in texts.split()} | {
        "normalized": 1 / 3,
        "config_version": 7,
        "comment": "\u2028 'quoted' \"and\" \\ \U0001f600",
        "raw_partition": 3,
        "raw_offset": 2**40,
        "timestamp": "2026-03-01T12:00:00.123456Z",
        "received_at": "2026-03-01T13:00:00.001Z",
        "metadata": {"text": "x", "number": 1.5, "yes": True, "none": None, "deep": {"a": [1, {"b": None}]}},
    }
    numbers = [0.1, -0.0, 5e-324, 1.7976931348623157e308, 2.0**53, 1 / 3, 123456789.123456789]
    scores = [enriched(0, **full), *(enriched(1 + n, value=number) for n, number in enumerate(numbers))]
    Writer(settings).commit([encoded(score) for score in scores])
    start_sink()
    await_stored(pipeline, settings, len(scores))
    row = json.loads(
        pipeline.query(
            "SELECT formatRowNoNewline('JSONEachRow', * EXCEPT (inserted_at), delay_s, late) "
            f"FROM {pipeline.database}.scores WHERE score_id = 'id-0' "
            "SETTINGS output_format_json_quote_64bit_integers = 0"
        )[0][0]
    )
    expected: dict[str, Any] = json.loads(encoded(scores[0])) | {
        "timestamp": "2026-03-01 12:00:00.123456",
        "received_at": "2026-03-01 13:00:00.001000",
        "delay_s": 3599.877544,
        "metadata": {"text": "x", "number": "1.5", "yes": "true", "none": "", "deep": '{"a":[1,{"b":null}]}'},
        "src_partition": 0,
        "src_offset": 0,
    }
    assert row == expected
    kept = pipeline.query(f"SELECT value FROM {pipeline.database}.scores WHERE score_id != 'id-0' ORDER BY raw_offset")
    assert [repr(value) for (value,) in kept] == [repr(number) for number in numbers]
    absent = pipeline.query(
        "SELECT label, normalized, config_id, config_version, session_id, comment, metadata, author "
        f"FROM {pipeline.database}.scores WHERE score_id = 'id-1'"
    )
    assert absent == [("", None, "", 0, "", "", {}, "")]


def test_a_dead_letter_arrives_as_it_came(settings: Settings, pipeline: ClickHouse, start_sink: StartSink) -> None:
    """Bytes, headers and the worker's verdict."""
    topic, bytes_of_all_kinds = declare_topics(settings).rejected.name, bytes(range(256))
    verdict = rejection_headers(Rejection(Reason.MALFORMED_JSON, "broken"), Origin("raw", 2, 77, 1_790_000_000_123))
    producer = Producer(client_options(settings))
    producer.produce(topic, bytes_of_all_kinds, b"team/1", 1, headers=[("trace", bytes_of_all_kinds), *verdict])
    producer.produce(topic, None, None, 1)
    assert producer.flush(30) == 0
    start_sink()
    count = f"SELECT count() FROM {pipeline.database}.rejected_scores"
    eventually(lambda: pipeline.query(count) == [(2,)], "dead letters are stored")
    rows = pipeline.query(
        "SELECT hex(value), hex(key), headers[1].1, hex(headers[1].2), reason, detail, stage, project, score_id, "
        "raw_topic, raw_partition, raw_offset, toUnixTimestamp64Milli(raw_timestamp), src_partition, src_offset, "
        f"now() - rejected_at < 60 FROM {pipeline.database}.rejected_scores ORDER BY src_offset"
    )
    hexed = bytes_of_all_kinds.hex().upper()
    assert rows[0] == (
        hexed, b"team/1".hex().upper(), "trace", hexed, "malformed_json", "broken", "validate", "team", "1",
        "raw", 2, 77, 1_790_000_000_123, 1, 0, 1,
    )  # fmt: skip
    assert rows[1][:9] == (None, None, "", None, "", "", "", "", "")


def test_what_was_taken_back_is_never_seen_and_leaves_no_lag(
    settings: Settings, pipeline: ClickHouse, start_sink: StartSink
) -> None:
    """Aborted records are skipped, and the control records behind the last row are committed too."""
    writer = Writer(settings)
    writer.commit(list(values(0, 99)))
    writer.abort(list(values(100, 199)))
    start_sink().await_ready()
    await_stored(pipeline, settings, 100)
    writer.abort(list(values(200, 299)))
    await_stored(pipeline, settings, 100)
    writer.commit(list(values(300, 300)))
    await_stored(pipeline, settings, 101)


def test_a_field_of_a_later_release_stops_nothing(
    settings: Settings, pipeline: ClickHouse, start_sink: StartSink
) -> None:
    """In a rolling upgrade the worker may be ahead of the sink."""
    Writer(settings).commit([encoded(enriched(n))[:-1] + b',"later":{"a":[1]},"flag":true}' for n in range(5)])
    start_sink()
    await_stored(pipeline, settings, 5)


class Load:
    """Records that keep coming, every fifth transaction preceded by one that is taken back."""

    STEP = 100

    def __init__(self, settings: Settings) -> None:
        self.written = 0
        self._writer, self._stopped = Writer(settings), Event()
        self._thread = Thread(target=self._write, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join(60)

    def _write(self) -> None:
        while not self._stopped.wait(0.02):
            records = list(values(self.written, self.written + self.STEP - 1))
            if self.written // self.STEP % 5 == 0:
                self._writer.abort(records)
            self._writer.commit(records)
            self.written += self.STEP


def test_a_sink_that_is_killed_at_any_moment_loses_and_doubles_nothing(
    settings: Settings, pipeline: ClickHouse, start_sink: StartSink
) -> None:
    """Eight kills under load, most of them with a plan in flight; the next start settles it."""
    chance = random.Random(20261123)
    with Load(settings) as load:
        for kill in range(8):
            sink = start_sink(f"sink-{kill}", instance_id="one", insert_linger_s=0.01).await_ready()
            time.sleep(chance.random() * 0.25)
            sink.kill()
    last = start_sink("last", instance_id="one").await_ready()
    await_stored(pipeline, settings, load.written)
    assert last.stop() == 0


def test_clickhouse_killed_under_load_costs_nothing_but_time(
    stack: Stack, settings: Settings, pipeline: ClickHouse, start_sink: StartSink
) -> None:
    """The sink waits, says so, and settles what was in doubt."""
    sink = start_sink(insert_linger_s=0.01).await_ready()
    with Load(settings) as load:
        for _ in range(2):
            restart(stack, pipeline)
    await_stored(pipeline, settings, load.written)
    assert "waiting: ClickHouse at" in sink.log
    assert sink.stop() == 0


def test_an_insert_that_is_never_answered_is_settled(
    stack: Stack, settings: Settings, pipeline: ClickHouse, start_sink: StartSink
) -> None:
    """A server that stands still takes what was sent to it later: after the sink has given it up, and asked again."""
    sink = start_sink(insert_linger_s=0.01, insert_timeout_s=1.0).await_ready()
    server, writer = clickhouse_process(stack), Writer(settings)
    server.suspend()
    try:
        writer.commit(list(values(0, 2999)))
        eventually(lambda: "waiting: ClickHouse at" in sink.log, "the sink waits for the server")
    finally:
        server.resume()
    await_stored(pipeline, settings, 3000)
    assert sink.stop() == 0


def test_clickhouse_away_at_the_start_is_waited_for(
    stack: Stack, settings: Settings, pipeline: ClickHouse, start_sink: StartSink
) -> None:
    """With a message that names it; then the sink goes on by itself."""
    server = clickhouse_process(stack)
    Writer(settings).commit(list(values(0, 9)))
    server.suspend()
    try:
        sink = start_sink(insert_timeout_s=1.0)
        eventually(lambda: "SCORELINE_CLICKHOUSE_HOST" in sink.log, "the sink says what it waits for")
        assert not sink.ready_file.exists()
    finally:
        server.resume()
    sink.await_ready()
    await_stored(pipeline, settings, 10)


def owned(sink: Running) -> set[int]:
    """Partitions of enriched that a sink was last assigned."""
    found = re.findall(r"scores\.enriched: assigned partitions \[([0-9, ]*)\]", sink.log)
    return {int(p) for p in found[-1].split(",") if p.strip()} if found else set()


def test_two_sinks_share_the_partitions(settings: Settings, pipeline: ClickHouse, start_sink: StartSink) -> None:
    """One joins and leaves under load, one is killed; each record is stored by one of them."""

    def start(name: str) -> Running:
        return start_sink(name, insert_linger_s=0.01, session_timeout_s=6.0).await_ready()

    first = start("first")
    with Load(settings) as load:
        second = start("second")
        eventually(lambda: len(owned(first)) == len(owned(second)) == 2, "each has half")
        assert owned(first) | owned(second) == {0, 1, 2, 3}
        assert second.stop() == 0
        eventually(lambda: len(owned(first)) == 4, "the first has all again")
        third = start("third")
        first.kill()
    await_stored(pipeline, settings, load.written)
    assert third.stop() == 0


def test_rows_that_were_read_and_not_planned_are_left_to_the_next_owner(
    settings: Settings, pipeline: ClickHouse, start_sink: StartSink
) -> None:
    """A rebalance drops them; both members read their partitions from what is committed."""
    first = start_sink("first", insert_linger_s=4.0).await_ready()
    Writer(settings).commit(list(values(0, 99)))
    second = start_sink("second", insert_linger_s=0.01)
    eventually(lambda: len(owned(first)) == len(owned(second)) == 2, "each has half")
    await_stored(pipeline, settings, 100)


def plans(settings: Settings) -> list[str]:
    """Commit metadata of every partition."""
    return [position.metadata or "" for position in committed(settings)]


def test_a_stopped_sink_commits_what_it_stored(
    stack: Stack, settings: Settings, pipeline: ClickHouse, start_sink: StartSink
) -> None:
    """Told to stop while an insert runs, it waits for its end: exit status 0, and nothing to settle for the next."""
    sink = start_sink().await_ready()
    server = clickhouse_process(stack)
    server.suspend()
    try:
        Writer(settings).commit(list(values(0, 999)))
        eventually(lambda: any(plans(settings)), "an insert is planned")
        (planned,) = {plan.rows for text in plans(settings) for plan in decode_all(text)}
        sink.process.send_signal(signal.SIGINT)
    finally:
        server.resume()
    assert sink.process.wait(60) == 0
    assert not sink.ready_file.exists()
    assert not any(plans(settings))
    assert stored(pipeline) == (planned, planned, planned)


def test_two_open_plans_of_a_killed_sink_are_settled_by_the_next(
    stack: Stack, settings: Settings, pipeline: ClickHouse, start_sink: StartSink
) -> None:
    """Both stand in the commit metadata, together where they name the same partitions, apart where they do not."""
    sink = start_sink(insert_rows_max=100, instance_id="one").await_ready()
    server, writer = clickhouse_process(stack), Writer(settings)
    server.suspend()
    try:
        for first in range(0, 1000, 100):
            writer.commit(list(values(first, first + 99)))
        eventually(
            lambda: len({plan for text in plans(settings) for plan in decode_all(text)}) == 2, "two plans are open"
        )
        sink.kill()
    finally:
        server.resume()
    successor = start_sink("next", instance_id="one").await_ready()
    assert successor.log.count("0 plans to settle") == 1, "that of scores.rejected"
    await_stored(pipeline, settings, 1000)
    assert not any(plans(settings))


def assert_ends(sink: Running, message: str) -> None:
    """The sink ends by itself with status 1 and this message, and without a traceback."""
    assert sink.process.wait(60) == 1
    assert re.search(rf"^scoreline: .*{message}", sink.log, re.MULTILINE), sink.log
    assert "Traceback" not in sink.log
    assert not sink.ready_file.exists()


def commit(settings: Settings, offset: int, metadata: str = "") -> None:
    """Write the sink's offset of partition 1 as an operator could."""
    group, topic = declare_groups(settings).sink_enriched, declare_topics(settings).enriched.name
    consumer = Consumer(client_options(settings, group_id=group))
    consumer.commit(offsets=[TopicPartition(topic, 1, offset, metadata=metadata)], asynchronous=False)
    consumer.close()


def test_offsets_that_were_reset_stop_the_sink(settings: Settings, pipeline: ClickHouse, start_sink: StartSink) -> None:
    """Reading again would store everything twice; the message says where to go on."""
    Writer(settings).commit(list(values(0, 99)))
    sink = start_sink().await_ready()
    await_stored(pipeline, settings, 100)
    assert sink.stop() == 0
    commit(settings, 0)
    assert_ends(start_sink("again"), "already holds offset 24 of .* partition 1, .* to 25; ")
    commit(settings, 0, "made by something else")
    assert_ends(start_sink("other"), "is no plan that this release reads")
    assert stored(pipeline)[0] == 100


def test_records_that_expired_unread_stop_the_sink(
    settings: Settings, pipeline: ClickHouse, start_sink: StartSink
) -> None:
    """A gap is said aloud, not jumped over."""
    topic = declare_topics(settings).enriched.name
    produce(settings, topic, ((None, value) for value in values(0, 99)))
    commit(settings, 1)
    admin = AdminClient(client_options(settings))
    for future in admin.delete_records([TopicPartition(topic, 1, 3)]).values():
        future.result(30)
    assert_ends(start_sink(), f"{topic} no longer holds the next offset to store")


def test_a_second_process_with_the_same_instance_id_ends_the_first(
    settings: Settings, pipeline: ClickHouse, start_sink: StartSink
) -> None:
    """Two owners of one name cannot both be right; the message says which setting to change."""
    first = start_sink("first", instance_id="same").await_ready()
    second = start_sink("second", instance_id="same").await_ready()
    assert_ends(first, "SCORELINE_INSTANCE_ID")
    Writer(settings).commit(list(values(0, 9)))
    await_stored(pipeline, settings, 10)
    assert second.stop() == 0


def test_a_missing_topic_or_schema_is_an_error_with_its_remedy(settings: Settings, start_sink: StartSink) -> None:
    """Not an idle sink."""
    assert_ends(start_sink("topics", topic_prefix="nowhere."), "create them with: scoreline topics")
    assert_ends(start_sink("tables", clickhouse_database="nowhere"), "apply with: scoreline migrate")


def test_a_backlog_in_many_batches_is_stored_whole(
    settings: Settings, pipeline: ClickHouse, start_sink: StartSink
) -> None:
    """More than one batch waits, so that the lane has to stop reading and go on."""
    writer = Writer(settings)
    for first in range(0, 20_000, 5000):
        writer.commit(list(values(first, first + 4999)))
    sink = start_sink(insert_rows_max=700)
    await_stored(pipeline, settings, 20_000)
    assert sink.stop() == 0


def test_a_trickle_makes_one_part_a_linger(settings: Settings, pipeline: ClickHouse, start_sink: StartSink) -> None:
    """Whatever comes one by one is collected: at most one insert in that time, and one part an insert."""
    linger_s, writer = 1.0, Writer(settings)
    sink = start_sink(insert_linger_s=linger_s).await_ready()
    begun = time.monotonic()
    for number in range(60):
        writer.commit(list(values(number, number)))
    await_stored(pipeline, settings, 60)
    asked = (
        f"SELECT max(max_block_number) FROM system.parts WHERE database = '{pipeline.database}' AND table = 'scores'"
    )
    [(parts,)] = pipeline.query(asked)
    assert 1 <= parts <= (time.monotonic() - begun) / linger_s + 1
    assert sink.stop() == 0
