"""What metadata may hold: anything of JSON that is written back as it was read."""

from __future__ import annotations

import math

from pydantic import JsonValue

METADATA_DEPTH_MAX = 32
_INT64_MAX = 2**63


def keys_of(metadata: dict[str, JsonValue]) -> int:
    """How many keys it has, nested ones included."""
    count = len(metadata)
    for value in metadata.values():
        if type(value) is dict or type(value) is list:
            count += _nested_keys(value)
    return count


def _nested_keys(value: JsonValue) -> int:
    if isinstance(value, dict):
        return len(value) + sum(_nested_keys(nested) for nested in value.values())
    if isinstance(value, list):
        return sum(_nested_keys(nested) for nested in value)
    return 0


def wrong_metadata(metadata: dict[str, JsonValue]) -> str | None:
    """Why it could not be written back as it was read, and where."""
    for name, value in metadata.items():
        if type(value) is str or value is None or type(value) is bool:
            continue
        wrong = _wrong(value, METADATA_DEPTH_MAX)
        if wrong is not None:
            return f"metadata.{name[:100]}: {wrong}"
    return None


def _wrong(value: JsonValue, depth: int) -> str | None:
    if isinstance(value, float):
        return None if math.isfinite(value) else "not a finite number"
    if isinstance(value, int):
        return None if -_INT64_MAX <= value < _INT64_MAX else "an integer beyond 64 bits"
    if isinstance(value, str) or value is None:
        return None
    if depth == 0:
        return f"nested deeper than {METADATA_DEPTH_MAX}"
    items = value.values() if isinstance(value, dict) else value
    return next((wrong for item in items if (wrong := _wrong(item, depth - 1)) is not None), None)
