"""`gen_ai.evaluation.result` events in OTLP log records, as fields of the raw record. Pure.

As the OpenTelemetry GenAI semantic conventions define the event: a record of the span that was evaluated (or with
`gen_ai.response.id`, where that span is not known), whose attributes say name, value, label and explanation.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from google.protobuf.json_format import ParseDict, ParseError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from scoreline.events import DataType, Source, Status
from scoreline.rejections import Reason, Rejection
from scoreline.topics import RECORD_BYTES_MAX
from scoreline.tracing import RESOURCE
from scoreline_gateway.compat.mapping import Fields
from scoreline_gateway.compat.wire import Logged

EVENT = "gen_ai.evaluation.result"

_EVENT_NAME = "event.name"
_NAME = "gen_ai.evaluation.name"
_VALUE = "gen_ai.evaluation.score.value"
_LABEL = "gen_ai.evaluation.score.label"
_EXPLANATION = "gen_ai.evaluation.explanation"
_RESPONSE_ID = "gen_ai.response.id"
_ERROR = "error.type"
_SESSIONS = ("session.id", "gen_ai.conversation.id")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def logs_of_json(document: dict[str, Any]) -> ExportLogsServiceRequest:
    """An export of logs in OTLP's JSON, which writes ids in hex where Protobuf's JSON has base64.

    Raises google.protobuf.json_format.ParseError.
    """
    records: Iterable[dict[str, Any]] = [document]
    for name in ("resourceLogs", "scopeLogs", "logRecords"):
        records = _children(records, name)
    for record in records:
        for name in ("traceId", "spanId"):
            if isinstance(record.get(name), str):
                record[name] = _base64_of_hex(name, record[name])
    return ParseDict(document, ExportLogsServiceRequest(), ignore_unknown_fields=True)


def _base64_of_hex(name: str, text: str) -> str:
    try:
        return base64.b64encode(bytes.fromhex(text)).decode()
    except ValueError as error:
        raise ParseError(f"{name}: expected hexadecimal digits") from error


def _children(parents: Iterable[dict[str, Any]], name: str) -> Iterator[dict[str, Any]]:
    """What is no object or no list is left to the parser, which says so."""
    for parent in parents:
        children = parent.get(name)
        if isinstance(children, list):
            yield from (child for child in cast(list[Any], children) if isinstance(child, dict))


def scores_of(records: Iterable[Logged]) -> Iterator[Fields | Rejection | None]:
    """Every evaluation result among log records as the fields of a score; None for each other record.

    A record that is too long is rejected.
    """
    resource, origin = None, Fields()
    for logged in records:
        if logged.record is None:
            yield Rejection(Reason.TOO_LARGE, f"a log record of more than {RECORD_BYTES_MAX} bytes")
        elif _is_evaluation(logged.record):
            if logged.resource is not resource:
                resource, origin = logged.resource, _origin(_attributes(logged.resource.attributes))
            yield _score(logged.record, logged.scope) | origin
        else:
            yield None


def _is_evaluation(record: LogRecord) -> bool:
    """Older SDKs have the event's name among the attributes."""
    return record.event_name == EVENT or any(
        pair.key == _EVENT_NAME and pair.value.string_value == EVENT for pair in record.attributes
    )


def _score(record: LogRecord, scope: InstrumentationScope) -> Fields:
    """What has no field of its own stays in `attributes`, which becomes the metadata."""
    attributes = _attributes(record.attributes)
    trace_id, span_id = _hex(record.trace_id), _hex(record.span_id)
    at_ns = record.time_unix_nano or record.observed_time_unix_nano
    score_id = _identity(trace_id, span_id, at_ns, scope.name, attributes)
    session_id = next((attributes.pop(name) for name in _SESSIONS if name in attributes), None)
    fields: dict[str, Any] = {
        "score_id": score_id,
        "name": attributes.pop(_NAME, None),
        "comment": attributes.pop(_EXPLANATION, None),
        "trace_id": attributes.get(_RESPONSE_ID) if trace_id is None and session_id is None else trace_id,
        "observation_id": None if trace_id is None else span_id,
        "session_id": session_id,
        "timestamp": None if at_ns == 0 else (_EPOCH + timedelta(microseconds=at_ns // 1000)).isoformat(),
        "source": Source.EVAL,
        "evaluator": _evaluator(scope),
        **_result(attributes),
    }
    attributes.pop(_EVENT_NAME, None)
    body = _plain(record.body)
    if body is not None:
        attributes["body"] = body
    if attributes:
        fields["metadata"] = attributes
    return {name: value for name, value in fields.items() if value is not None}


def _result(attributes: dict[str, Any]) -> Fields:
    """The value is the number; a label beside it explains it, and stays in `attributes`; alone it is the category."""
    if _VALUE in attributes:
        value = attributes.pop(_VALUE)
        return {"value": value, "data_type": DataType.BOOLEAN if isinstance(value, bool) else DataType.NUMERIC}
    if _LABEL in attributes:
        return {"value": attributes.pop(_LABEL), "data_type": DataType.CATEGORICAL}
    if _ERROR in attributes:
        return {"status": Status.FAILED, "error": attributes.pop(_ERROR)}
    return {}


def _origin(resource: Mapping[str, Any]) -> Fields:
    """A service that was given no name has none: SDKs call it `unknown_service`."""
    found = {
        field: next((resource[name] for name in names if name in resource), None) for field, names in RESOURCE.items()
    }
    if str(found["service"]).startswith("unknown_service"):
        found["service"] = None
    return {field: value for field, value in found.items() if value}


def _evaluator(scope: InstrumentationScope) -> dict[str, str] | None:
    if not scope.name:
        return None
    return {"name": scope.name, "version": scope.version} if scope.version else {"name": scope.name}


def _identity(trace_id: str | None, span_id: str | None, at_ns: int, scope: str, attributes: Mapping[str, Any]) -> str:
    """The same whenever the record is sent again, from wherever: an exporter or a collector that tries again, or both.

    Two judges may say different things about one span in one moment, so what they say is part of it.
    """
    said = [attributes.get(name) for name in (_NAME, _VALUE, _LABEL, _ERROR, _EXPLANATION, _RESPONSE_ID)]
    text = json.dumps([trace_id, span_id, at_ns, scope, *said], ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _hex(identifier: bytes) -> str | None:
    return identifier.hex() if any(identifier) else None


def _attributes(pairs: Iterable[KeyValue]) -> Fields:
    return {pair.key: _plain(pair.value) for pair in pairs}


def _plain(value: AnyValue) -> Any:
    """A value as JSON has it, bytes in base64; the parser has bounded its depth."""
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return [_plain(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return _attributes(value.kvlist_value.values)
    if kind == "bytes_value":
        return base64.b64encode(value.bytes_value).decode()
    return getattr(value, kind)
