"""Bodies that no SDK sends: each is answered in JSON, by a 4xx or by what became of it, and the gateway goes on."""

from __future__ import annotations

import gzip
import http.client
import json
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from scoreline.keys import NewKey, Scope
from tests.hostile import hostile_records
from tests.producers.scoreline_gateway.compat.gateways import Gateway, varint

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


def test_expensive_request_lets_others_have_their_turn(gateway: Gateway) -> None:
    """A hundred evaluation results of a hundred thousand attributes each, while somebody else asks."""
    key = gateway.key(Scope.WRITE)
    record = ExportLogsServiceRequest()
    record.resource_logs.add().scope_logs.add().log_records.add(event_name="gen_ai.evaluation.result")
    one = record.resource_logs[0].scope_logs[0].log_records[0].SerializeToString() + b"\x32\x00" * 100_000
    size = b"\x12" + varint(len(one))
    scope = (size + one) * 100
    body = b"\x12" + varint(len(scope)) + scope
    request = gzip.compress(b"\x0a" + varint(len(body)) + body)
    headers = {"X-API-Key": key.secret_key, "Content-Type": "application/x-protobuf", "Content-Encoding": "gzip"}
    waits: list[float] = []
    sent = time.monotonic()
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(gateway.post, "/v1/logs", request, headers)
        while not answer.done():
            began = time.monotonic()
            assert httpx.get(f"{gateway.url}/healthz", timeout=30).status_code == 200
            waits.append(time.monotonic() - began)
    took = time.monotonic() - sent
    assert answer.result()[0] == 200
    assert len(waits) > 3
    # on a busy machine everything takes longer, the request too: whoever gets no turn waits for most of it
    assert max(waits) < max(1.0, took / 4), (took, sorted(waits)[-5:])


def peak_mb(gateway: Gateway) -> float:
    """Most memory that the gateway ever had, MiB."""
    status = Path(f"/proc/{gateway.process.process.process.pid}/status").read_text()
    [peak_kb] = re.findall(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
    return int(peak_kb) / 1024
