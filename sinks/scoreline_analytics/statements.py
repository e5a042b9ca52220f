"""A question as SQL: the query file, allow-listed fragments in its places, every value a bound parameter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from importlib.resources import files
from string import Template
from typing import Any

from scoreline_analytics.questions import Question, Step

_STEPS: Mapping[Step, str] = {
    "minute": "toStartOfMinute(timestamp)",
    "hour": "toStartOfHour(timestamp)",
    "day": "toStartOfDay(timestamp)",
}


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL with `{name:Type}` in the places of its parameters."""

    sql: str
    parameters: Mapping[str, Any]


def summary_statement(question: Question) -> Statement:
    """The statement of queries/summary.sql. Its columns: the time if a step was asked, each dimension, the figures."""
    parameters: dict[str, Any] = {"limit": question.limit + 1}
    groups = {} if question.step is None else {"time": _STEPS[question.step]}
    for number, dimension in enumerate(question.by):
        groups[f"group_{number}"] = _column(dimension, f"by_{number}", parameters)
    keys = ", ".join(groups) or "()"
    sql = Template(_query("summary")).substitute(
        groups=", ".join(f"{column} AS {alias}" for alias, column in groups.items()) or "1",
        conditions=" AND ".join(_conditions(question, parameters)) or "1",
        keys=keys,
        order=", ".join(("time", "count DESC", *groups) if question.step else ("count DESC", *groups)),
    )
    return Statement(sql, parameters)


def _conditions(question: Question, parameters: dict[str, Any]) -> list[str]:
    conditions: list[str] = []
    if question.names:
        parameters["names"] = list(question.names)
        conditions.append("name IN {names:Array(String)}")
    if question.project is not None:
        parameters["project"] = question.project
        conditions.append("project = {project:String}")
    for bound, moment, comparison in (("since", question.since, ">="), ("until", question.until, "<")):
        if moment is not None:
            parameters[bound] = moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
            conditions.append(f"timestamp {comparison} {{{bound}:DateTime64(6, 'UTC')}}")
    values: dict[str, list[str]] = {}
    for dimension, value in question.where:
        values.setdefault(dimension, []).append(value)
    for number, (dimension, wanted) in enumerate(values.items()):
        column = _column(dimension, f"where_{number}", parameters)
        parameters[f"values_{number}"] = wanted
        conditions.append(f"{column} IN {{values_{number}:Array(String)}}")
    return conditions


def _column(dimension: str, parameter: str, parameters: dict[str, Any]) -> str:
    """The expression of a dimension that `Question` has let through; a map's key is bound under `parameter`."""
    column, _, key = dimension.partition(".")
    if not key:
        return dimension
    parameters[parameter] = key
    return f"{column}[{{{parameter}:String}}]"


def _query(name: str) -> str:
    return (files("scoreline_analytics") / "queries" / f"{name}.sql").read_text()
