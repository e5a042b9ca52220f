"""Whether what was asked for exists at all; if not, what does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from scoreline.errors import QueryError
from scoreline.rejections import Reason
from scoreline_analytics.catalogue import dimensions, values
from scoreline_analytics.clickhouse import Reader
from scoreline_analytics.fields import MAPS, Condition, is_dimension
from scoreline_analytics.nearest import listed
from scoreline_analytics.questions import Filter, Question
from scoreline_analytics.rejections import RejectionFilter, rejected_values
from scoreline_analytics.statements import Parameters, where

VALUES_MAX = 1000
_WANTING = ("=", "~", "has")
"""Operators that no score fulfils that lacks the field."""


def keys_of(reader: Reader, project: str | None) -> list[str]:
    """The keys of metadata and lookups that scores have, as dimensions."""
    return [key for key in dimensions(reader, Filter(project=project)).counts if is_key(key)]


def is_key(dimension: str) -> bool:
    """Whether it is a key of metadata or lookups."""
    return dimension.partition(".")[0] in MAPS


def require_known(reader: Reader, asked: Filter, *, is_empty: bool) -> None:
    """Raise QueryError when a value or a key that was asked for is on no score, whatever the time; it lists those that
    are.

    An answer that is not empty can only hide a name that nobody has among several, so only names are looked at then.
    """
    within = Filter(project=asked.project)
    if is_empty and asked.project is not None and asked.project not in (reader.projects or ()):
        _require(reader, Condition("project", "=", (asked.project,)), Filter())
    if (is_empty and asked.names) or len(asked.names) > 1:
        _require(reader, Condition("name", "=", asked.names), within)
    for condition in asked.conditions if is_empty else ():
        if is_key(condition.field) and condition.operator in _WANTING:
            require_key(reader, condition.field, asked.project)
        if condition.operator == "=" and is_dimension(condition.field):
            _require(reader, condition, within)


def require_keys(reader: Reader, asked: Question, groups: Iterable[Mapping[str, str]]) -> None:
    """Raise QueryError when scores were grouped by a key of metadata or lookups that no score has; it lists the keys.

    `groups` are the answer's; only where none of them has a value is it asked whether any other score has.
    """
    found = list(groups)
    for dimension in asked.by:
        if is_key(dimension) and found and not any(group[dimension] for group in found):
            require_key(reader, dimension, asked.project)


def require_key(reader: Reader, key: str, project: str | None) -> None:
    """Raise QueryError when no score has this key of metadata or lookups; it lists those that there are."""
    parameters = Parameters()
    having = Filter(project=project, where=(Condition(key, "has"),))
    if reader.rows(parameters.statement("any", conditions=where(having, reader.projects, parameters))):
        return
    there = keys_of(reader, project)
    raise QueryError(
        f"no score has {key}; {f'there are {listed(key, there)}' if there else 'there are no keys at all'}"
    )


def require_rejections_known(reader: Reader, asked: RejectionFilter) -> None:
    """Raise QueryError when what was asked of rejected records is neither on one of them nor on a score; it lists what
    is."""
    for column, wanted in (("project", (asked.project,)), ("service", asked.services), ("name", asked.names)):
        named = [value for value in wanted if value and (column, value) not in _own(reader)]
        if named:
            within = RejectionFilter(project=None if column == "project" else asked.project)
            _require_among(reader, column, named, within)
    if unknown := [reason for reason in asked.reasons if reason not in {*map(str, Reason)}]:
        _require_among(reader, "reason", unknown, RejectionFilter())


def _own(reader: Reader) -> set[tuple[str, str]]:
    return {("project", project) for project in reader.projects or ()}


def _having(within: RejectionFilter, column: str, wanted: tuple[str, ...]) -> RejectionFilter:
    if column == "project":
        return RejectionFilter(project=wanted[0])
    if column == "service":
        return replace(within, services=wanted)
    return replace(within, names=wanted) if column == "name" else replace(within, reasons=wanted)


def _require_among(reader: Reader, column: str, wanted: list[str], within: RejectionFilter) -> None:
    """`wanted` are on a rejected record, or on a score; a reason is on no score."""
    scores, is_of_scores = Filter(project=within.project), is_dimension(column)
    found = {*rejected_values(reader, column, _having(within, column, tuple(wanted)), VALUES_MAX)}
    if is_of_scores:
        having = replace(scores, where=(Condition(column, "=", tuple(wanted)),))
        found |= values(reader, column, having, VALUES_MAX).counts.keys()
    if missing := [value for value in wanted if value not in found]:
        there = [*map(str, Reason)] if not is_of_scores else [*values(reader, column, scores, VALUES_MAX).counts]
        there += rejected_values(reader, column, within, VALUES_MAX)
        listing = listed(missing[0], [value for value in there if value]) or "none"
        raise QueryError(f"no record has {column} {missing[0]!r}; there are {listing}")


def _require(reader: Reader, wanted: Condition, within: Filter) -> None:
    found = values(reader, wanted.field, Filter(project=within.project, where=(wanted,)), VALUES_MAX).counts
    missing = [str(value) for value in wanted.values if value not in found]
    if not missing:
        return
    there = [value for value in values(reader, wanted.field, within, VALUES_MAX).counts if value]
    if there:
        raise QueryError(f"no score has {wanted.field} {missing[0]!r}; there are {listed(missing[0], there)}")
    raise QueryError(
        "there are no scores yet" if wanted.field in ("project", "name") else f"no score has {wanted.field}"
    )
