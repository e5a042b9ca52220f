"""A score's fields as the record that is sent, judged by the function that the worker will use."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from pydantic_core import to_json

from scoreline.errors import InvalidScore
from scoreline.events import Source
from scoreline.reading import Event, write_plain
from scoreline.rejections import Reason, Rejection, found
from scoreline.topics import record_key
from scoreline.validation import broken_rule, check, misfit, read_exactly

JSON_TYPES = (float, str, int, type(None), list, dict)
"""What a value may be before it is judged: another type (a Decimal, a date) would be written as text, a category."""


def prepare(fields: Mapping[str, Any], now_ms: int) -> tuple[Event, bytes]:
    """An event's fields as parsed event and record, after the same checks that the worker makes.

    Besides JSON's own types a field and whatever is in `metadata` may be what pydantic writes as text, among them an
    aware datetime, a UUID and an enum; not so `value`. Raises InvalidScore.
    """
    plain = write_plain(fields)
    if plain is not None and broken_rule(plain[0], now_ms) is None and misfit(plain[0]) is None:
        return plain
    return prepare_exactly(fields, now_ms)


def prepare_exactly(fields: Mapping[str, Any], now_ms: int) -> tuple[Event, bytes]:
    """By way of the JSON, as the worker reads it: what is plain too, and the reason for what is refused."""
    if not isinstance(value := fields.get("value"), JSON_TYPES):
        raise InvalidScore(
            Rejection(
                Reason.INVALID_VALUE, f"value: expected a finite number, a string or a boolean, found {found(value)}"
            )
        )
    try:
        record = to_json(fields)
        key = record_key(str(fields.get("project", "default")), str(fields.get("score_id", "")))
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidScore(Rejection(Reason.INVALID_VALUE, f"cannot be written as JSON: {error}")) from error
    event = check(record, key, now_ms)
    if isinstance(event, Rejection):
        raise InvalidScore(event)
    return event, record


def warm_up() -> None:
    """Make pydantic do what it does at the first score of a process, and at the first value of every type: a fork
    beside another thread must not meet that half done, for the child would wait for it for ever."""
    first = {"score_id": "0", "name": "0", "value": 0, "trace_id": "0", "timestamp": datetime(2001, 1, 1, tzinfo=UTC)}
    prepare(first, 0x7FFF_FFFF_0000)
    read_exactly(prepare_exactly(first, 0x7FFF_FFFF_0000)[1])
    with suppress(InvalidScore):
        prepare(first | {"metadata": {"a": {0: [None, True, 0.5, "", Source.EVAL, UUID(int=0)]}, "b": object()}}, 0)
