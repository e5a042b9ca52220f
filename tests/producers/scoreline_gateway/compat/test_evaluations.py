"""`gen_ai.evaluation.result` log records as scores."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.protobuf.json_format import ParseError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from scoreline.reading import Event
from scoreline.validation import check
from scoreline_gateway.compat.evaluations import EVENT, logs_of_json, scores_of
from scoreline_gateway.compat.wire import logged_of, logged_of_wire

AT_NS = 1_789_999_200_123_456_789
"""2026-09-21T14:00:00.123456789Z."""
RESULT = {"gen_ai.evaluation.name": "relevance", "gen_ai.evaluation.score.value": 0.75}


def any_value(value: Any) -> AnyValue:
    """A Python value as OTLP has it."""
    match value:
        case bool():
            return AnyValue(bool_value=value)
        case int():
            return AnyValue(int_value=value)
        case float():
            return AnyValue(double_value=value)
        case str():
            return AnyValue(string_value=value)
        case bytes():
            return AnyValue(bytes_value=value)
        case list():
            return AnyValue(array_value=ArrayValue(values=[any_value(item) for item in value]))
        case dict():
            return AnyValue(kvlist_value=KeyValueList(values=pairs(value)))
        case _:
            return AnyValue()


def pairs(attributes: dict[str, Any]) -> list[KeyValue]:
    return [KeyValue(key=name, value=any_value(value)) for name, value in attributes.items()]


def record(attributes: dict[str, Any], **fields: Any) -> LogRecord:
    """An evaluation result of one span."""
    whole = {"event_name": EVENT, "time_unix_nano": AT_NS, "trace_id": b"\xab" * 16, "span_id": b"\xcd" * 8}
    return LogRecord(**(whole | fields), attributes=pairs(attributes))


def request(*records: LogRecord, scope: str = "judge", **resource: str) -> ExportLogsServiceRequest:
    whole = ExportLogsServiceRequest()
    of_resource = whole.resource_logs.add()
    of_resource.resource.attributes.extend(pairs({name.replace("_", "."): value for name, value in resource.items()}))
    of_scope = of_resource.scope_logs.add()
    of_scope.scope.name, of_scope.scope.version = scope, "1.2"
    of_scope.log_records.extend(records)
    return whole


def only_score(whole: ExportLogsServiceRequest) -> dict[str, Any]:
    """Of a request as it comes and parsed as a whole."""
    [score] = filter(None, scores_of(logged_of(whole)))
    assert [score] == list(filter(None, scores_of(logged_of_wire(whole.SerializeToString(), EVENT.encode()))))
    assert isinstance(score, dict)
    return score


def test_every_part_of_a_result_has_its_place() -> None:
    """Span, moment, judge and origin; what the contract has no field for is metadata."""
    attributes = {
        **RESULT,
        "gen_ai.evaluation.score.label": "relevant",
        "gen_ai.evaluation.explanation": "on topic",
        "gen_ai.response.id": "chatcmpl-1",
        "session.id": "session",
        "nested": {"a": [1, True, None, b"\x00"]},
    }
    whole = request(
        record(attributes, body=any_value("text")),
        service_name="checkout",
        deployment_environment_name="prod",
        service_version="1.0",
        host_name="h",
    )
    score = only_score(whole)
    score_id = score.pop("score_id")
    assert score == {
        "name": "relevance",
        "value": 0.75,
        "data_type": "NUMERIC",
        "comment": "on topic",
        "trace_id": "ab" * 16,
        "observation_id": "cd" * 8,
        "session_id": "session",
        "timestamp": "2026-09-21T14:00:00.123456+00:00",
        "source": "EVAL",
        "evaluator": {"name": "judge", "version": "1.2"},
        "service": "checkout",
        "environment": "prod",
        "release": "1.0",
        "metadata": {
            "gen_ai.evaluation.score.label": "relevant",
            "gen_ai.response.id": "chatcmpl-1",
            "nested": {"a": [1, True, None, "AA=="]},
            "body": "text",
        },
    }
    value = json.dumps({"score_id": score_id, **score}).encode()
    assert isinstance(check(value, f"default/{score_id}".encode(), AT_NS // 1_000_000), Event)


@pytest.mark.parametrize(
    ("attributes", "fields"),
    [
        ({"gen_ai.evaluation.score.value": 1}, {"value": 1, "data_type": "NUMERIC"}),
        ({"gen_ai.evaluation.score.value": "0.5"}, {"value": "0.5", "data_type": "NUMERIC"}),
        ({"gen_ai.evaluation.score.value": True}, {"value": True, "data_type": "BOOLEAN"}),
        ({"gen_ai.evaluation.score.label": "pass"}, {"value": "pass", "data_type": "CATEGORICAL"}),
        ({"error.type": "timeout"}, {"status": "failed", "error": "timeout"}),
        ({"error.type": "t", "gen_ai.evaluation.score.value": 0.5}, {"value": 0.5, "metadata": {"error.type": "t"}}),
        ({}, {"value": None, "status": None}),
    ],
)
def test_result_is_a_number_or_a_label_or_an_error(attributes: dict[str, Any], fields: dict[str, Any]) -> None:
    """A judge that gave a value has come to a result, whatever else it says."""
    score = only_score(request(record({"gen_ai.evaluation.name": "n", **attributes})))
    assert {name: score.get(name) for name in fields} == fields


def test_result_without_a_span_is_about_its_response() -> None:
    """The conventions ask for gen_ai.response.id where the span is not known; a session says more."""
    bare = record({**RESULT, "gen_ai.response.id": "chatcmpl-1"}, trace_id=b"", span_id=bytes(8))
    score = only_score(request(bare))
    assert (score["trace_id"], "observation_id" in score) == ("chatcmpl-1", False)
    session = record(
        {**RESULT, "gen_ai.response.id": "chatcmpl-1", "gen_ai.conversation.id": "c"}, trace_id=b"", span_id=b""
    )
    score = only_score(request(session))
    assert (score["session_id"], "trace_id" in score) == ("c", False)


def test_other_log_records_are_passed_over() -> None:
    """Also when they look like one; an older SDK names the event among the attributes."""
    others = [record(RESULT, event_name=name) for name in ("", "gen_ai.evaluation", "http.request")]
    older = record({**RESULT, "event.name": EVENT}, event_name="")
    score = only_score(request(*others, older))
    assert "metadata" not in score


def test_same_record_has_the_same_id_from_everywhere() -> None:
    """Sent again, through a collector that adds to the resource, or received by another one."""
    ids = {
        only_score(whole)["score_id"]
        for whole in (
            request(record(RESULT)),
            request(record(RESULT, observed_time_unix_nano=AT_NS + 1), k8s_pod="a"),
            request(record({**RESULT, "added.by": "collector"})),
        )
    }
    assert len(ids) == 1


def test_what_is_judged_apart_has_ids_apart() -> None:
    """Another span, moment, judge, name or result is another score."""
    ids = [
        only_score(whole)["score_id"]
        for whole in (
            request(record(RESULT)),
            request(record(RESULT, trace_id=b"\x01" * 16)),
            request(record(RESULT, span_id=b"\x01" * 8)),
            request(record(RESULT, time_unix_nano=AT_NS + 1)),
            request(record(RESULT), scope="other"),
            request(record({**RESULT, "gen_ai.evaluation.name": "other"})),
            request(record({**RESULT, "gen_ai.evaluation.score.value": 0.5})),
            request(record({**RESULT, "gen_ai.evaluation.score.label": "x"})),
            request(record({**RESULT, "gen_ai.response.id": "x"})),
        )
    ]
    assert len(set(ids)) == len(ids)


def test_service_without_a_name_is_none() -> None:
    """SDKs make one up."""
    assert "service" not in only_score(request(record(RESULT), service_name="unknown_service:python"))


def test_record_without_a_time_has_none() -> None:
    """Kafka dates the score then."""
    assert "timestamp" not in only_score(request(record(RESULT, time_unix_nano=0)))
    observed = record(RESULT, time_unix_nano=0, observed_time_unix_nano=AT_NS)
    assert only_score(request(observed))["timestamp"] == "2026-09-21T14:00:00.123456+00:00"


def test_json_has_ids_in_hex() -> None:
    """As OTLP writes them, and not in base64 as Protobuf's JSON; unknown fields are passed over."""
    document = {
        "resourceLogs": [
            {
                "scopeLogs": [
                    {
                        "scope": {"name": "judge", "version": "1.2"},
                        "logRecords": [
                            {
                                "eventName": EVENT,
                                "timeUnixNano": str(AT_NS),
                                "traceId": "AB" * 16,
                                "spanId": "cd" * 8,
                                "severityNumber": 9,
                                "someday": 1,
                                "attributes": [
                                    {"key": "gen_ai.evaluation.name", "value": {"stringValue": "relevance"}},
                                    {"key": "gen_ai.evaluation.score.value", "value": {"doubleValue": 0.75}},
                                ],
                            }
                        ],
                    }
                ]
            }
        ]
    }
    assert only_score(logs_of_json(document)) == only_score(request(record(RESULT)))


@pytest.mark.parametrize(
    "document",
    [
        {"resourceLogs": 1},
        {"resourceLogs": [1]},
        {"resourceLogs": [{"scopeLogs": [{"logRecords": [{"traceId": "xyz"}]}]}]},
        {"resourceLogs": [{"scopeLogs": [{"logRecords": [{"traceId": 5}]}]}]},
        {"resourceLogs": [{"scopeLogs": [{"logRecords": [{"timeUnixNano": "x"}]}]}]},
    ],
)
def test_json_that_is_no_export_is_refused(document: Any) -> None:
    """With the one error that callers know."""
    with pytest.raises(ParseError):
        logs_of_json(document)
