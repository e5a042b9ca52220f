"""The real OpenTelemetry exporters against a real gateway."""

from __future__ import annotations

import gzip
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsPartialSuccess, ExportLogsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import format_span_id, format_trace_id

from scoreline.keys import NewKey, Scope
from tests.producers.scoreline_gateway.compat.gateways import Gateway, Spoiler
from tests.running_pipeline import Pipeline

EVENT = "gen_ai.evaluation.result"
RESULT = {"gen_ai.evaluation.name": "relevance", "gen_ai.evaluation.score.value": 0.75}
PROTOBUF = "application/x-protobuf"
Connect = Callable[..., LoggerProvider]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Make logger providers as a service does; they are shut down at the end."""
    providers: list[LoggerProvider] = []

    def connect(url: str, key: NewKey, **options: Any) -> LoggerProvider:
        resource = Resource(
            {"service.name": "checkout-judge", "deployment.environment.name": "prod", "service.version": "1.0"}
        )
        provider = LoggerProvider(resource)
        headers = {"authorization": f"Bearer {key.secret_key}"}
        provider.add_log_record_processor(
            BatchLogRecordProcessor(OTLPLogExporter(f"{url}/v1/logs", headers=headers, **options))
        )
        providers.append(provider)
        return provider

    yield connect
    for provider in providers:
        provider.shutdown()


def emit(provider: LoggerProvider, attributes: dict[str, Any], event_name: str = EVENT) -> None:
    """An event of the span that is active now."""
    provider.get_logger("relevance-judge", "2.1").emit(
        LogRecord(event_name=event_name, attributes=attributes, severity_number=SeverityNumber.INFO)
    )


def test_what_the_exporter_sends_is_in_clickhouse(
    gateway_of_pipeline: Gateway, pipeline: Pipeline, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    """A result as number, label and error, of the active span, field by field; other log records are passed over."""
    logs = connect(gateway_of_pipeline.url, gateway_of_pipeline.key())
    with TracerProvider().get_tracer("t").start_as_current_span("chat") as span:
        about = {
            "gen_ai.evaluation.score.label": "relevant",
            "gen_ai.evaluation.explanation": "on topic ☃",
            "gen_ai.response.id": "chatcmpl-1",
            "gen_ai.conversation.id": "conversation",
            "tags": ["a", "b"],
        }
        emit(logs, RESULT | about)
        emit(logs, {"gen_ai.evaluation.name": "tone", "gen_ai.evaluation.score.label": "kind"})
        emit(logs, {"gen_ai.evaluation.name": "grounded", "error.type": "timeout"})
        emit(logs, RESULT, "gen_ai.choice")
        logging.getLogger("other").info("something else")
    assert logs.force_flush()
    pipeline.drain()
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    columns = (
        "project, name, status, error, data_type, value, label, trace_id, observation_id, session_id, comment, "
        "metadata, source, evaluator_name, evaluator_version, service, environment, release"
    )
    rows = {row[1]: row for row in pipeline.ask(f"SELECT {columns} FROM scores")}
    context = span.get_span_context()
    ids = (format_trace_id(context.trace_id), format_span_id(context.span_id))
    origin = ("EVAL", "relevance-judge", "2.1", "checkout-judge", "prod", "1.0")
    assert rows["relevance"] == (
        "checkout",
        "relevance",
        "ok",
        "",
        "NUMERIC",
        0.75,
        "",
        *ids,
        "conversation",
        "on topic ☃",
        {
            "gen_ai.evaluation.score.label": "relevant",
            "gen_ai.response.id": "chatcmpl-1",
            "tags": '["a","b"]',
        },
        *origin,
    )
    assert rows["tone"] == ("checkout", "tone", "ok", "", "CATEGORICAL", None, "kind", *ids, "", "", {}, *origin)
    assert rows["grounded"][1:6] == ("grounded", "failed", "timeout", "", None)
    assert len(rows) == 3
    pipeline.run("reconcile")


@pytest.mark.parametrize(
    ("fault", "compression"),
    [
        ("refuse", Compression.NoCompression),
        ("limit", Compression.Deflate),
        ("lose", Compression.Gzip),
        ("drop", Compression.NoCompression),
    ],
)
def test_batch_whose_answer_was_bad_is_sent_again(
    gateway: Gateway, spoiler: Spoiler, connect: Connect, fault: str, compression: Compression
) -> None:
    """Log records have no ids, and yet, sent twice, they are one score each."""
    logs = connect(spoiler.url, gateway.key(), compression=compression)
    spoiler.faults = [fault]
    with TracerProvider().get_tracer("t").start_as_current_span("chat"):
        for number in range(5):
            emit(logs, RESULT | {"gen_ai.evaluation.score.value": number / 10})
    assert logs.force_flush()
    records = gateway.raw()
    assert spoiler.passed == 1 + (fault in ("lose", "drop"))
    assert len(records) == 5 * spoiler.passed
    assert len({record["score_id"] for record in records}) == 5


def post(gateway: Gateway, path: str, body: bytes, content_type: str, **headers: str) -> tuple[int, bytes]:
    """An export request made by hand."""
    given = {"Content-Type": content_type} | {name.replace("_", "-"): value for name, value in headers.items()}
    return gateway.post(path, body, {"X-API-Key": gateway.key(Scope.WRITE).secret_key} | given)


def logs_of(*attributes: dict[str, Any], trace_id: str = "ab" * 16) -> dict[str, Any]:
    """An export of evaluation results in OTLP's JSON."""
    records = [
        {
            "eventName": EVENT,
            "traceId": trace_id,
            "timeUnixNano": "1789999200000000000",
            "attributes": [{"key": key, "value": value} for key, value in one.items()],
        }
        for one in attributes
    ]
    return {"resourceLogs": [{"scopeLogs": [{"logRecords": records}]}]}


GOOD = {"gen_ai.evaluation.name": {"stringValue": "n"}, "gen_ai.evaluation.score.value": {"doubleValue": 0.5}}


def test_json_is_taken_and_answered_in_json(gateway: Gateway) -> None:
    """Compressed too; nothing to report is an empty object."""
    body = gzip.compress(json.dumps(logs_of(GOOD)).encode())
    assert post(gateway, "/v1/logs", body, "application/json", content_encoding="gzip") == (200, b"{}")
    [record] = gateway.raw()
    assert (record["trace_id"], record["value"]) == ("ab" * 16, 0.5)


def test_rejected_records_are_counted_and_explained(gateway: Gateway) -> None:
    """As a partial success, so that an exporter does not send the others again."""
    bad = {"gen_ai.evaluation.name": {"stringValue": "n"}}
    body = json.dumps(logs_of(GOOD, *[bad] * 7)).encode()
    status, answer = post(gateway, "/v1/logs", body, "application/json")
    partial = json.loads(answer)["partialSuccess"]
    assert (status, partial["rejectedLogRecords"]) == (200, "7")
    assert partial["errorMessage"].startswith("missing_field: value: required")
    assert partial["errorMessage"].endswith("; and 2 more")
    assert len(gateway.raw()) == 1


def test_protobuf_is_answered_in_protobuf(gateway: Gateway) -> None:
    """Errors too, as google.rpc.Status: its message is field 2."""
    assert post(gateway, "/v1/logs", b"", PROTOBUF) == (200, ExportLogsServiceResponse().SerializeToString())
    status, answer = post(gateway, "/v1/logs", b"\xff", PROTOBUF)
    assert status == 400
    assert "no OTLP export request" in ExportLogsPartialSuccess.FromString(answer).error_message
    status, answer = gateway.post("/v1/logs", b"", {"Content-Type": PROTOBUF})
    assert (status, ExportLogsPartialSuccess.FromString(answer).error_message) == (401, "no API key")


@pytest.mark.parametrize("content_type", [PROTOBUF, "application/json"])
def test_key_that_sends_too_much_is_told_when_to_come_back(gateway: Gateway, content_type: str) -> None:
    """429 with Retry-After, which the exporters obey; the one score of ten seconds went when the key was tried."""
    headers = {"X-API-Key": gateway.key(Scope.WRITE, rate=0.1).secret_key, "Content-Type": content_type}
    answer = httpx.post(f"{gateway.url}/v1/logs", content=b"{}", headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (429, content_type)
    assert 1 <= int(answer.headers["retry-after"]) <= 10


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b'{"resourceLogs": 7}', "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b"{}", "text/plain", 415),
        (b"{}", "", 415),
    ],
)
def test_what_is_no_export_is_refused(gateway: Gateway, body: bytes, content_type: str, status: int) -> None:
    """With the reason in JSON."""
    found, answer = post(gateway, "/v1/logs", body, content_type)
    assert found == status
    assert json.loads(answer)["message"]


@pytest.mark.parametrize("path", ["/v1/traces", "/api/public/otel/v1/traces"])
def test_spans_are_dropped_and_the_answer_says_so(gateway: Gateway, path: str) -> None:
    """As a warning, which exporters do not take for a failure."""
    status, answer = post(gateway, path, b'{"resourceSpans": []}', "application/json")
    assert (status, json.loads(answer)["partialSuccess"].keys()) == (200, {"errorMessage"})
    status, answer = post(gateway, path, b"\x0a\x00", PROTOBUF)
    partial = ExportTraceServiceResponse.FromString(answer).partial_success
    assert (status, partial.rejected_spans) == (200, 0)
    assert "scoreline keeps scores and drops spans" in partial.error_message
