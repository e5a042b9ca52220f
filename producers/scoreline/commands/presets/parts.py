"""What presets share: looking into a record that others wrote, ids, times, failures."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any, cast

from scoreline.errors import InvalidScore
from scoreline.rejections import Reason, Rejection, found

Record = Mapping[str, Any]
"""One exported record, as its JSON says."""
Fields = dict[str, Any]
"""The fields of a raw score, not yet checked."""

_ID_CHARS_MAX = 200
_ERROR_CHARS_MAX = 10_000
_TIME = re.compile(r'"?(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d+)?)?))?\s?(Z|UTC|[+-]\d\d:?\d\d)?"?')


def present(fields: Mapping[str, Any]) -> Fields:
    """The fields that say something: without None and without empty metadata."""
    return {field: item for field, item in fields.items() if item is not None and item != {}}


def failed(error: Any) -> Fields:
    """The fields of an evaluation that came to no result; the error is cut to what the contract takes."""
    text = "" if error is None else str(error)
    return {"status": "failed", "error": (text.replace("\0", " ").strip() or "unknown error")[:_ERROR_CHARS_MAX]}


def identity(*parts: Any) -> str:
    """An id of the export's own keys, so that every import of it gives the same; hashed where it grows too long."""
    joined = "/".join(str(part) for part in parts)
    return joined if len(joined) <= _ID_CHARS_MAX else hashlib.sha256(joined.encode()).hexdigest()[:32]


def member(record: Record, key: str) -> Record:
    """The object under `key`, empty where there is none. Raises InvalidScore where it is something else."""
    inside = record.get(key)
    if inside is None:
        return {}
    if isinstance(inside, Mapping):
        return cast(Record, inside)
    raise InvalidScore(Rejection(Reason.INVALID_VALUE, f"{key}: expected an object, found {found(inside)}"))


def members(record: Record, key: str) -> list[Record]:
    """The objects listed under `key`. Raises InvalidScore where it is no list of objects."""
    inside: Any = record.get(key)
    if inside is None:
        return []
    if isinstance(inside, list) and all(isinstance(item, Mapping) for item in cast("list[Any]", inside)):
        return cast("list[Record]", inside)
    raise InvalidScore(
        Rejection(Reason.INVALID_VALUE, f"{key}: expected a list of objects, found {found(cast(object, inside))}")
    )


def itself(record: Record) -> tuple[Record, ...]:
    """A document that is one record."""
    return (record,)


def moment(value: Any) -> Any:
    """A time as exports write it, as RFC 3339: a space for the T, quotes round it, a date alone; UTC without a zone.

    Numbers, which count seconds since 1970, and everything else stay as they are.
    """
    if not isinstance(value, str) or (match := _TIME.fullmatch(value)) is None:
        return value
    day, clock, zone = match.groups()
    clock = clock or "00:00:00"
    seconds = clock if clock.count(":") == 2 else f"{clock}:00"
    if zone in (None, "UTC"):
        zone = "Z"
    elif ":" not in zone and zone != "Z":
        zone = f"{zone[:3]}:{zone[3:]}"
    return f"{day}T{seconds}{zone}"
