"""Bodies that no SDK sends: each is answered in JSON, by a 4xx or by what became of it, and the gateway goes on."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import pytest

from scoreline.keys import NewKey, Scope
from tests.hostile import hostile_records
from tests.producers.scoreline_gateway.compat.gateways import Gateway

VALUES: list[Any] = [None, True, 0, -1, 1e308, 2**63, "", "x" * 1000, "\x00", "\ud800", [], {}, [[None]], {"a": [{}]}]
SCORE = {
    "id": "s",
    "name": "n",
    "value": 1,
    "traceId": "t",
    "trace_id": "t",
    "dataType": "NUMERIC",
    "data_type": "NUMERIC",
    "metadata": {},
    "timestamp": "2026-09-21T13:00:00Z",
    "source": "API",
    "reason": "r",
    "environment": "e",
}
EVENT = {"id": "e", "type": "score-create", "timestamp": "2026-09-21T13:00:00Z", "body": SCORE}
RECORD = {
    "eventName": "gen_ai.evaluation.result",
    "traceId": "ab" * 16,
    "spanId": "cd" * 8,
    "timeUnixNano": "1789999200000000000",
    "attributes": [{"key": "gen_ai.evaluation.name", "value": {"stringValue": "n"}}],
    "body": {"stringValue": "b"},
}


def spoiled(whole: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """With every field in turn missing, and of every wrong kind."""
    for name in whole:
        yield {other: value for other, value in whole.items() if other != name}
        for value in VALUES:
            yield whole | {name: value}


def bodies(path: str) -> Iterator[Any]:
    """What is wrong in one place each, and what is wrong altogether."""
    yield from VALUES
    for score in spoiled(SCORE):
        yield from ([score, [score, 7]] if path == "/api/public/scores" else [score])
    if path == "/api/public/ingestion":
        yield from ({"batch": [event]} for event in spoiled(EVENT))
        yield from ({"batch": [EVENT | {"body": score}]} for score in spoiled(SCORE))
    if path == "/v1/logs":
        for record in spoiled(RECORD):
            yield {"resourceLogs": [{"resource": {}, "scopeLogs": [{"scope": {}, "logRecords": [record]}]}]}
        for part in spoiled({"resource": {"attributes": []}, "scopeLogs": []}):
            yield {"resourceLogs": [part]}


def ask(connection: http.client.HTTPConnection, method: str, path: str, body: bytes, key: NewKey) -> int:
    """The status of an answer, which is JSON."""
    headers = {"X-API-Key": key.secret_key, "Content-Type": "application/json", "X-Request-ID": "r" * 300}
    connection.request(method, path, body, headers)
    response = connection.getresponse()
    orjson.loads(response.read())
    return response.status


@pytest.mark.parametrize(
    "path",
    [
        "/api/public/scores",
        "/api/public/ingestion",
        "/api/platform/v1/organizations/scoreline/projects/{project}/scores",
        "/evaluations/trace-scores",
        "/v1/logs",
    ],
)
def test_hostile_scores_are_answered(gateway: Gateway, path: str) -> None:
    """Some are good by chance, and then the broker has them."""
    key = gateway.key(Scope.WRITE)
    path = path.format(project=gateway.project)
    sent = [json.dumps(body).encode() for body in bodies(path)] + list(hostile_records(seed=7, count=200))
    with closing(http.client.HTTPConnection("127.0.0.1", gateway.process.port, timeout=30)) as connection:
        statuses = {ask(connection, "POST", path, body, key) for body in sent}
    assert statuses <= {200, 201, 202, 207, 400, 413, 422}, statuses
    assert len(statuses) > 1


def test_hostile_configs_are_answered(gateway: Gateway) -> None:
    """Some are good by chance, and then they are there."""
    key = gateway.key(Scope.CONFIGS)
    whole = {"name": "n", "dataType": "CATEGORICAL", "categories": [{"label": "a", "value": 1}], "minValue": 1}
    sent = [json.dumps(body).encode() for body in (*VALUES, *spoiled(whole))]
    with closing(http.client.HTTPConnection("127.0.0.1", gateway.process.port, timeout=30)) as connection:
        assert {ask(connection, "POST", "/api/public/score-configs", body, key) for body in sent} == {200, 400}
        assert ask(connection, "GET", "/api/public/score-configs?page=0", b"", key) == 422
        assert ask(connection, "GET", "/api/public/score-configs/%00%ff%2F", b"", key) in (404, 501)


BOMBS: list[tuple[str, str, bytes]] = [
    ("/api/public/scores", "application/json", b"[" + b"{}," * 2_000_000 + b"{}]"),
    ("/api/public/ingestion", "application/json", b'{"batch":[' + b'"a",' * 1_500_000 + b'"a"]}'),
    ("/evaluations/trace-scores", "application/json", b'{"a":' * 1_000_000),
    ("/v1/logs", "application/json", b'{"resourceLogs":[' + b"{}," * 2_000_000 + b"{}]}"),
    ("/v1/logs", "application/x-protobuf", b"\x0a\x00" * 4_000_000),
    ("/v1/logs", "application/x-protobuf", b"\x0a\x80\x92\xf4\x01\x12\x80\x92\xf4\x01" + b"\x12\x00" * 2_000_000),
]


def test_bombs_are_refused_in_bounded_memory(gateway: Gateway) -> None:
    """Millions of values in few bytes: 4xx, and the process was never 100 MiB larger than before."""
    key = gateway.key(Scope.WRITE)
    before = peak_mb(gateway)
    for path, content_type, body in BOMBS:
        status, answer = gateway.post(path, body, {"X-API-Key": key.secret_key, "Content-Type": content_type})
        assert status in (400, 413), (path, status, answer)
    assert peak_mb(gateway) < before + 100


def peak_mb(gateway: Gateway) -> float:
    """Most memory that the gateway ever had, MiB."""
    status = Path(f"/proc/{gateway.process.process.process.pid}/status").read_text()
    [peak_kb] = re.findall(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
    return int(peak_kb) / 1024
