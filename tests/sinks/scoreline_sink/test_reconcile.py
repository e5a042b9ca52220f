"""Reconcile beside a worker and a sink at work: what adds up, and what does not."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from scoreline.errors import RetryableError, SchemaError
from scoreline.kafka import CALL_TIMEOUT_S, client_options, ensure_topics
from scoreline.settings import Settings
from scoreline.topics import declare_topics
from scoreline_sink.reconcile import cli, raw, walk
from scoreline_sink.reconcile.raw import await_sink
from scoreline_sink.reconcile.run import Request
from scoreline_sink.reconcile.run import reconcile as run
from tests.conftest import Stack
from tests.running_pipeline import Pipeline, start
from tests.sinks.scoreline_sink.records import Writer, values
from tests.support import environment

PARTITIONS = 10
Record = tuple[bytes, bytes]


def record(score_id: str, value: object = 0.5, **fields: object) -> Record:
    """Key and value of a raw record."""
    event = {"score_id": score_id, "name": "n", "value": value, "trace_id": "t"} | fields
    return f"default/{score_id}".encode(), json.dumps(event).encode()


@pytest.fixture(scope="module")
def pipeline(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """One pipeline for all tests of this module; each works in partitions of its own."""
    folder = tmp_path_factory.mktemp("reconcile")
    unique = f"t{uuid.uuid4().hex[:10]}"
    update = {"topic_prefix": f"{unique}.", "clickhouse_database": unique, "state_dir": folder / "state"}
    settings = stack.settings.model_copy(update=update | {"partitions": PARTITIONS, "reject_ratio_max": 0.0})
    for command in ("topics", "migrate"):
        subprocess.run([sys.executable, "-m", "scoreline.cli", command], env=environment(settings), check=True)
    with start(settings, folder, "worker") as worker, start(settings, folder, "sink") as sink:
        yield Pipeline(settings, worker.await_ready(), sink.await_ready())


@pytest.fixture(scope="module")
def partitions() -> Iterator[int]:
    """Partitions that no test has used yet."""
    return count()


class Bench:
    """One raw partition of a test's own."""

    def __init__(self, pipeline: Pipeline, partition: int) -> None:
        self.pipeline, self.partition = pipeline, partition

    def send(self, records: Iterable[Record], **options: str) -> None:
        """Put records into the partition and wait for ClickHouse to have them."""
        write(self.pipeline.settings, self.partition, records, **options)
        self.pipeline.drain()

    def report(self, **request: Any) -> dict[str, Any]:
        """What `--json` would print."""
        asked = Request((self.partition,), **request)
        return run(self.pipeline.settings, asked, lambda _done, _total: None).fields()

    def delete(self, table: str, condition: str) -> None:
        """Rows that vanish, as no process of ours makes them."""
        where = f"raw_partition = {self.partition} AND {condition}"
        self.pipeline.ask(f"ALTER TABLE {table} DELETE WHERE {where} SETTINGS mutations_sync = 1")

    def copy(self, table: str, changes: str, condition: str) -> None:
        """A row more, as no process of ours makes it."""
        rows = f"SELECT * FROM {table} WHERE raw_partition = {self.partition} AND {condition}"
        self.pipeline.ask(f"INSERT INTO {table} SELECT * REPLACE ({changes}) FROM ({rows})")


def write(settings: Settings, partition: int, records: Iterable[Record], **options: str) -> None:
    """Put records into one partition of the raw topic."""
    producer = Producer(client_options(settings, **options))
    topic = declare_topics(settings).raw.name
    if options:
        producer.init_transactions(CALL_TIMEOUT_S)
        producer.begin_transaction()
    for key, value in records:
        producer.produce(topic, value, key, partition=partition)
    if options:
        producer.commit_transaction(CALL_TIMEOUT_S)
    assert producer.flush(CALL_TIMEOUT_S) == 0


@pytest.fixture
def bench(pipeline: Pipeline, partitions: Iterator[int]) -> Bench:
    """A partition that only this test writes to."""
    return Bench(pipeline, next(partitions))


def sums(report: dict[str, Any]) -> tuple[int, ...]:
    """Raw, stored, duplicate, rejected, unverifiable, faulty."""
    return tuple(report[name] for name in ("raw", "stored", "duplicate", "rejected", "unverifiable", "faulty"))


def faults(report: dict[str, Any]) -> list[tuple[int, str, str]]:
    """Offset, key and fault of each culprit."""
    return [(fault["offset"], fault["key"], str(fault["fault"])) for fault in report["faults"]]


def test_scores_duplicates_conflicts_and_broken_records_add_up(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every kind of record has its own verdict, however the range is cut, and a transaction marker is no record."""
    rich = record("rich", "good", data_type="CATEGORICAL", comment="ä\n", evaluator={"name": "e", "version": "1"})
    floats = [record(f"f-{n}", n / 7) for n in range(1, 200)]
    bench.send([record(f"s-{n}", n) for n in range(20)], transactional_id=uuid.uuid4().hex)
    bench.send([rich, *floats, record("decimal", "0.125", data_type="NUMERIC"), record("flag", value=True)])
    bench.send([record("s-1", 1), rich, *floats, record("decimal", "0.125", data_type="NUMERIC"), record("flag", True)])
    bench.send([record("s-2", 77), record("s-3", 3, comment="late"), (b"default/x", b"{"), (b"\xff\x00", b"[]")])
    expected = (429, 222, 203, 4, 0, 0)
    assert sums(bench.report()) == expected
    monkeypatch.setattr(walk, "WINDOW_OFFSETS", 7)
    monkeypatch.setattr(walk, "CLAIMS_MAX", 3)
    monkeypatch.setattr(raw, "BATCH_RECORDS_MAX", 5)
    report = bench.report()
    assert (sums(report), report["ok"], report["faults"]) == (expected, True, [])
    bench.copy("scores", "'marker' AS score_id, 20 AS raw_offset", "raw_offset = 0")
    report = bench.report()
    assert (sums(report), faults(report)) == (expected, [(20, "default/marker", "unknown record")])


def test_deleted_row_is_lost_and_so_is_its_duplicate(bench: Bench) -> None:
    """A row that vanished is named by offset and key, and no duplicate of it can stand for it."""
    bench.send([*(record(f"d-{n}") for n in range(10)), record("d-4"), record("d-5")])
    bench.delete("scores", "raw_offset = 4")
    report = bench.report()
    assert faults(report) == [(4, "default/d-4", "lost"), (10, "default/d-4", "lost")]
    assert sums(report) == (12, 9, 1, 0, 0, 2)
    assert not report["ok"]


def test_deleted_rejection_is_lost(bench: Bench) -> None:
    """A broken record whose dead letter vanished is no duplicate, whatever its bytes are."""
    bench.send([record("e-0"), (b"default/broken", b"{"), record("e-0", 2)])
    bench.delete("rejected_scores", "true")
    report = bench.report()
    assert faults(report) == [(1, "default/broken", "lost"), (2, "default/e-0", "dropped with other content")]
    assert "value differs from what offset 0 stored" in report["faults"][1]["detail"]


def test_rows_that_name_a_record_twice_are_found(bench: Bench) -> None:
    """The same raw offset under another source offset, in one table or in both, and under an offset that is not."""
    bench.send([*(record(f"t-{n}") for n in range(4)), (b"default/broken", b"{")])
    bench.copy("scores", "src_offset + 1000 AS src_offset", "raw_offset = 1")
    bench.copy("scores", "src_offset + 1000 AS src_offset, 4 AS raw_offset", "raw_offset = 2")
    bench.copy("rejected_scores", "3 AS raw_offset", "true")
    report = bench.report()
    assert faults(report) == [
        (1, "default/t-1", "stored twice"),
        (3, "default/t-3", "stored and rejected"),
        (4, "default/broken", "stored and rejected"),
        (4, "default/t-2", "id stored twice"),
    ]
    assert sums(report) == (5, 2, 0, 0, 0, 3)


def test_score_that_the_table_refused_is_rejected_and_has_duplicates(bench: Bench) -> None:
    """A stage behind the worker may reject what the worker took and remembers."""
    bench.send([record("w-0"), record("w-0"), (b"default/broken", b"{")])
    bench.delete("scores", "true")
    assert faults(bench.report()) == [(0, "default/w-0", "lost"), (1, "default/w-0", "lost")]
    refusal = "0 AS raw_offset, 'insert' AS stage, 'default' AS project, 'w-0' AS score_id"
    bench.copy("rejected_scores", refusal, "true")
    assert sums(bench.report()) == (3, 0, 1, 2, 0, 0)


def test_id_may_be_stored_again_behind_the_horizon(bench: Bench) -> None:
    """What the worker may have forgotten it may store once more, and not before."""
    bench.send([record("h-0"), record("h-1")])
    bench.delete("scores", "raw_offset = 1")
    bench.copy("scores", "1 AS raw_offset, received_at + INTERVAL 31 DAY AS received_at", "raw_offset = 0")
    assert bench.report()["ok"]
    bench.delete("scores", "raw_offset = 1")
    bench.copy("scores", "1 AS raw_offset, received_at + INTERVAL 29 DAY AS received_at", "raw_offset = 0")
    assert faults(bench.report()) == [(1, "default/h-0", "id stored twice")]


def test_duplicate_of_what_is_forgotten_everywhere_cannot_be_judged(bench: Bench) -> None:
    """Topic and tables begin behind the first record of the id: no fault, and no duplicate either."""
    bench.send([*(record(f"v-{n}") for n in range(5)), record("v-0"), record("v-4")])
    settings = bench.pipeline.settings
    begin = TopicPartition(declare_topics(settings).raw.name, bench.partition, 3)
    admin = AdminClient(client_options(settings))
    [deleted] = admin.delete_records([begin]).values()
    deleted.result(CALL_TIMEOUT_S)
    assert sums(bench.report()) == (4, 2, 2, 0, 0, 0)
    bench.delete("scores", "raw_offset < 3")
    assert sums(bench.report()) == (4, 2, 1, 0, 1, 0)


def test_range_begins_where_it_is_told(bench: Bench) -> None:
    """By offset and by time; a duplicate's first record may stand before the range; the future holds nothing."""
    bench.send([record(f"r-{n}") for n in range(10)])
    between = datetime.now(UTC)
    bench.send([record("r-3"), record("r-10")])
    assert sums(bench.report(start=8)) == (4, 3, 1, 0, 0, 0)
    assert sums(bench.report(start=between)) == (2, 1, 1, 0, 0, 0)
    assert sums(bench.report(start=datetime.now(UTC) + timedelta(hours=1))) == (0, 0, 0, 0, 0, 0)


def test_runs_while_scores_keep_coming(bench: Bench) -> None:
    """On a live pipeline each run covers what the worker had settled when it began, and never finds a fault."""
    stopped = threading.Event()
    sent = count()

    def emit() -> None:
        while not stopped.is_set():
            write(bench.pipeline.settings, bench.partition, [record(f"l-{next(sent) // 2}") for _ in range(100)])

    emitting = threading.Thread(target=emit)
    emitting.start()
    try:
        reports = [bench.report() for _ in range(3)]
    finally:
        stopped.set()
        emitting.join()
    assert [report["fault_count"] for report in reports] == [0, 0, 0]
    bench.pipeline.drain()
    every = next(sent)
    settled = (every, every // 2, every // 2, 0, 0, 0)
    assert sums(bench.report()) == settled
    worker = bench.pipeline.worker.process
    worker.send_signal(signal.SIGSTOP)
    try:
        write(bench.pipeline.settings, bench.partition, [record("later")])
        assert sums(bench.report()) == settled
    finally:
        worker.send_signal(signal.SIGCONT)


def test_sink_that_does_not_keep_up_is_said_to(settings: Settings, clickhouse: object) -> None:
    """Enriched records that no sink has stored are waited for as long as told, then it is an error that names them."""
    ensure_topics(settings)
    await_sink(settings, [0, 1], wait_s=0)
    Writer(settings).commit([next(values(0, 0))])
    await_sink(settings, [1], wait_s=0)
    with pytest.raises(RetryableError, match=r"scores.enriched, partitions \[0\], within 0.1 s.*--wait"):
        await_sink(settings, [0, 1], wait_s=0.1)


def test_command_prints_sums_and_culprits_and_fails_on_faults(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As an operator and as a script see it; exit status 0 when all adds up, 1 when not, 2 for what makes no sense."""
    for name, text in environment(bench.pipeline.settings).items():
        monkeypatch.setenv(name, text)
    bench.send([record("c-0"), record("c-1"), record("c-1")])
    cli.reconcile(partition=[bench.partition])
    printed = capsys.readouterr().out
    assert "\nraw 3 = stored 2 + duplicate 1 + rejected 0\n" in printed
    bench.delete("scores", "raw_offset = 0")
    with pytest.raises(SystemExit, match=r"^1$"):
        cli.reconcile(partition=[bench.partition])
    printed = capsys.readouterr().out
    assert "raw 3 = stored 1 + duplicate 1 + rejected 0 + faulty 1\n" in printed
    assert f"faults: 1\n  partition {bench.partition}, offset 0, default/c-0: lost: " in printed
    with pytest.raises(SystemExit, match=r"^1$"):
        cli.reconcile(partition=[bench.partition], max_culprits=0, as_json=True)
    report = json.loads(capsys.readouterr().out)
    own = str(bench.partition)
    counted = {"raw": 3, "stored": 1, "duplicate": 1, "rejected": 0, "unverifiable": 0, "faulty": 1, "fault_count": 1}
    assert report == {"from": {own: 0}, "to": {own: 3}, **counted, "faults": [], "ok": False}
    for wrong in ({"since": "1h", "from_offset": 1}, {"since": "soon"}, {"partition": [PARTITIONS]}):
        with pytest.raises(SystemExit, match=r"^2$"):
            cli.reconcile(**wrong)  # pyright: ignore[reportArgumentType]


def test_missing_tables_are_an_error_with_its_remedy(pipeline: Pipeline) -> None:
    """Nothing can be proven without the schema."""
    settings = pipeline.settings.model_copy(update={"clickhouse_database": "nowhere"})
    with pytest.raises(SchemaError, match="scoreline migrate"):
        run(settings, Request((0,)), lambda _done, _total: None)
