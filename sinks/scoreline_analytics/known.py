"""Whether what was asked for exists at all; if not, what does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from scoreline.errors import QueryError
from scoreline_analytics.catalogue import dimensions, values
from scoreline_analytics.clickhouse import Reader
from scoreline_analytics.fields import Condition, is_dimension
from scoreline_analytics.nearest import listed
from scoreline_analytics.questions import Filter, Question

VALUES_MAX = 1000


def require_known(reader: Reader, asked: Filter, *, is_empty: bool) -> None:
    """Raise QueryError when a value that was asked for is on no score, whatever the time; it lists those that are.

    An answer that is not empty can only hide a name that nobody has among several, so only names are looked at then.
    """
    wanted: list[Condition] = []
    if is_empty and asked.project is not None:
        wanted.append(Condition("project", "=", (asked.project,)))
    if (is_empty and asked.names) or len(asked.names) > 1:
        wanted.append(Condition("name", "=", asked.names))
    if is_empty:
        wanted += [c for c in asked.conditions if c.operator == "=" and is_dimension(c.field)]
    for condition in wanted:
        within = Filter(project=None if condition.field == "project" else asked.project)
        _require(reader, condition, within)


def require_keys(reader: Reader, asked: Question, groups: Iterable[Mapping[str, str]]) -> None:
    """Raise QueryError when scores were grouped by a key of metadata or lookups that no score has; it lists the keys.

    `groups` are the answer's; only where none of them has a value is it asked whether any other score has.
    """
    found = list(groups)
    for dimension in asked.by:
        if "." not in dimension or not found or any(group[dimension] for group in found):
            continue
        within = Filter(project=asked.project)
        having = Filter(project=asked.project, where=(Condition(dimension, "has"),))
        if not values(reader, dimension, having, 1).counts:
            there = [key for key in dimensions(reader, within).counts if "." in key]
            listing = f"there are {listed(dimension, there)}" if there else "there are no keys at all"
            raise QueryError(f"no score has {dimension}; {listing}")


def _require(reader: Reader, wanted: Condition, within: Filter) -> None:
    found = values(reader, wanted.field, Filter(project=within.project, where=(wanted,)), VALUES_MAX).counts
    missing = [str(value) for value in wanted.values if value not in found]
    if not missing:
        return
    there = values(reader, wanted.field, within, VALUES_MAX).counts
    if not there:
        raise QueryError("there are no scores yet")
    raise QueryError(f"no score has {wanted.field} {missing[0]!r}; there are {listed(missing[0], there)}")
