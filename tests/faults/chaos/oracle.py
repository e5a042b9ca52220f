"""The account at the end: the emitter's ledger against topics, tables, rollup, offsets, and `scoreline reconcile`."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import clickhouse_connect
from clickhouse_connect.driver.exceptions import ClickHouseError
from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec
from urllib3.exceptions import HTTPError

from scoreline.kafka import client_options
from scoreline.lag import group_lag
from scoreline.settings import Settings
from scoreline.topics import declare_groups, declare_topics, record_key
from scoreline_streams.changelog import unpack
from scoreline_streams.deduplicate import id_hash
from tests.faults.chaos.emitter import Ledger, value_of
from tests.faults.chaos.report import Report
from tests.support import environment

DRAIN_S_MAX = 300.0
CLOSED_S_MAX = 60.0
READ_S_MAX = 600.0
RECONCILE_S_MAX = 900.0
ANSWER_S_MAX = 60
EXAMPLES = 5
OFFSETS_TOPIC = "__consumer_offsets"


def judge(report: Report, ledger: Ledger, settings: Settings, drain_s: float = DRAIN_S_MAX) -> None:
    """Fill the sums of `report`, and into `report.faults` everything that is not as it must be.

    `drain_s` is how long the pipeline may take to come to the end of every topic.
    """
    report.acknowledged = ledger.calls
    report.faults += _undrained(settings, drain_s)
    report.faults += _open_transactions(settings)
    [(report.stored, ids)] = ask(settings, "SELECT count(), uniqExact(score_id) FROM scores")
    [(report.rejected,)] = ask(settings, "SELECT count() FROM rejected_scores")
    report.duplicate = ledger.calls - report.stored - report.rejected
    report.double = report.stored - ids
    wanted = {f"c-{number}" for number in range(ledger.scores)}
    found = {row[0] for row in ask(settings, "SELECT DISTINCT score_id FROM scores")}
    report.lost = len(wanted - found)
    if found - wanted:
        report.faults.append(f"ids that nobody emitted: {sorted(found - wanted)[:EXAMPLES]}")
    report.faults += _sums(report, ledger, settings)
    report.faults += _topics(ledger, settings)
    report.faults += _reconcile(settings)


def ask(settings: Settings, sql: str, within_s: int = ANSWER_S_MAX) -> list[tuple[Any, ...]]:
    """Rows of a query."""
    with _clickhouse(settings, within_s) as client:
        return [tuple(row) for row in client.query(sql).result_rows]


def run(settings: Settings, sql: str, within_s: int) -> bool:
    """Whether ClickHouse, which may be away, has done this."""
    try:
        with _clickhouse(settings, within_s) as client:
            client.command(sql)
    except (ClickHouseError, HTTPError, OSError):
        return False
    return True


def _clickhouse(settings: Settings, within_s: int) -> Any:
    return clickhouse_connect.get_client(
        host=settings.clickhouse_host,
        port=settings.clickhouse_port,
        username=settings.clickhouse_user,
        password=settings.clickhouse_password.get_secret_value(),
        database=settings.clickhouse_database,
        connect_timeout=2,
        send_receive_timeout=within_s,
    )


def _undrained(settings: Settings, within_s: float) -> Iterator[str]:
    """Groups that do not come to the end of their topic."""
    topics, groups = declare_topics(settings), declare_groups(settings)
    deadline = time.monotonic() + within_s
    for group, topic in (
        (groups.worker, topics.raw.name),
        (groups.sink_enriched, topics.enriched.name),
        (groups.sink_rejected, topics.rejected.name),
    ):
        while (behind := _lag(settings, group, topic)) != 0:
            if time.monotonic() > deadline:
                yield f"lag of {group} on {topic} stays at {behind}"
                break
            time.sleep(0.5)


def _lag(settings: Settings, group: str, topic: str) -> int | None:
    try:
        return group_lag(settings, group, topic)
    except KafkaException:
        return None


def _open_transactions(settings: Settings) -> Iterator[str]:
    """Partitions whose last stable offset stays before their end."""
    admin = AdminClient(client_options(settings))
    listed = admin.list_topics(timeout=10).topics
    names = [topic.name for topic in declare_topics(settings).all()] + [OFFSETS_TOPIC]
    partitions = [TopicPartition(name, number) for name in names for number in listed[name].partitions]
    deadline = time.monotonic() + CLOSED_S_MAX
    while True:
        # the stable end first: what is committed in between must not look open
        stable = _ends(admin, partitions, IsolationLevel.READ_COMMITTED)
        high = _ends(admin, partitions, IsolationLevel.READ_UNCOMMITTED)
        still_open = {at: (stable[at], high[at]) for at in high if stable[at] < high[at]}
        if not still_open:
            return
        if time.monotonic() > deadline:
            break
        time.sleep(0.5)
    for (topic, number), (stable_end, end) in still_open.items():
        yield f"open transaction in {topic}[{number}]: stable to {stable_end}, ends at {end}"


def _ends(
    admin: AdminClient, partitions: list[TopicPartition], isolation: IsolationLevel
) -> dict[tuple[str, int], int]:
    asked = {partition: OffsetSpec.latest() for partition in partitions}
    futures = admin.list_offsets(asked, isolation_level=isolation, request_timeout=20.0)
    return {(at.topic, at.partition): future.result(30.0).offset for at, future in futures.items()}


def _sums(report: Report, ledger: Ledger, settings: Settings) -> Iterator[str]:
    expected = {"stored": ledger.scores, "duplicate": ledger.repeats, "rejected": ledger.broken, "lost": 0, "double": 0}
    for name, wanted in expected.items():
        if getattr(report, name) != wanted:
            yield f"{name}: {getattr(report, name)}, expected {wanted}"
    [(rows, total)] = ask(settings, "SELECT sum(scores), sum(value_sum) FROM scores_by_hour")
    exact = sum(map(value_of, range(ledger.scores)))
    if (rows, total) != (ledger.scores, exact):
        yield f"rollup: {rows} scores with sum {total}, expected {ledger.scores} with {exact}"
    [(letters,)] = ask(settings, "SELECT uniqExact(raw_partition, raw_offset) FROM rejected_scores")
    if letters != ledger.broken:
        yield f"rejected_scores: {letters} different records, expected {ledger.broken}"


def _topics(ledger: Ledger, settings: Settings) -> Iterator[str]:
    """What consumers of the topics see, read_committed."""
    topics = declare_topics(settings)
    for topic, prefix, count in (
        (topics.enriched.name, "c-", ledger.scores),
        (topics.rejected.name, "broken-", ledger.broken),
    ):
        yield from _each_once(settings, topic, record_key(settings.project, prefix), count)
    known: dict[bytes, bytes | None] = {}
    _read(settings, topics.changelog.name, lambda message: known.update(unpack(message.value() or b"")))
    remembered = {hashed for hashed, seen in known.items() if seen is not None}
    emitted = {id_hash(record_key(settings.project, f"c-{number}")) for number in range(ledger.scores)}
    if remembered != emitted:
        missing, strange = len(emitted - remembered), len(remembered - emitted)
        yield f"{topics.changelog.name}: {missing} ids missing, {strange} that nobody emitted"


def _each_once(settings: Settings, topic: str, prefix: bytes, count: int) -> Iterator[str]:
    """Faults of a topic that must hold the keys `<prefix>0` to `<prefix><count - 1>`, each once."""
    seen = bytearray(count)
    strange: list[bytes] = []

    def take(message: Message) -> None:
        key = message.key() or b""
        number = key.removeprefix(prefix)
        if key.startswith(prefix) and number.isdigit() and int(number) < count:
            seen[int(number)] = min(255, seen[int(number)] + 1)
        else:
            strange.append(key)

    _read(settings, topic, take)
    missing = [number for number, times in enumerate(seen) if times == 0]
    twice = [number for number, times in enumerate(seen) if times > 1]
    for what, which in (("missing", missing), ("more than once", twice), ("that nobody emitted", strange)):
        if which:
            yield f"{topic}: {len(which)} {what}, such as {which[:EXAMPLES]}"


def _read(settings: Settings, topic: str, take: Callable[[Message], object]) -> None:
    """Hand over every committed record of a topic, in the order of each partition."""
    consumer = Consumer(
        client_options(
            settings,
            group_id="chaos.oracle",
            enable_auto_commit=False,
            enable_partition_eof=True,
            isolation_level="read_committed",
            queued_max_messages_kbytes=32 * 1024,
        )
    )
    try:
        unread = set(consumer.list_topics(topic, timeout=10).topics[topic].partitions)
        consumer.assign([TopicPartition(topic, number, 0) for number in unread])
        deadline = time.monotonic() + READ_S_MAX
        while unread:
            assert time.monotonic() < deadline, f"{topic} could not be read to its end"
            for message in consumer.consume(1, 0.2) + consumer.consume(10_000, 0):
                error = message.error()
                if error is None:
                    take(message)
                elif error.code() == KafkaError._PARTITION_EOF:
                    unread.discard(message.partition() or 0)
                else:
                    raise KafkaException(error)
    finally:
        consumer.close()


def _reconcile(settings: Settings) -> Iterator[str]:
    command = [sys.executable, "-m", "scoreline.cli", "reconcile", "--json"]
    proof = subprocess.run(
        command, env=environment(settings), capture_output=True, text=True, check=False, timeout=RECONCILE_S_MAX
    )
    if proof.returncode:
        yield f"reconcile: {(proof.stdout or proof.stderr)[:2000]}"
