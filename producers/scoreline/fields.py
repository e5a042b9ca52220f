"""From what a caller says of a score to the fields of its raw record."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, Required, TypedDict

import uuid_utils

from scoreline.errors import InvalidScore
from scoreline.events import SCHEMA_VERSION, ScoreEvent, Source, Status
from scoreline.rejections import Reason, Rejection
from scoreline.tracing import Baggage, Span

DataTypeName = Literal["NUMERIC", "CATEGORICAL", "BOOLEAN"]
SourceName = Literal["API", "EVAL", "ANNOTATION"]


class More(TypedDict, total=False):
    """Arguments of `create_score` that are seldom given."""

    error: str | None
    metadata: Mapping[str, Any] | None
    timestamp: datetime | None
    source: SourceName | None
    evaluator: Mapping[str, str] | None
    author: str | None


class Judgement(More, total=False):
    """The arguments of `create_score` but for what was judged."""

    name: Required[str]
    value: float | str | bool | None
    score_id: str | None
    data_type: DataTypeName | None
    comment: str | None
    config_id: str | None


class Score(Judgement, total=False):
    """The arguments of `create_score`, as a mapping; None counts as absent."""

    session_id: str | None
    dataset_run_id: str | None
    trace_id: str | None
    observation_id: str | None


NOT_ARGUMENTS = frozenset(ScoreEvent.model_fields) - Score.__required_keys__ - Score.__optional_keys__
"""Fields of a record that are not the caller's to say in a call: the client knows them."""


def identified(score: Mapping[str, Any]) -> dict[str, Any]:
    """`score` with an id: a UUIDv7 where it has none."""
    given = score.get("score_id")
    return {**score, "score_id": str(uuid_utils.uuid7()) if given is None else given}


def record_fields(
    score: Mapping[str, Any],
    origin: Mapping[str, str],
    evaluator: Mapping[str, str] | None,
    now: datetime,
) -> dict[str, Any]:
    """The fields of a raw record: those the caller gave, and for those it did not, what is known here.

    `origin` says where the score comes from, `evaluator` who judges, `now` when, unless the caller did. Raises
    InvalidScore for a field of the record that is no argument of `create_score`; any other is left to the check.
    """
    if not score.keys().isdisjoint(NOT_ARGUMENTS):
        name = min(score.keys() & NOT_ARGUMENTS)
        raise InvalidScore(
            Rejection(Reason.UNKNOWN_FIELD, f"{name}: a client's settings say it, no call; make a Client for another")
        )
    fields = {field: item for field, item in score.items() if item is not None}
    for field in ("metadata", "evaluator"):
        item = fields.get(field)
        if item is not None and type(item) is not dict and isinstance(item, Mapping):
            fields[field] = dict(item)  # pyright: ignore[reportUnknownArgumentType]
    if evaluator is not None and "evaluator" not in fields:
        fields.setdefault("source", Source.EVAL)
        fields["evaluator"] = evaluator
    fields.setdefault("timestamp", now)
    if "error" in fields:
        fields["status"] = Status.FAILED
    fields.update(origin)
    fields["schema_version"] = SCHEMA_VERSION
    return fields


def add_baggage(fields: dict[str, Any], baggage: Baggage, span: Span | None) -> None:
    """Add session and user where the score is of the work that the baggage describes: of the active span's trace, of
    its session, or of nothing that the caller named. A score of another trace or of a dataset run is none of theirs.
    """
    if "trace_id" in fields:
        if span is None or fields["trace_id"] != span.trace_id:
            return
    elif "dataset_run_id" in fields or fields.get("session_id", baggage.session_id) != baggage.session_id:
        return
    if baggage.session_id is not None:
        fields.setdefault("session_id", baggage.session_id)
    metadata = fields.get("metadata", {})
    if baggage.user_id is not None and isinstance(metadata, dict):
        # not the author: whose session it is is seldom who judges it
        fields["metadata"] = {"user_id": baggage.user_id, **metadata}
