"""Questions as SQL: the query file, allow-listed fragments in its places, every value a bound parameter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from string import Template
from typing import Any

from scoreline_analytics.fields import MAPS, Condition, kind_of
from scoreline_analytics.questions import Filter

_TYPES = {"text": "String", "number": "Float64", "moment": "DateTime64(6, 'UTC')"}


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL with `{name:Type}` in the places of its parameters."""

    sql: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Parameters:
    """The parameters of a statement that is being written. The only way for a value into a statement."""

    values: dict[str, Any] = field(default_factory=dict[str, Any])

    def bind(self, value: Any, type_: str) -> str:
        """The place of a new parameter, as `{p0:String}`."""
        name = f"p{len(self.values)}"
        self.values[name] = value
        return f"{{{name}:{type_}}}"

    def moment(self, moment: datetime) -> str:
        """The place of a point in time."""
        return self.bind(moment_text(moment), _TYPES["moment"])

    def column(self, name: str) -> str:
        """The expression of a field that `fields` has let through; a map's key is bound."""
        column, _, key = name.partition(".")
        return f"{column}[{self.bind(key, 'String')}]" if key else name

    def statement(self, query: str, **places: str) -> Statement:
        """The statement of queries/<query>.sql with fragments in its places."""
        return Statement(template(query).substitute(places), self.values)


@cache
def template(query: str) -> Template:
    """The text of queries/<query>.sql."""
    return Template((files("scoreline_analytics") / "queries" / f"{query}.sql").read_text())


def moment_text(moment: datetime) -> str:
    """A point in time as ClickHouse reads it, UTC."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


def scope(asked: Filter, projects: Sequence[str] | None, parameters: Parameters) -> list[str]:
    """Conditions on project, name and fields; those on time are apart. `projects` is what the reader may see."""
    conditions: list[str] = []
    if projects is not None:
        conditions.append(f"project IN {parameters.bind(list(projects), 'Array(String)')}")
    if asked.project is not None:
        conditions.append(f"project = {parameters.bind(asked.project, 'String')}")
    if asked.names:
        conditions.append(f"name IN {parameters.bind(list(asked.names), 'Array(String)')}")
    for condition in asked.conditions:
        conditions.extend(_condition(condition, parameters))
    return conditions


def times(asked: Filter, parameters: Parameters) -> list[str]:
    """Conditions on the judged time."""
    bounds = ((asked.since, ">="), (asked.until, "<"))
    return [f"timestamp {sign} {parameters.moment(moment)}" for moment, sign in bounds if moment is not None]


def where(asked: Filter, projects: Sequence[str] | None, parameters: Parameters, *more: str) -> str:
    """Every condition of a filter, joined."""
    return every([*scope(asked, projects, parameters), *times(asked, parameters), *more])


def every(conditions: Sequence[str]) -> str:
    """All of them; of none, true."""
    return " AND ".join(conditions) or "1"


def has(name: str, parameters: Parameters) -> str:
    """That a score has something in a field."""
    column, _, key = name.partition(".")
    if column in MAPS:
        return f"mapContains({column}, {parameters.bind(key, 'String')})"
    return f"isNotNull({column})" if kind_of(name) == "number" else f"notEmpty({column})"


def _condition(asked: Condition, parameters: Parameters) -> list[str]:
    kind = kind_of(asked.field)
    if asked.operator in ("has", "has not"):
        sign = "NOT " if asked.operator == "has not" else ""
        return [f"{sign}{has(asked.field, parameters)}"]
    place = parameters.column(asked.field)
    type_ = _TYPES[kind]
    values = [moment_text(value) if isinstance(value, datetime) else value for value in asked.values]
    if asked.operator in ("=", "!="):
        sign = "IN" if asked.operator == "=" else "NOT IN"
        return [f"{place} {sign} {parameters.bind(values, f'Array({type_})')}"]
    if asked.operator in ("~", "!~"):
        sign = ">" if asked.operator == "~" else "="
        return [f"positionCaseInsensitiveUTF8({place}, {parameters.bind(v, type_)}) {sign} 0" for v in values]
    return [f"{place} {asked.operator} {parameters.bind(value, type_)}" for value in values]
