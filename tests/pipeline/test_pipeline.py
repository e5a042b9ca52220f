"""A score from the call to the row, on real parts, and what happens when a part goes away."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from confluent_kafka import Producer

from scoreline.client import Client
from scoreline.kafka import client_options
from scoreline.topics import declare_topics
from tests.hostile import hostile_records
from tests.running_pipeline import Pipeline, start
from tests.support import environment, eventually, headers_of, produce, read_topic


def test_a_score_with_every_field_reaches_its_row(pipeline: Pipeline) -> None:
    """Every parameter of create_score, and what the pipeline adds, is in ClickHouse as it was given."""
    settings = pipeline.settings.model_copy(
        update={"project": "team-a", "service": "svc", "environment": "prod", "release": "1.2"}
    )
    timestamp = datetime(2026, 1, 31, 12, 0, 0, 123456, tzinfo=UTC)
    with Client(settings) as client:
        score_id = client.create_score(
            name="accuracy",
            value=0.92,
            session_id="session",
            dataset_run_id="run",
            trace_id="abcdef1234567890abcdef1234567890",
            observation_id="abcdef1234567890",
            score_id='größe "1" \\ \'',
            data_type="NUMERIC",
            comment='two\nlines, a "quote", a \\ and ☃',
            metadata={"model": "m", "n": 1, "nested": {"a": [1, None]}},
            timestamp=timestamp,
            source="EVAL",
            evaluator={"name": "judge", "version": "2", "model": "big"},
            author="ada",
        )
    pipeline.drain()
    columns = (
        "score_id, project, name, data_type, value, label, normalized, trace_id, observation_id, session_id, "
        "dataset_run_id, comment, metadata, timestamp, source, evaluator_name, evaluator_version, evaluator_model, "
        "author, service, environment, release"
    )
    [row] = pipeline.ask(f"SELECT {columns} FROM scores")
    assert row == (
        score_id,
        "team-a",
        "accuracy",
        "NUMERIC",
        0.92,
        "",
        None,
        "abcdef1234567890abcdef1234567890",
        "abcdef1234567890",
        "session",
        "run",
        'two\nlines, a "quote", a \\ and ☃',
        {"model": "m", "n": "1", "nested": '{"a":[1,null]}'},
        timestamp.replace(tzinfo=None),
        "EVAL",
        "judge",
        "2",
        "big",
        "ada",
        "svc",
        "prod",
        "1.2",
    )


def test_failed_judges_are_counted_apart(pipeline: Pipeline) -> None:
    """A judge that crashed has its row and its error, and moves no average."""
    with Client(pipeline.settings) as client:
        client.create_score(name="n", value=1.0, trace_id="t")
        client.create_score(name="n", error="timed out after 30 s", trace_id="t")
    pipeline.drain()
    assert pipeline.ask("SELECT error, value FROM scores WHERE status = 'failed'") == [("timed out after 30 s", None)]
    assert pipeline.ask("SELECT sum(scores), sum(failed), sum(value_sum) FROM scores_by_day") == [(1, 1, 1.0)]
    assert json.loads(pipeline.run("query", "--json"))[0]["failed"] == 1
    pipeline.run("reconcile")


def test_broken_events_end_in_rejected_scores_with_their_bytes(pipeline: Pipeline) -> None:
    """Broken, oversized, mistyped and out-of-bounds events: each a row with its bytes; the good ones all stored."""
    good = [(f"default/g-{n}".encode(), _record(f"g-{n}")) for n in range(200)]
    bad = [
        b"\xff\xfe not utf-8 \x00",
        b"[]",
        b'{"score_id":"x","name":"n","value":NaN,"trace_id":"t"}',
        b'{"score_id":"x","name":"n","value":1}',
        _record("x", timestamp="1999-01-01T00:00:00Z"),
        _record("x", comment="x" * 300_000),
        _record("x", value=[1]),
    ]
    mixed = [record for index, pair in enumerate(good) for record in ([pair, (b"default/x", bad[index % 7])])]
    produce(pipeline.settings, declare_topics(pipeline.settings).raw.name, mixed)
    pipeline.drain()
    assert pipeline.ask("SELECT count(), uniqExact(score_id) FROM scores") == [(200, 200)]
    rows = pipeline.ask("SELECT reason, base64Encode(assumeNotNull(value)), count() FROM rejected_scores GROUP BY 1, 2")
    stored = {base64.b64decode(value): number for _, value, number in rows}
    assert stored == {value: sum(1 for i in range(200) if i % 7 == at) for at, value in enumerate(bad)}
    assert {reason for reason, _, _ in rows} == {
        "malformed_json",
        "invalid_value",
        "no_target",
        "timestamp_out_of_bounds",
        "too_large",
    }


def test_default_client_flushes_at_exit(pipeline: Pipeline) -> None:
    """A script that only calls create_score and ends has delivered everything."""
    code = "import scoreline\nfor n in range(1000): scoreline.create_score(name='n', value=n, trace_id='t')"
    subprocess.run([sys.executable, "-c", code], env=environment(pipeline.settings), check=True)
    pipeline.drain()
    assert pipeline.ask("SELECT count(), sum(value) FROM scores") == [(1000, sum(range(1000)))]


def test_forked_child_has_a_client_of_its_own(pipeline: Pipeline) -> None:
    """Parent and child of a fork both emit, and neither loses or repeats the other's scores."""
    code = (
        "import os, scoreline\n"
        "scoreline.create_score(name='before', value=1, trace_id='t')\n"
        "child = os.fork()\n"
        "for n in range(100): scoreline.create_score(name='child' if child == 0 else 'parent', value=n, trace_id='t')\n"
        "if child: assert os.waitpid(child, 0)[1] == 0\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], env=environment(pipeline.settings), check=True)
    pipeline.drain()
    assert dict(pipeline.ask("SELECT name, count() FROM scores GROUP BY name")) == {
        "before": 1,
        "child": 100,
        "parent": 100,
    }


def test_commands_show_what_was_stored(pipeline: Pipeline) -> None:
    """emit, tail and query on one score, as a user types them."""
    pipeline.run("emit", "--name", "accuracy", "--value", "0.75", "--trace-id", "t", "--score-id", "s-1")
    pipeline.drain()
    [summary] = json.loads(pipeline.run("query", "--by", "name", "--json"))
    assert (summary["name"], summary["n"], summary["mean"]) == ("accuracy", 1, 0.75)
    record = json.loads(pipeline.run("tail", "--from-beginning", "--max", "1", "--json"))
    assert (record["score_id"], record["value"]) == ("s-1", 0.75)


def test_killed_processes_lose_and_double_nothing(pipeline: Pipeline, tmp_path: Path) -> None:
    """Worker and sink killed under load and started again: what was acknowledged is stored once."""
    settings = pipeline.settings
    topic = declare_topics(settings).raw.name
    produce(settings, topic, ((f"default/k-{n}".encode(), _record(f"k-{n}")) for n in range(5000)))
    eventually(lambda: pipeline.ask("SELECT count() > 0 FROM scores") == [(1,)], "first rows")
    pipeline.worker.kill()
    pipeline.sink.kill()
    produce(settings, topic, ((f"default/k-{n}".encode(), _record(f"k-{n}")) for n in range(2500, 10_000)))
    with start(settings, tmp_path, "worker") as worker, start(settings, tmp_path, "sink") as sink:
        worker.await_ready()
        sink.await_ready()
        pipeline.drain()
        assert worker.stop() == 0
        assert sink.stop() == 0
    assert pipeline.ask("SELECT count(), uniqExact(score_id) FROM scores") == [(10_000, 10_000)]
    assert pipeline.ask("SELECT count() FROM rejected_scores") == [(0,)]
    assert pipeline.ask("SELECT sum(scores) FROM scores_by_hour") == [(10_000,)]


def test_traces_of_rejection_reach_the_sender(pipeline: Pipeline) -> None:
    """Own headers of the record survive next to the reason."""
    topics = declare_topics(pipeline.settings)
    producer = Producer(client_options(pipeline.settings, partitioner="murmur2"))
    producer.produce(topics.raw.name, b"{", b"default/x", headers=[("traceparent", b"00-a-b-01")])
    assert producer.flush(30) == 0
    pipeline.drain()
    [message] = read_topic(pipeline.settings, topics.rejected.name)
    assert headers_of(message)["traceparent"] == b"00-a-b-01"
    assert pipeline.ask("SELECT headers, reason, project, score_id FROM rejected_scores") == [
        ([{"name": "traceparent", "value": "00-a-b-01"}], "malformed_json", "default", "x")
    ]


def test_reconcile_agrees_with_a_transactional_producer(pipeline: Pipeline) -> None:
    """Aborted events were never emitted: neither the worker nor the proof counts them."""
    topic = declare_topics(pipeline.settings).raw.name
    producer = Producer(client_options(pipeline.settings, transactional_id=f"{pipeline.settings.topic_prefix}emitter"))
    producer.init_transactions(30)
    for number in range(6):
        producer.begin_transaction()
        producer.produce(topic, _record(f"s-{number}"), f"default/s-{number}".encode(), partition=0)
        producer.flush(30)
        (producer.commit_transaction if number % 2 else producer.abort_transaction)(30)
    pipeline.drain()
    assert pipeline.ask("SELECT count() FROM scores") == [(3,)]
    proof = json.loads(pipeline.run("reconcile", "--json"))
    assert (proof["raw"], proof["stored"], proof["ok"]) == (3, 3, True)


def test_stopped_sink_catches_up(pipeline: Pipeline) -> None:
    """A sink that was asked to end leaves cleanly; nothing it had not stored is lost."""
    os.kill(pipeline.sink.process.pid, signal.SIGSTOP)
    with Client(pipeline.settings) as client:
        for number in range(500):
            client.create_score(name="n", value=number, trace_id="t", score_id=f"s-{number}")
    os.kill(pipeline.sink.process.pid, signal.SIGCONT)
    pipeline.drain()
    assert pipeline.ask("SELECT count() FROM scores") == [(500,)]
    assert pipeline.sink.stop() == 0


def _record(score_id: str, **fields: object) -> bytes:
    return json.dumps({"score_id": score_id, "name": "n", "value": 0.5, "trace_id": "t"} | fields).encode()


def test_hostile_records_are_stored_or_rejected_with_their_bytes(pipeline: Pipeline) -> None:
    """Thousands of broken records on the real pipeline: what is valid by chance is a row, all else a dead letter."""
    records: list[tuple[bytes, bytes]] = []
    for number, value in enumerate(hostile_records(seed=5, count=5_000)):
        records.append((b"default/s-1", value))
        if number % 50 == 0:
            records.append((f"default/good-{number}".encode(), _record(f"good-{number}")))
    produce(pipeline.settings, declare_topics(pipeline.settings).raw.name, records)
    pipeline.drain()
    assert pipeline.ask("SELECT count() FROM scores WHERE startsWith(score_id, 'good-')") == [(100,)]
    rows = pipeline.ask("SELECT base64Encode(assumeNotNull(value)) FROM rejected_scores")
    rejected = Counter(base64.b64decode(value) for (value,) in rows)
    assert rejected.total() > 3_000
    assert rejected <= Counter(value for _, value in records)
    pipeline.run("reconcile")
