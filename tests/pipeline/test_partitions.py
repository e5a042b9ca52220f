"""More partitions: refused where they would break deduplication, added with the state that ids need."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions
from faust.types import TP

from scoreline.errors import TopicError
from scoreline.kafka import client_options, ensure_topics, partition_counts
from scoreline.settings import Settings
from scoreline.topics import declare_groups, declare_topics
from scoreline_sink.lane import Lane
from scoreline_streams import app, repartition
from tests.running_pipeline import Pipeline
from tests.support import Running, environment, eventually, lag, log_end, produce, read_topic

BEFORE, AFTER = 2, 6


@pytest.fixture
def before(settings: Settings) -> Settings:
    """A pipeline of few partitions, whose members are gone when they have ended."""
    return settings.model_copy(update={"partitions": BEFORE, "session_timeout_s": 6.0})


@pytest.fixture
def after(before: Settings) -> Settings:
    return before.model_copy(update={"partitions": AFTER})


def scores(numbers: Iterable[int], value: float = 0.5) -> Iterator[tuple[bytes, bytes]]:
    for number in numbers:
        event = {"score_id": f"s-{number}", "name": "n", "value": value, "trace_id": "t"}
        yield f"default/s-{number}".encode(), json.dumps(event).encode()


def process(settings: Settings, folder: Path, records: Iterable[tuple[bytes, bytes]]) -> None:
    """Send these and let a worker read them, which then ends."""
    topics = declare_topics(settings)
    with Running(settings, folder, "worker") as worker:
        worker.await_ready()
        produce(settings, topics.raw.name, records)
        eventually(lambda: lag(settings, declare_groups(settings).worker, topics.raw.name) == 0, "all is read")
        assert worker.stop() == 0


def add_by_hand(settings: Settings, topic: str, count: int) -> None:
    admin = AdminClient(client_options(settings))
    admin.create_partitions([NewPartitions(topic, count)])[topic].result(30)
    eventually(lambda: partition_counts(admin, settings)[topic] == count, "Kafka shows it")


def test_ids_stay_known_in_a_pipeline_that_got_more_partitions(
    before: Settings, after: Settings, tmp_path: Path
) -> None:
    """The documented way: drained, stopped, repartitioned, started: repeats are dropped, conflicts rejected, and the
    proof holds over both halves; it refuses while somebody works, and does nothing a second time."""
    raw = declare_topics(before).raw.name
    for command in ("topics", "migrate"):
        subprocess.run([sys.executable, "-m", "scoreline.cli", command], env=environment(before), check=True)
    with Running(before, tmp_path, "worker") as worker, Running(before, tmp_path, "sink") as sink:
        old = Pipeline(before, worker.await_ready(), sink.await_ready())
        produce(before, raw, scores(range(2000)))
        old.drain()
        new = Pipeline(after, worker, sink)
        new.run("topics", "repartition", status=1)
        assert worker.stop() == 0
        assert sink.stop() == 0
    report = json.loads(new.run("topics", "repartition", "--json"))
    assert (report["before"], report["after"]) == (BEFORE, AFTER)
    assert sum(report["seeded"].values()) == 2000 * (AFTER - BEFORE) // BEFORE
    with Running(after, tmp_path, "worker") as worker, Running(after, tmp_path, "sink") as sink:
        worker.await_ready()
        sink.await_ready()
        produce(after, raw, scores(range(500, 3000)))
        produce(after, raw, scores(range(20), value=0.9))
        new.drain()
        [(rows, ids, partitions)] = new.ask(
            "SELECT count(), uniqExact(project, score_id), uniqExact(raw_partition) FROM scores"
        )
        assert (rows, ids, partitions) == (3000, 3000, AFTER)
        assert new.ask("SELECT reason, count() FROM rejected_scores GROUP BY 1") == [("conflicting_duplicate", 20)]
        proof = json.loads(new.run("reconcile", "--json"))
        assert {name: proof[name] for name in ("raw", "stored", "duplicate", "rejected", "unverifiable", "ok")} == {
            "raw": 4520,
            "stored": 3000,
            "duplicate": 1500,
            "rejected": 20,
            "unverifiable": 0,
            "ok": True,
        }
        assert worker.stop() == 0
    assert json.loads(new.run("topics", "repartition", "--json"))["seeded"] == {}


def test_interrupted_repartition_is_taken_up_and_no_worker_opens_what_has_no_state(
    before: Settings, after: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ended between two partitions: the worker says what to do and ends; run again, every id is known."""
    ensure_topics(before)
    process(before, tmp_path, scores(range(600)))
    seed = repartition._Repartition._seed

    def until_4(self: Any, partition: int, source: int) -> int:
        if partition == 4:
            raise KeyboardInterrupt
        return seed(self, partition, source)

    with monkeypatch.context() as patched:
        patched.setattr(repartition._Repartition, "_seed", until_4)
        with pytest.raises(KeyboardInterrupt):
            repartition.repartition(after)
    with Running(after, tmp_path, "worker", name="early") as early:
        assert early.process.wait(60) == 70
        assert "has not got its state yet; run `scoreline topics repartition` again" in early.log
    eventually(lambda: not _members(after), "the worker's membership is over")
    assert set(repartition.repartition(after).seeded) == {2, 3, 4, 5}
    process(after, tmp_path, scores(range(900)))
    enriched = read_topic(after, declare_topics(after).enriched.name)
    ids = [json.loads(message.value() or b"")["score_id"] for message in enriched]
    assert len(ids) == len(set(ids)) == 900


def _members(settings: Settings) -> int:
    group = declare_groups(settings).worker
    admin = AdminClient(client_options(settings))
    return len(admin.describe_consumer_groups([group])[group].result(10).members)


def test_repartition_refuses_what_it_cannot_do_exactly(before: Settings, tmp_path: Path) -> None:
    """Fewer, no multiple, records that nobody read yet, a worker at work: each named, nothing changed."""
    ensure_topics(before)
    for wanted in (1, 3):
        with pytest.raises(TopicError, match=f"cannot get from these partitions to {wanted}"):
            repartition.repartition(before.model_copy(update={"partitions": wanted}))
    wanted = before.model_copy(update={"partitions": 4})
    produce(before, declare_topics(before).raw.name, scores(range(10)))
    with pytest.raises(TopicError, match=r"has 10 records of .*scores\.raw to read: stop all emitters"):
        repartition.repartition(wanted)
    with Running(before, tmp_path, "worker") as worker:
        worker.await_ready()
        with pytest.raises(TopicError, match=r"has 1 member\(s\): stop every worker"):
            repartition.repartition(wanted)
    ensure_topics(before)


@pytest.mark.parametrize("grown", ["raw", "enriched", "changelog"])
def test_topic_that_grew_by_hand_is_refused_by_all(before: Settings, tmp_path: Path, grown: str) -> None:
    """`scoreline topics`, worker and sink end with what is wrong, why it matters, and what to do."""
    ensure_topics(before)
    topic = getattr(declare_topics(before), grown).name
    add_by_hand(before, topic, 4)
    message = f"topic {topic} has 4 partitions, SCORELINE_PARTITIONS says 2"
    with pytest.raises(TopicError, match="stored twice") as refused:
        ensure_topics(before)
    assert message in str(refused.value)
    with Running(before, tmp_path, "worker") as worker, Running(before, tmp_path, "sink") as sink:
        assert (worker.process.wait(60), sink.process.wait(60)) == (1, 1)
        assert message in worker.log
        assert message in sink.log
    if grown != "raw":
        return
    # nothing was written there: the command brings the others and the state along
    assert repartition.repartition(before.model_copy(update={"partitions": 4})).seeded == {2: 0, 3: 0}
    ensure_topics(before.model_copy(update={"partitions": 4}))


def test_scores_in_a_partition_that_was_added_by_hand_are_told(before: Settings) -> None:
    """Its first offset cannot be taken away then; nothing is deleted."""
    ensure_topics(before)
    raw = declare_topics(before).raw.name
    add_by_hand(before, raw, 4)
    eventually(lambda: _lands_in_the_new_half(before, raw), "a score in a new partition")
    with pytest.raises(TopicError, match=r"records of .* to read|holds scores already"):
        repartition.repartition(before.model_copy(update={"partitions": 4}))


def _lands_in_the_new_half(settings: Settings, raw: str) -> bool:
    produce(settings, raw, scores(range(20)))
    return log_end(settings, raw, 4) > log_end(settings, raw, 2)


def test_partitions_that_appear_under_a_running_pipeline_end_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kafka hands them out like any other: neither worker nor sink takes one up."""
    topics = declare_topics(settings)
    monkeypatch.setattr(app, "die", Mock(side_effect=SystemExit))
    faust_app: Any = app.create_app(settings)
    with pytest.raises(SystemExit):
        asyncio.run(faust_app.on_partitions_assigned.send({TP(topics.raw.name, settings.partitions)}))
    lane: Any = Lane(Mock(topic=topics.enriched.name, group="g"), settings, Mock())
    with pytest.raises(TopicError, match="beyond SCORELINE_PARTITIONS=4"):
        lane._on_assign(None, [TopicPartition(topics.enriched.name, settings.partitions)])
