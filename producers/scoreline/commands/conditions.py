"""What a person asks of a record's fields: `value>0.8`, `status=failed`, `metadata.model=large`. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from operator import gt, lt
from typing import Any

from scoreline.errors import QueryError

_CONDITION = re.compile(r"([^=<>]+)([=<>])(.*)", re.DOTALL)
_OPEN = ("metadata", "lookups")
_COMPARE: dict[str, Callable[[float, float], bool]] = {"<": lt, ">": gt}


@dataclass(frozen=True, slots=True)
class Condition:
    """One field, compared with one value."""

    field: str
    operator: str
    """`=`, `<` or `>`."""
    text: str

    def holds(self, record: Mapping[str, Any]) -> bool:
        """Whether it does for this record; an absent field is null, and null is neither less nor more."""
        found = _found(record, self.field)
        if self.operator == "=":
            return self._equals(found)
        return type(found) in (int, float) and _COMPARE[self.operator](found, float(self.text))

    def _equals(self, found: Any) -> bool:
        if found is None or isinstance(found, bool):
            return self.text == {None: "null", True: "true", False: "false"}[found]
        if isinstance(found, int | float):
            return _number(self.text) == found
        return self.text == found


def condition_of(text: str, fields: Collection[str]) -> Condition:
    """FIELD=VALUE, FIELD<NUMBER or FIELD>NUMBER; the field is one of `fields`, or in an open one. Raises QueryError."""
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise QueryError(f"{text!r} is no condition; give FIELD=VALUE, FIELD<NUMBER or FIELD>NUMBER")
    field, operator, value = match.groups()
    name, dot, inner = field.partition(".")
    is_open = name in _OPEN
    if name not in fields or is_open != bool(inner) or (dot and not is_open):
        closed = ", ".join(sorted(name for name in fields if name not in _OPEN))
        inside = "".join(f", {name}.KEY" for name in _OPEN if name in fields)
        raise QueryError(f"{field!r} is no field; there are {closed}{inside}")
    if operator != "=" and _number(value) is None:
        raise QueryError(f"{text!r}: {value!r} is no number")
    return Condition(field, operator, value)


def _found(record: Mapping[str, Any], field: str) -> Any:
    """The field's value: dots lead into objects, unless a key is written with them."""
    if field in record:
        return record[field]
    name, dot, inner = field.partition(".")
    deeper = record.get(name)
    return _found(deeper, inner) if dot and isinstance(deeper, dict) else None  # pyright: ignore[reportUnknownArgumentType]


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
