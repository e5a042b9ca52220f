"""The verdict on one raw record, the same in the client, the gateway and the worker: a pure function of its bytes."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from pydantic import ValidationError

from scoreline.events import ScoreEvent, Status
from scoreline.metadata import wrong_metadata
from scoreline.reading import Event, event_of, read_plain
from scoreline.rejections import Reason, Rejection, found, rejection_of
from scoreline.topics import RECORD_BYTES_MAX
from scoreline.values import EXACT_INTEGER_MAX, canonical_value, infer_data_type

TIMESTAMP_MIN = datetime(2000, 1, 1, tzinfo=UTC)
TIMESTAMP_AHEAD_MAX = timedelta(days=1)
"""How far a score may be dated after its record's Kafka timestamp."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_validate_json = ScoreEvent.__pydantic_validator__.validate_json


def validate(value: bytes | None, key: bytes | None, received_ms: int) -> Event | Rejection:
    """Parse and check one raw record, in time linear in its length.

    `received_ms` is the record's Kafka timestamp in Unix milliseconds; no clock is read. Rules that need a score
    config are the worker's (`scoreline.judging`).
    """
    event = None if value is None else read_plain(value)
    if event is None:
        read = read_exactly(value)
        if isinstance(read, Rejection):
            return read
        event = read
    broken = broken_rule(event, received_ms)
    if broken is not None:
        return broken
    if key != event.key:
        return Rejection(Reason.KEY_MISMATCH, f"key: expected {found(event.key)}, found {found(key)}")
    return event


def broken_rule(event: Event, received_ms: int) -> Rejection | None:
    """The rules that need more than one field, or the time: which of them a well-formed event breaks."""
    if event.status is not Status.OK or event.value is None or event.error is not None:
        rejection = _check_status(event)
        if rejection is not None:
            return rejection
    if event.trace_id is None:
        if event.observation_id is not None:
            return Rejection(Reason.NO_TARGET, "observation_id: needs the trace_id it belongs to")
        if event.session_id is None and event.dataset_run_id is None:
            return Rejection(Reason.NO_TARGET, "one of trace_id, session_id or dataset_run_id is required")
    if event.timestamp is not None and not TIMESTAMP_MIN <= event.timestamp <= _latest(received_ms):
        return Rejection(
            Reason.TIMESTAMP_OUT_OF_BOUNDS,
            f"timestamp: {event.timestamp.isoformat()} is before 2000 or more than a day after it was received",
        )
    return None


def check(value: bytes, key: bytes, received_ms: int) -> Event | Rejection:
    """`validate`, and the value against its data type where no config decides: all that an emitter can know."""
    event = validate(value, key, received_ms)
    return event if isinstance(event, Rejection) else misfit(event) or event


def misfit(event: Event) -> Rejection | None:
    """How the value does not fit its data type, where no config decides."""
    if event.value is None or (event.config_id is not None and event.data_type is None):
        return None
    canonical = canonical_value(event.value, event.data_type or infer_data_type(event.value))
    return canonical if isinstance(canonical, Rejection) else None


@lru_cache(1024)
def _latest(received_ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=received_ms) + TIMESTAMP_AHEAD_MAX


def read_exactly(value: bytes | None) -> Event | Rejection:
    """The event as pydantic reads it and an exact search of the text allows, or what is wrong with it."""
    if value is None:
        return Rejection(Reason.EMPTY_RECORD, "the record has no value")
    if len(value) > RECORD_BYTES_MAX:
        return Rejection(Reason.TOO_LARGE, f"{len(value)} bytes, at most {RECORD_BYTES_MAX} are taken")
    try:
        score = _validate_json(value)
    except ValidationError as error:
        return rejection_of(error)
    rejection = _check_text(value)
    if rejection is not None:
        return rejection
    wrong = None if score.metadata is None else wrong_metadata(score.metadata)
    return event_of(score) if wrong is None else Rejection(Reason.INVALID_VALUE, wrong)


def _check_status(event: Event) -> Rejection | None:
    if event.status is Status.OK:
        if event.value is None:
            return Rejection(
                Reason.MISSING_FIELD, "value: required; where the judge failed, status failed and its error"
            )
        if event.error is not None:
            return Rejection(Reason.INVALID_VALUE, "error: only with status failed")
    elif event.value is not None:
        return Rejection(Reason.INVALID_VALUE, f"value: none with status failed, found {found(event.value)}")
    elif event.error is None:
        return Rejection(Reason.MISSING_FIELD, "error: required with status failed")
    return None


class _RepeatedKey(ValueError):
    pass


def _object_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    parsed: dict[str, Any] = {}
    for name, item in pairs:
        if name in parsed:
            raise _RepeatedKey(name)
        parsed[name] = item
    return parsed


def _check_text(value: bytes) -> Rejection | None:
    """What the parsed event no longer shows: repeated keys, NUL characters, integers beyond double precision."""
    try:
        parsed = json.loads(value, object_pairs_hook=_object_once, parse_int=str)
    except _RepeatedKey as error:
        return Rejection(Reason.MALFORMED_JSON, f"key {found(error.args[0])} stands twice in one object")
    number = parsed.get("value")
    if type(number) is str and json.loads(value)["value"].__class__ is int and abs(int(number)) > EXACT_INTEGER_MAX:
        return Rejection(Reason.INVALID_VALUE, f"value: integers within ±2^53 are taken, found {found(number)}")
    where = _nul(parsed, "")
    return None if where is None else Rejection(Reason.INVALID_VALUE, f"{where.strip('.')}: holds a NUL character")


def _nul(value: Any, path: str) -> str | None:
    """Path of the first NUL in a key or string; the parser has bounded the depth."""
    if isinstance(value, str):
        return path if "\0" in value else None
    if isinstance(value, list):
        return next((hit for item in value if (hit := _nul(item, path)) is not None), None)  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, dict):
        for name, item in value.items():  # pyright: ignore[reportUnknownVariableType]
            if (hit := _nul(name, path) or _nul(item, f"{path}.{name}")) is not None:
                return hit
    return None
