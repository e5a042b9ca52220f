"""The fields of a score that can be asked about, and conditions on them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from scoreline.errors import QueryError
from scoreline_analytics.nearest import listed

DIMENSIONS = (
    "project",
    "name",
    "status",
    "data_type",
    "label",
    "service",
    "environment",
    "release",
    "source",
    "evaluator_name",
    "evaluator_version",
    "evaluator_model",
    "author",
    "config_id",
    "target",
    "dataset_run_id",
    "session_id",
    "trace_id",
    "observation_id",
)
"""The text columns of the table `scores` that scores can be grouped and filtered by; absent is the empty text."""
MAPS = ("metadata", "lookups")
"""Columns whose keys are dimensions too: `metadata.KEY`, `lookups.FIELD.ATTRIBUTE`."""
TEXTS = ("score_id", "comment", "error")
"""Text columns that filter and do not group."""
NUMBERS = ("value", "normalized", "config_version", "delay_s")
"""Number columns that filter."""
MOMENTS = ("timestamp", "received_at", "inserted_at")
"""Time columns that filter."""

Kind = Literal["text", "number", "moment"]
Operator = Literal["=", "!=", "~", "!~", "<", "<=", ">", ">=", "has", "has not"]
"""`~` is contains, whatever the case; `has` is that there is something, for a map that there is the key."""
Value = str | float | datetime

OPERATORS: dict[Kind, tuple[Operator, ...]] = {
    "text": ("=", "!=", "~", "!~", "has", "has not"),
    "number": ("=", "!=", "<", "<=", ">", ">=", "has", "has not"),
    "moment": ("<", "<=", ">", ">="),
}
_ANY_KEY = ", metadata.KEY and lookups.FIELD.ATTRIBUTE"
_TEXT = re.compile(r"([^=!<>~]+)(!=|!~|<=|>=|=|~|<|>)(.*)", re.DOTALL)


class UnknownField(QueryError):
    """A field that does not exist; the message lists those that do."""

    def __init__(self, what: str, asked: str, known: Sequence[str], keys: Sequence[str] | None = None) -> None:
        """`what` was `asked` for, field or dimension; `keys` are those of the maps, None where nobody has looked."""
        there = listed(asked, (*known, *(keys or ())))
        super().__init__(f"no {what} {asked!r}; there are {there}{'' if keys else _ANY_KEY}")
        self._asked = what, asked, known

    def with_keys(self, keys: Sequence[str]) -> QueryError:
        """The same error, which lists the keys of metadata and lookups too."""
        return UnknownField(*self._asked, keys)


def is_dimension(field: str) -> bool:
    """Whether scores can be grouped by it."""
    column, _, key = field.partition(".")
    return field in DIMENSIONS or (column in MAPS and bool(key))


def require_dimension(dimension: str) -> None:
    """Raise QueryError, listing the dimensions, when this is none."""
    if not is_dimension(dimension):
        raise UnknownField("dimension", dimension, DIMENSIONS)


def kind_of(field: str) -> Kind:
    """What a field holds. Raises QueryError, listing the fields, when there is none of that name."""
    if is_dimension(field) or field in TEXTS:
        return "text"
    if field in NUMBERS:
        return "number"
    if field in MOMENTS:
        return "moment"
    raise UnknownField("field", field, (*DIMENSIONS, *TEXTS, *NUMBERS, *MOMENTS))


@dataclass(frozen=True, slots=True)
class Condition:
    """What a field has to be. Of several values of `=` any will do; of the other operators all have to hold."""

    field: str
    operator: Operator
    values: tuple[Value, ...] = ()

    def __post_init__(self) -> None:
        """Raise QueryError for a condition that cannot be asked, with what can."""
        kind = kind_of(self.field)
        if self.operator not in OPERATORS[kind]:
            raise QueryError(f"{self.field} is a {kind}: it takes {', '.join(OPERATORS[kind])}, not {self.operator}")
        takes_values = not self.operator.startswith("has")
        if takes_values != bool(self.values):
            raise QueryError(f"{self.field} {self.operator}: {'a value is missing' if takes_values else 'no value'}")
        for value in self.values:
            if kind != _kind_of_value(value):
                raise QueryError(f"{self.field} {self.operator} {value!r}: a {kind} is wanted")
            if isinstance(value, datetime) and value.tzinfo is None:
                raise QueryError(f"{value.isoformat()} has no zone; give one, as 2026-01-31T12:00:00Z")


def _kind_of_value(value: Value) -> Kind:
    if isinstance(value, str):
        return "text"
    return "moment" if isinstance(value, datetime) else "number"


def condition_of(text: str) -> Condition:
    """A condition as people type it.

    `environment=prod`, `environment!=prod`, `comment~word`, `comment!~word`, `value>=0.5`, `timestamp<2026-02-01`,
    `metadata.item` (has that key), `!metadata.item` (has not). The value is all that follows the operator.
    Raises QueryError.
    """
    found = _TEXT.fullmatch(text)
    if found is None:
        field = text.removeprefix("!")
        if not field or any(character in field for character in "=!<>~"):
            raise QueryError(f"{text!r} is no condition; give FIELD=VALUE, as in environment=prod, or value>=0.5")
        return Condition(field, "has" if field == text else "has not")
    field, operator, value = found.groups()
    return Condition(field, operator, (_value(field, value),))  # pyright: ignore[reportArgumentType]


def _value(field: str, text: str) -> Value:
    kind = kind_of(field)
    if kind == "text":
        return text
    try:
        if kind == "number":
            return float(text)
        return datetime.fromisoformat(text if len(text) > len("2026-01-31") else f"{text}T00:00:00Z")
    except ValueError as error:
        example = "0.5" if kind == "number" else "2026-01-31T12:00:00Z"
        raise QueryError(f"{field}: {text!r} is no {kind}; give one as {example}") from error
