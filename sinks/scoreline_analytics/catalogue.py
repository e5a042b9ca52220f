"""What there is to ask about: names, dimensions, values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from scoreline_analytics.clickhouse import Reader
from scoreline_analytics.extent import extent_of
from scoreline_analytics.fields import DIMENSIONS, MAPS, require_dimension
from scoreline_analytics.moments import Grouping, Key, at_home, homes, moments_of
from scoreline_analytics.questions import GROUPS_MAX, Filter, Question
from scoreline_analytics.results import Result, Row
from scoreline_analytics.rollups import Level, floor_of, levels_of
from scoreline_analytics.statements import Parameters, Statement, every, scope, where

KEYS_DAYS = 30
"""Keys of maps are looked for in this many days before the latest score, where the filter says no time."""
KEYS_MAX = 1000


@dataclass(frozen=True, slots=True)
class Name:
    """A score name of one project."""

    project: str
    name: str
    data_type: str
    """NUMERIC, CATEGORICAL or BOOLEAN. A name has a row for each of its types; failed scores that do not say theirs are
    in the row of the one type, else in a row with an empty one."""
    n: int
    failed: int
    last: datetime
    """When the latest was judged, UTC."""


@dataclass(frozen=True, slots=True)
class Names(Result):
    """Every score name, the most frequent first."""

    names: tuple[Name, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return ("project", "name", "data_type", "n", "failed", "last")

    def rows(self) -> list[Row]:
        return [{column: getattr(name, column) for column in self.columns} for name in self.names]


@dataclass(frozen=True, slots=True)
class Valued(Result):
    """Values of a dimension, or dimensions themselves, with the number of scores that have them (failed ones too)."""

    dimension: str
    """Which dimension's values these are; `dimension` itself for the dimensions."""
    counts: dict[str, int | None]
    """The most frequent first. None: not counted."""

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.dimension, "n")

    def rows(self) -> list[Row]:
        return [dict(zip(self.columns, item, strict=True)) for item in self.counts.items()]


def names(reader: Reader, asked: Filter) -> Names:
    """Ask ClickHouse."""
    keys = ("project", "name", "data_type")
    question = question_of(asked, keys)
    found = moments_of(reader, question, Grouping(keys), GROUPS_MAX)
    places = homes(found)
    last: dict[Key, datetime] = {}
    for key, moment in _last(reader, asked).items():
        place = places.get(key, key)
        last[place] = max(moment, last.get(place, moment))
    groups = at_home(found, places)
    return Names(
        tuple(Name(*map(str, key), n=m.n, failed=m.failed, last=last[key]) for key, m in groups.items() if key in last)
    )


def question_of(asked: Filter, by: tuple[str, ...], limit: int = GROUPS_MAX) -> Question:
    """The filter's scores in groups."""
    return Question(
        names=asked.names,
        project=asked.project,
        since=asked.since,
        until=asked.until,
        where=asked.where,
        by=by,
        limit=limit,
    )


def _last(reader: Reader, asked: Filter) -> dict[tuple[str, ...], datetime]:
    """When the latest score of each project, name and type was judged: its bucket by the rollup, in it by the rows."""
    parameters = Parameters()
    conditions = where(asked, reader.projects, parameters)
    for level in levels_of(asked, ())[:1]:
        # The bucket that `until` cuts may hold later scores only, so it is none of the rollup's.
        end = None if asked.until is None else floor_of(asked.until, level)
        buckets = reader.rows(buckets_statement(reader, asked, level, end))
        place = parameters.bind(buckets, "Array(Tuple(String, String, DateTime('UTC')))")
        cut = "" if end is None else f" OR timestamp >= {parameters.moment(end)}"
        conditions += f" AND ((project, name, {level.time}) IN {place}{cut})"
    rows = reader.rows(parameters.statement("last", conditions=conditions))
    return {(project, name, type_): last.replace(tzinfo=UTC) for project, name, type_, last in rows}


def buckets_statement(reader: Reader, asked: Filter, level: Level, end: datetime | None) -> Statement:
    """The statement of queries/last_buckets.sql, of the whole buckets before `end`."""
    parameters = Parameters()
    conditions = scope(asked, reader.projects, parameters)
    if end is not None:
        conditions.append(f"{level.time} < {parameters.moment(end)}")
    return parameters.statement("last_buckets", bucket=level.time, conditions=every(conditions))


def dimensions(reader: Reader, asked: Filter) -> Valued:
    """Ask ClickHouse for the keys of the maps; the other dimensions are always the same."""
    if asked.since is None and (extent := extent_of(reader, asked)) is not None:
        asked = Filter(
            names=asked.names,
            project=asked.project,
            since=extent[1] - timedelta(days=KEYS_DAYS),
            until=asked.until,
            where=asked.where,
        )
    counts: dict[str, int] = {}
    for column in MAPS:
        parameters = Parameters({"limit": KEYS_MAX})
        conditions = where(asked, reader.projects, parameters)
        for key, n in reader.rows(parameters.statement("keys", column=column, conditions=conditions)):
            counts[f"{column}.{key}"] = n
    return Valued("dimension", {**dict.fromkeys(DIMENSIONS), **counts})


def values(reader: Reader, dimension: str, asked: Filter, limit: int) -> Valued:
    """Ask ClickHouse."""
    require_dimension(dimension)
    found = moments_of(reader, question_of(asked, (dimension,), limit), Grouping((dimension,)), limit)
    return Valued(dimension, {key[0]: m.n + m.failed for key, m in found.items()})
