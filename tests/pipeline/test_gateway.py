"""From an HTTP request to a row: gateway, worker, sink, ClickHouse."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from tests.running_gateway import SCORE, running_gateway
from tests.running_pipeline import Pipeline


def test_score_over_http_becomes_one_row(pipeline: Pipeline, tmp_path: Path) -> None:
    """Field by field; a repeat under its key and a repeat under its id are no second row, and what only the worker can
    know is rejected as everywhere."""
    judged = datetime(2026, 2, 1, 12, 30, tzinfo=UTC)
    full = {
        "score_id": "nightly/42/accuracy",
        "name": "accuracy",
        "value": "0.5",
        "data_type": "NUMERIC",
        "trace_id": "t-1",
        "observation_id": "o-1",
        "session_id": "s-1",
        "dataset_run_id": "r-1",
        "comment": "größer als gedacht",
        "metadata": {"tokens": 12, "nested": {"a": [1]}},
        "timestamp": "2026-02-01T12:30:00Z",
        "source": "EVAL",
        "evaluator": {"name": "judge", "version": "3", "model": "m"},
        "author": "ann",
        "service": "chat",
        "environment": "production",
        "release": "1.2",
    }
    with running_gateway(pipeline.settings, tmp_path) as gateway:
        assert gateway.post([full, full]).status_code == 202
        lines = "\n".join(json.dumps({**SCORE, "trace_id": f"t-{number}"}) for number in range(50)).encode()
        for _ in range(2):
            answer = gateway.post(lines, content_type="application/x-ndjson", idempotency_key="nightly-42")
            assert answer.json()["accepted"] == 50
        assert gateway.post({**SCORE, "score_id": "c", "config_id": "nobody"}).status_code == 202
        judged_now = replace(pipeline, settings=gateway.settings)
        judged_now.drain()
    assert pipeline.ask("SELECT count(), uniqExact(score_id) FROM scores") == [(51, 51)]
    [row] = pipeline.ask(
        "SELECT project, name, value, trace_id, observation_id, session_id, dataset_run_id, comment, source, "
        "evaluator_name, evaluator_model, author, service, environment, release, timestamp "
        "FROM scores WHERE score_id = {id:String}",
        id="nightly/42/accuracy",
    )
    assert row[:-1] == (
        *("checkout", "accuracy", 0.5, "t-1", "o-1", "s-1", "r-1", "größer als gedacht", "EVAL", "judge", "m", "ann"),
        *("chat", "production", "1.2"),
    )
    assert row[-1].replace(tzinfo=UTC) == judged
    assert pipeline.ask("SELECT project, score_id, reason FROM rejected_scores") == [
        ("checkout", "c", "unknown_config")
    ]
    pipeline.run("reconcile")
