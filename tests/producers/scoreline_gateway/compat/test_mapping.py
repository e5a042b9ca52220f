"""What score SDKs send, as fields of the raw record."""

from __future__ import annotations

import json
from typing import Any

import pytest

from scoreline.events import DataType
from scoreline.reading import Event
from scoreline.rejections import Reason, Rejection
from scoreline.validation import check
from scoreline_gateway.compat.mapping import id_of_request, score_of_event, score_of_langfuse, score_of_pandaprobe

NOW_MS = 1_790_000_000_000


def verdict(fields: dict[str, Any]) -> Event | Rejection:
    """What the contract says to mapped fields that have an id."""
    event = {"score_id": "s", **fields}
    return check(json.dumps(event).encode(), f"default/{event['score_id']}".encode(), NOW_MS)


CAMEL = {
    "id": "e57091eefaa4eca1",
    "traceId": "ab" * 16,
    "observationId": "cd" * 8,
    "sessionId": "session",
    "datasetRunId": "run",
    "name": "accuracy",
    "value": 0.5,
    "dataType": "NUMERIC",
    "comment": "fine",
    "configId": "acc",
    "environment": "prod",
    "metadata": {"model": "m"},
    "timestamp": "2026-09-21T13:00:00.415899Z",
    "source": "ANNOTATION",
    "queueId": None,
}
SNAKE = {
    "id": "e57091eefaa4eca1",
    "trace_id": "ab" * 16,
    "observation_id": "cd" * 8,
    "session_id": "session",
    "dataset_run_id": "run",
    "name": "accuracy",
    "value": 0.5,
    "data_type": "NUMERIC",
    "comment": "fine",
    "config_id": "acc",
    "environment": "prod",
    "metadata": {"model": "m"},
    "timestamp": "2026-09-21T13:00:00.415899Z",
    "source": "ANNOTATION",
}


@pytest.mark.parametrize("body", [CAMEL, SNAKE])
def test_every_field_of_a_langfuse_score_has_its_place(body: dict[str, Any]) -> None:
    """In the public API's camel case and in the platform API's snake case."""
    fields = score_of_langfuse(body)
    assert fields == {
        "score_id": "e57091eefaa4eca1",
        **{name: value for name, value in SNAKE.items() if name != "id"},
    }
    assert isinstance(verdict(fields), Event)


def test_what_has_no_field_of_ours_stays_in_the_metadata() -> None:
    """Under the name that it was sent with; what the sender has put there himself wins."""
    body = {"name": "n", "value": 1, "queueId": "q", "x": 1, "metadata": {"x": 2}, "project": "other"}
    assert score_of_langfuse(body)["metadata"] == {"queueId": "q", "x": 2, "project": "other"}
    assert "project" not in score_of_langfuse(body)


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ({"a": None}, {"a": None}),
        ([1, "b"], {"value": [1, "b"]}),
        ("text", {"value": "text"}),
        (0, {"value": 0}),
        (None, None),
        ({}, {}),
    ],
)
def test_metadata_may_be_any_json(sent: object, kept: object) -> None:
    """An object stays as it is, everything else is its `value`."""
    assert score_of_langfuse({"metadata": sent}).get("metadata") == kept


def test_text_is_a_category_and_a_correction_is_no_score() -> None:
    """A correction says what the output should have been, which is no judgement of it."""
    text = score_of_langfuse({"name": "n", "value": "rather long", "dataType": "TEXT", "traceId": "t"})
    assert text["data_type"] is DataType.CATEGORICAL
    correction = verdict(score_of_langfuse({"name": "n", "value": "x", "dataType": "CORRECTION", "traceId": "t"}))
    assert isinstance(correction, Rejection)
    assert correction.reason is Reason.INVALID_VALUE
    assert "CORRECTION" in correction.detail


@pytest.mark.parametrize("value", [1, 0, 1.0, 0.0, True])
def test_booleans_come_as_numbers(value: float) -> None:
    """The SDKs send 1 and 0."""
    fields = score_of_langfuse({"name": "n", "value": value, "dataType": "BOOLEAN", "traceId": "t"})
    assert isinstance(verdict(fields), Event)


def test_event_lends_its_score_what_it_lacks() -> None:
    """An id and a time, which stay the same when the batch is sent again; the score's own win."""
    event = {"id": "event", "type": "score-create", "timestamp": "2026-09-21T13:00:00Z"}
    assert score_of_event(event | {"body": {"name": "n"}}) == {
        "name": "n",
        "score_id": "event",
        "timestamp": "2026-09-21T13:00:00Z",
    }
    own = {"id": "own", "timestamp": "2026-09-21T14:00:00Z"}
    assert score_of_event(event | {"body": own}) == {"score_id": "own", "timestamp": "2026-09-21T14:00:00Z"}


def test_event_without_a_body_is_rejected() -> None:
    """One of a batch cannot spoil the others."""
    for body in (None, 7, []):
        assert isinstance(score_of_event({"id": "e", "body": body}), Rejection)


def test_every_field_of_a_pandaprobe_score_has_its_place() -> None:
    """The project name is where it comes from, the reason its comment."""
    body = {
        "trace_id": "be8f2023-16dd-4afd-838c-cb0a0e35b04a",
        "name": "quality",
        "value": "0.5",
        "data_type": "NUMERIC",
        "source": "PROGRAMMATIC",
        "reason": "good",
        "metadata": {"a": 1},
        "eval_run_id": "r",
    }
    fields = score_of_pandaprobe(body, "My Project")
    assert fields == {
        "trace_id": "be8f2023-16dd-4afd-838c-cb0a0e35b04a",
        "name": "quality",
        "value": "0.5",
        "data_type": "NUMERIC",
        "source": "API",
        "comment": "good",
        "service": "My Project",
        "metadata": {"eval_run_id": "r", "a": 1},
    }
    assert isinstance(verdict(fields), Event)


@pytest.mark.parametrize(("sent", "meant"), [("true", True), ("False", False), ("1", True), ("0", False)])
def test_pandaprobe_says_booleans_as_text(sent: str, meant: bool) -> None:
    """Python's own spelling too."""
    assert score_of_pandaprobe({"value": sent, "data_type": "BOOLEAN"}, None)["value"] is meant
    assert score_of_pandaprobe({"value": sent, "data_type": "CATEGORICAL"}, None)["value"] == sent


@pytest.mark.parametrize("source", ["ROBOT", 7, ["API"]])
def test_unknown_source_is_left_to_the_contract(source: object) -> None:
    """It is not guessed."""
    fields = score_of_pandaprobe({"trace_id": "t", "name": "n", "value": "1", "source": source}, "")
    assert "service" not in fields
    found = verdict(fields)
    assert isinstance(found, Rejection)
    assert found.detail.startswith("source: ")


def test_id_of_a_request_is_the_same_for_the_same_request_only() -> None:
    """Whoever gives one X-Request-ID to two scores has two scores all the same."""
    assert id_of_request("r", b"one") == id_of_request("r", b"one")
    assert len({id_of_request("r", b"one"), id_of_request("r", b"two"), id_of_request("q", b"one")}) == 3
