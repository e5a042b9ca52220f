"""The whole pipeline tells the truth about itself: numbers when it works, and who cannot work under each outage."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import httpx
import psutil

from scoreline import Client
from scoreline_local import stack as local
from scoreline_local.ports import pick_free
from tests.running_observed import Observed
from tests.support import Running, eventually, produce


@contextmanager
def frozen(process: psutil.Process) -> Iterator[None]:
    process.suspend()
    try:
        yield
    finally:
        process.resume()


def part(observed: Observed, name: str) -> psutil.Process:
    """The process of a part of the stack."""
    processes = local.status(observed.stack.data_dir).processes
    return psutil.Process(next(each.pid for each in processes if each.name == name))


def test_numbers_account_for_every_record(observed: Observed) -> None:
    """What was sent is counted once by its outcome, the lag goes back to 0, and queries see scores within seconds."""
    raw = f"{observed.settings.topic_prefix}scores.raw"
    with Client(observed.settings) as client:
        for number in range(500):
            client.create_score(name="accuracy", value=0.5, trace_id="t", score_id=f"s-{number % 400}")
    produce(observed.settings, raw, [(b"default/bad", b"{broken")] * 3)

    def outcomes() -> list[float]:
        metric = "scoreline_worker_records_total"
        counted = [observed.value("worker", metric, outcome=o) for o in ("enriched", "duplicate", "rejected")]
        return [*counted, observed.value("sink", "scoreline_sink_records_total", outcome="stored")]

    # a repeated call has a time of its own and the same content
    eventually(lambda: outcomes() == [400, 100, 3, 403], "all are counted")
    assert observed.value("worker", "scoreline_worker_rejected_total", reason="malformed_json") == 3
    assert observed.value("sink", "scoreline_emit_to_queryable_seconds_count") == 400
    assert 0 < observed.value("sink", "scoreline_emit_to_queryable_seconds_sum") < 400 * 30
    for name in ("worker", "sink"):
        eventually(
            lambda n=name: (
                [observed.value(n, f"scoreline_{n}_lag_{unit}") for unit in ("records", "seconds")] == [0, 0]
            ),
            f"{name} has no lag",
        )
    assert observed.value("sink", "scoreline_sink_insert_rows_sum") == 403
    assert httpx.get(f"http://127.0.0.1:{observed.ports['gateway']}/v1/schema").status_code == 200
    assert observed.value("gateway", "scoreline_http_requests_total", route="/v1/schema", status="200") == 1


def test_frozen_broker_makes_unready_whoever_needs_it(observed: Observed) -> None:
    """All live on; the page goes on with the keys that it knows. When it answers again all are ready."""
    observed.await_states("/readyz")
    with frozen(part(observed, "kafka")):
        observed.await_states("/readyz", "worker", "sink", "gateway")
        assert "kafka" in observed.lacks("worker")
        assert not observed.processes["worker"].ready_file.exists()
        assert set(observed.states("/healthz").values()) == {200}
        assert observed.value("sink", "scoreline_condition", condition="kafka") == 0
        assert observed.value("sink", "scoreline_condition", condition="clickhouse") == 1
    observed.await_states("/readyz")


def test_frozen_clickhouse_makes_sink_and_page_unready(observed: Observed) -> None:
    """Worker and gateway go on; what they take shows as the sink's lag, which grows old."""
    observed.await_states("/readyz")
    with frozen(part(observed, "clickhouse")):
        with Client(observed.settings) as client:
            client.create_score(name="accuracy", value=0.5, trace_id="t")
        observed.await_states("/readyz", "sink", "ui")
        assert "clickhouse" in observed.lacks("ui")
        assert set(observed.states("/healthz").values()) == {200}
        eventually(lambda: observed.value("sink", "scoreline_sink_lag_records", lane="scores") > 0, "lag shows")
        eventually(lambda: observed.value("sink", "scoreline_sink_lag_seconds", lane="scores") > 5, "its age shows")
    observed.await_states("/readyz")
    eventually(lambda: observed.value("sink", "scoreline_sink_lag_seconds", lane="scores") == 0, "the lag is gone")
    assert observed.value("sink", "scoreline_sink_insert_failures_total", lane="scores") > 0
    assert observed.value("sink", "scoreline_sink_settled_total", lane="scores") >= 1


def test_killed_clickhouse_is_back_by_itself(observed: Observed) -> None:
    """The supervisor starts it again; nobody else ends, and all are ready in the end."""
    pids = {name: running.process.pid for name, running in observed.processes.items()}
    part(observed, "clickhouse").kill()
    observed.await_states("/readyz")
    assert all(running.process.poll() is None for running in observed.processes.values())
    assert pids == {name: running.process.pid for name, running in observed.processes.items()}


def test_frozen_worker_does_not_answer_at_all(observed: Observed) -> None:
    """So that whoever asks starts it again; resumed it is what it was."""
    with frozen(psutil.Process(observed.processes["worker"].process.pid)):
        for path in ("/healthz", "/readyz"):
            observed.await_states(path, "worker", status=None)
    observed.await_states("/healthz")
    observed.await_states("/readyz")


def test_sink_without_a_server_lives_and_is_not_ready(observed: Observed, tmp_path: Path) -> None:
    """Before it has ever worked, too: a wrong address is no reason to start it again and again."""
    (port,) = pick_free(1)
    away = observed.settings.model_copy(update={"clickhouse_port": 1, "observe_port": port})
    with Running(away, tmp_path, "sink"):
        lone = Observed(away, {}, {"sink": port}, observed.stack)
        eventually(lambda: lone.ask("sink", "/readyz") == 503 and "clickhouse" in lone.lacks("sink"), "it says why")
        eventually(lambda: "kafka" not in lone.lacks("sink"), "Kafka is there")
        assert lone.ask("sink", "/healthz") == 200


REQUIRED = {"timestamp", "level", "logger", "event", "process"}


def test_every_line_of_every_log_is_one_json_record(observed: Observed, tmp_path: Path) -> None:
    """After all these outages, and to the end: ours, Faust's, aiokafka's, uvicorn's, librdkafka's; also the last word
    of a process that cannot start."""
    for running in observed.processes.values():
        assert running.stop() == 0
    wrong = Running(observed.settings.model_copy(update={"topic_prefix": "nowhere."}), tmp_path, "sink")
    assert wrong.process.wait(60) == 1
    loggers: set[str] = set()
    for name, running in (*observed.processes.items(), ("sink", wrong)):
        lines = running.log.splitlines()
        assert lines, name
        for line in lines:
            record = json.loads(line)
            assert record.keys() >= REQUIRED, line
            assert record["process"] == name
            assert datetime.fromisoformat(record["timestamp"]).tzinfo is not None
            loggers.add(record["logger"].partition(".")[0])
    assert loggers >= {"scoreline_streams", "scoreline_sink", "faust", "aiokafka", "uvicorn", "scoreline"}
    assert "scoreline topics" in json.loads(wrong.log.splitlines()[-1])["event"]
