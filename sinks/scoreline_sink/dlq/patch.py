"""A patch mends the fields of a rejected record before it is sent again. Pure: bytes in, bytes out."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from scoreline.commands.coercion import timestamp_of, value_of
from scoreline.errors import InvalidScore, MalformedRecord, QueryError
from scoreline.events import Evaluator, ScoreEvent

FIELDS = frozenset(ScoreEvent.model_fields)
_EVALUATOR_FIELDS = frozenset(Evaluator.model_fields)
_HOLDERS = ("metadata", "evaluator")
"""Fields that hold fields, which a path reaches with a dot."""
_JSON_FIELDS = (*_HOLDERS, "schema_version")

Fields = dict[str, Any]


class Path(NamedTuple):
    """A field, or a key inside of `metadata` or `evaluator`."""

    holder: str | None
    name: str

    def __str__(self) -> str:
        return self.name if self.holder is None else f"{self.holder}.{self.name}"


@dataclass(frozen=True, slots=True)
class Patch:
    """What to change, in this order: rename, drop, set. A renamed or dropped field may be absent."""

    renames: tuple[tuple[Path, Path], ...] = ()
    drops: tuple[Path, ...] = ()
    sets: tuple[tuple[Path, str], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.renames or self.drops or self.sets)

    def __str__(self) -> str:
        """As it was given on the command line."""
        return " ".join(
            [
                *(f"--rename {old}={new}" for old, new in self.renames),
                *(f"--drop {path}" for path in self.drops),
                *(f"--set {path}={value}" for path, value in self.sets),
            ]
        )

    @property
    def gives_an_id(self) -> bool:
        """Whether every record would get the same id."""
        return any(str(path) == "score_id" for path, _ in self.sets)

    def apply(self, value: bytes | None) -> bytes | None:
        """The patched value; without a patch the very same bytes. Raises MalformedRecord where that cannot be done."""
        if not self:
            return value
        fields = decode(value)
        for old, new in self.renames:
            _rename(fields, old, new)
        for path in self.drops:
            _take(fields, path)
        for path, given in self.sets:
            _put(fields, path, _typed(path, given, fields))
        return encode(fields)


def patch_of(sets: Sequence[str], renames: Sequence[str], drops: Sequence[str]) -> Patch:
    """The patch that `FIELD=VALUE`, `FIELD=FIELD` and `FIELD` say.

    Raises QueryError for a target that the contract does not know.
    """
    pairs = [_pair("--set", text) for text in sets]
    return Patch(
        tuple((_path(old), _target(new)) for old, new in (_pair("--rename", text) for text in renames)),
        tuple(_path(text) for text in drops),
        # the type of a value depends on the data_type: that is set before
        tuple(sorted(((_target(field), value) for field, value in pairs), key=lambda pair: str(pair[0]) == "value")),
    )


def decode(value: bytes | None) -> Fields:
    """The record as an object, numbers and strings as they were. Raises MalformedRecord for anything else."""
    try:
        parsed = json.loads((value or b"").decode(), object_pairs_hook=_object_once)
    except (ValueError, RecursionError) as error:
        raise MalformedRecord(f"the value is no JSON that a patch could change: {error}") from error
    if not isinstance(parsed, dict):
        raise MalformedRecord("the value is no JSON object")
    return parsed  # pyright: ignore[reportUnknownVariableType]


def encode(fields: Fields) -> bytes:
    """The value of the patched record: compact JSON."""
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def _object_once(pairs: list[tuple[str, Any]]) -> Fields:
    parsed = dict(pairs)
    if len(parsed) < len(pairs):
        raise ValueError("a key stands twice in one object")
    return parsed


def _pair(option: str, text: str) -> tuple[str, str]:
    left, separator, right = text.partition("=")
    if not separator or not left:
        raise QueryError(f"{option} {text}: expected FIELD={'VALUE' if option == '--set' else 'FIELD'}")
    return left, right


def _path(text: str) -> Path:
    holder, dot, name = text.partition(".")
    return Path(holder, name) if dot and name and holder in _HOLDERS else Path(None, text)


def _target(text: str) -> Path:
    path = _path(text)
    known = FIELDS if path.holder is None else _EVALUATOR_FIELDS if path.holder == "evaluator" else {path.name}
    if path.name not in known:
        raise QueryError(
            f"{text!r} is no field of a score; there are {', '.join(sorted(FIELDS))}, metadata.KEY and evaluator.FIELD"
        )
    return path


def _holder(fields: Fields, path: Path, make: Callable[[], Fields] | None) -> Fields | None:
    """The object that holds the last name of `path`; None where it is not there and `make` is None."""
    if path.holder is None:
        return fields
    held = fields.get(path.holder)
    if held is None:
        if make is None:
            return None
        held = fields[path.holder] = make()
    if not isinstance(held, dict):
        raise MalformedRecord(f"{path.holder} is no object, so that it has no {path.name}")
    return held  # pyright: ignore[reportUnknownVariableType]


def _take(fields: Fields, path: Path) -> Any:
    holder = _holder(fields, path, None)
    return None if holder is None else holder.pop(path.name, None)


def _rename(fields: Fields, old: Path, new: Path) -> None:
    item = _take(fields, old)
    if item is None:
        return
    holder = _holder(fields, new, dict)
    if holder is not None and holder.get(new.name) is not None:
        raise MalformedRecord(f"--rename {old}={new}: both are there")
    _put(fields, new, item)


def _put(fields: Fields, path: Path, item: Any) -> None:
    holder = _holder(fields, path, dict)
    if holder is not None:
        holder[path.name] = item


def _typed(path: Path, given: str, fields: Fields) -> Any:
    """Text of the command line as the field takes it, as `scoreline emit` reads it."""
    if path.holder is not None:
        return given
    try:
        if path.name == "value":
            return value_of(given, fields.get("data_type"))
        if path.name == "timestamp":
            return timestamp_of(given)
        return json.loads(given) if path.name in _JSON_FIELDS else given
    except InvalidScore as error:
        raise MalformedRecord(f"--set {path}={given}: {error.rejection.detail}") from error
    except ValueError as error:
        raise MalformedRecord(f"--set {path}: expected JSON: {error}") from error
