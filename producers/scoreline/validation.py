"""The verdict on one raw record, the same in the client, the gateway and the worker: a pure function of its bytes."""

from __future__ import annotations

import json
import math
from typing import Any

from pydantic import JsonValue, ValidationError

from scoreline.events import ScoreEvent, Status
from scoreline.rejections import Reason, Rejection, found, rejection_of
from scoreline.topics import RECORD_BYTES_MAX
from scoreline.values import EXACT_INTEGER_MAX, canonical_value, infer_data_type

TIMESTAMP_MIN_S = 946_684_800
"""2000-01-01T00:00:00Z, Unix seconds."""
TIMESTAMP_AHEAD_MAX_S = 24 * 60 * 60
"""How far a score may be dated after its record's Kafka timestamp."""
METADATA_DEPTH_MAX = 32
_INT64_MAX = 2**63

_validate_json = ScoreEvent.__pydantic_validator__.validate_json


def validate(value: bytes | None, key: bytes | None, received_ms: int) -> ScoreEvent | Rejection:
    """Parse and check one raw record, in time linear in its length.

    `received_ms` is the record's Kafka timestamp in Unix milliseconds; no clock is read. Rules that need a score
    config are the worker's (`scoreline.judging`).
    """
    if value is None:
        return Rejection(Reason.EMPTY_RECORD, "the record has no value")
    if len(value) > RECORD_BYTES_MAX:
        return Rejection(Reason.TOO_LARGE, f"{len(value)} bytes, at most {RECORD_BYTES_MAX} are taken")
    try:
        event = _validate_json(value)
    except ValidationError as error:
        return rejection_of(error)
    rejection = _check_text(value, event)
    if rejection is not None:
        return rejection
    rejection = _check_status(event)
    if rejection is not None:
        return rejection
    if event.trace_id is None:
        if event.observation_id is not None:
            return Rejection(Reason.NO_TARGET, "observation_id: needs the trace_id it belongs to")
        if event.session_id is None and event.dataset_run_id is None:
            return Rejection(Reason.NO_TARGET, "one of trace_id, session_id or dataset_run_id is required")
    if event.timestamp is not None:
        timestamp_s = event.timestamp.timestamp()
        if not TIMESTAMP_MIN_S <= timestamp_s <= received_ms / 1000 + TIMESTAMP_AHEAD_MAX_S:
            return Rejection(
                Reason.TIMESTAMP_OUT_OF_BOUNDS,
                f"timestamp: {event.timestamp.isoformat()} is before 2000 or more than a day after it was received",
            )
    if event.metadata and (rejection := _check_metadata(event.metadata)) is not None:
        return rejection
    if key != event.key:
        return Rejection(Reason.KEY_MISMATCH, f"key: expected {found(event.key)}, found {found(key)}")
    return event


def check(value: bytes, key: bytes, received_ms: int) -> ScoreEvent | Rejection:
    """`validate`, and the value against its data type where no config decides: all that an emitter can know."""
    event = validate(value, key, received_ms)
    if isinstance(event, Rejection) or event.value is None or (event.config_id is not None and event.data_type is None):
        return event
    canonical = canonical_value(event.value, event.data_type or infer_data_type(event.value))
    return canonical if isinstance(canonical, Rejection) else event


def _check_status(event: ScoreEvent) -> Rejection | None:
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


def _check_text(value: bytes, event: ScoreEvent) -> Rejection | None:
    """What the parsed event no longer shows: repeated keys, NUL characters, integers beyond double precision.

    Compact JSON without a repeated key has one `":` per key and none elsewhere; if the count differs, or space stands
    where it could hide a colon, or an escape could be a NUL, the slow exact check decides. Sound: with no space
    before a colon the count is at least the number of keys written, and the keys parsed are fewer if one is repeated.
    """
    number = event.value
    if (
        value.count(b'":') == _keys(event)
        and b" :" not in value
        and b"\n" not in value
        and b"\t" not in value
        and b"\r" not in value
        and b"\\u0000" not in value
        and not (type(number) is float and abs(number) >= EXACT_INTEGER_MAX)
    ):
        return None
    return _check_text_exactly(value)


def _keys(event: ScoreEvent) -> int:
    count = len(event.model_fields_set)
    if event.evaluator is not None:
        count += len(event.evaluator.model_fields_set)
    if event.metadata is not None:
        count += len(event.metadata)
        for nested in event.metadata.values():
            if type(nested) is dict or type(nested) is list:
                count += _nested_keys(nested)
    return count


def _nested_keys(value: JsonValue) -> int:
    if isinstance(value, dict):
        return len(value) + sum(_nested_keys(nested) for nested in value.values())
    if isinstance(value, list):
        return sum(_nested_keys(nested) for nested in value)
    return 0


class _RepeatedKey(ValueError):
    pass


def _object_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    parsed: dict[str, Any] = {}
    for name, item in pairs:
        if name in parsed:
            raise _RepeatedKey(name)
        parsed[name] = item
    return parsed


def _check_text_exactly(value: bytes) -> Rejection | None:
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


def _check_metadata(metadata: dict[str, JsonValue]) -> Rejection | None:
    for name, value in metadata.items():
        if type(value) is str or value is None or type(value) is bool:
            continue
        wrong = _wrong_json(value, METADATA_DEPTH_MAX)
        if wrong is not None:
            return Rejection(Reason.INVALID_VALUE, f"metadata.{name[:100]}: {wrong}")
    return None


def _wrong_json(value: JsonValue, depth: int) -> str | None:
    """Why `value` could not be written back as it was read."""
    if isinstance(value, float):
        return None if math.isfinite(value) else "not a finite number"
    if isinstance(value, int):
        return None if -_INT64_MAX <= value < _INT64_MAX else "an integer beyond 64 bits"
    if isinstance(value, str) or value is None:
        return None
    if depth == 0:
        return f"nested deeper than {METADATA_DEPTH_MAX}"
    items = value.values() if isinstance(value, dict) else value
    return next((wrong for item in items if (wrong := _wrong_json(item, depth - 1)) is not None), None)
