"""What people change on a compacted topic: the records as they stand, and what a change did to each entry. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, NamedTuple, Protocol, TypeVar, cast

from pydantic import BaseModel, ValidationError

from scoreline.errors import MalformedRecord
from scoreline.rejections import found

HISTORY_MARK = b"@"
"""What the key of an older version begins with; an entry's own key begins with its project, which cannot."""

VALUE_BYTES_MAX = 256 * 1024
"""Longest value of an entry, in bytes."""


class Record(NamedTuple):
    """The newest record of one key."""

    value: bytes
    offset: int
    timestamp_ms: int
    """Kafka timestamp, Unix milliseconds."""


Records = Mapping[bytes, Record]
"""A compacted topic as it stands, by record key, without tombstones."""
Writes = dict[bytes, bytes | None]
"""What to put on a compacted topic: key → value, or None for a tombstone."""


class Entry(Protocol):
    """What knows the key of its own record."""

    @property
    def key(self) -> bytes:
        """Key of its record."""
        ...


M = TypeVar("M", bound=BaseModel)
T = TypeVar("T", bound=Entry)

Action = Literal["created", "updated", "archived", "deleted", "unchanged"]


@dataclass(frozen=True, slots=True)
class Change(Generic[T]):
    """What a change does to one entry."""

    entry: T
    """As it is afterwards; a deleted one as it was."""
    action: Action
    changed: dict[str, tuple[Any, Any]] = field(default_factory=dict[str, tuple[Any, Any]])
    """Field → before and after; empty where the entry is new, gone or unchanged."""


def differences(
    before: BaseModel, after: BaseModel, ignored: frozenset[str] = frozenset()
) -> dict[str, tuple[Any, Any]]:
    """The fields that differ, in the model's order: what stood there before and what stands there after, as JSON."""
    old, new = before.model_dump(mode="json"), after.model_dump(mode="json")
    return {name: (old[name], new[name]) for name in old if name not in ignored and old[name] != new[name]}


def decode_model(model: type[M], value: bytes, what: str) -> M:
    """The model in a record's value. Raises MalformedRecord, naming the field and what was found."""
    try:
        return model.model_validate_json(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
    name = ".".join(str(part) for part in first["loc"]) or what
    if first["type"] == "extra_forbidden":
        detail = f"not a field of a {what}; there are {', '.join(model.model_fields)}"
    elif first["type"] in ("missing", "value_error", "json_invalid"):
        detail = first["msg"]
    else:
        detail = f"{first['msg']}, found {found(first['input'])}"
    raise MalformedRecord(f"{name}: {detail}")


def newest(records: Records) -> Records:
    """Those of a topic's records that are no history."""
    return {key: record for key, record in records.items() if not key.startswith(HISTORY_MARK)}


def decode_entries(
    records: Records, decode: Callable[[bytes], T], key_of: Callable[[T], bytes] = lambda entry: entry.key
) -> tuple[dict[bytes, T], list[str]]:
    """The entry of each record by record key, and what is wrong with each record that holds none.

    `key_of` says under which key an entry's record has to stand.
    """
    entries: dict[bytes, T] = {}
    faults: list[str] = []
    for key, record in records.items():
        try:
            entry = decode(record.value)
        except MalformedRecord as error:
            faults.append(f"offset {record.offset}, key {key!r}: {error}")
            continue
        if key_of(entry) == key:
            entries[key] = entry
        else:
            faults.append(f"offset {record.offset}: key {key!r}, expected {key_of(entry)!r}")
    return entries, faults


def refuse_repeated(entries: Iterable[Entry]) -> None:
    """Raise MalformedRecord when two entries have the same key: which of them is meant is anybody's guess."""
    counts = Counter(entry.key for entry in entries)
    for key, count in counts.items():
        if count > 1:
            raise MalformedRecord(f"{key.decode()} is given {count} times; keep one of them")


def describe(changed: Mapping[str, tuple[Any, Any]]) -> str:
    """Changed fields for people: `max: 1 → 2, owner: – → team-eval`."""
    return ", ".join(f"{name}: {_shown(before)} → {_shown(after)}" for name, (before, after) in changed.items())


def _shown(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.15g}"
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value).items()
        return "{" + ", ".join(f"{name}: {_shown(inner)}" for name, inner in items) + "}"
    return str(value)
