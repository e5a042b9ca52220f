"""Which part of a question the rollups answer: projections of `scores` by time, read on their expressions.

ClickHouse reads a projection only for a query on exactly its expressions: `toStartOfHour(timestamp)`, never the raw
timestamp. So a time range is cut into pieces: whole days, whole hours at their ends, and single rows at the very ends.
The pieces hold every score once, and their sums add up to what the rows alone would say.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from scoreline_analytics.questions import Filter

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Level:
    """What a piece is read from."""

    seconds: int
    """Width of its buckets; 0: the rows themselves."""
    time: str
    """The projection's expression of its buckets."""
    dimensions: frozenset[str]


_ALWAYS = frozenset({"project", "name", "data_type"})
ROWS = Level(0, "timestamp", frozenset())
MINUTE = Level(60, "toStartOfMinute(timestamp)", _ALWAYS)
HOUR = Level(3600, "toStartOfHour(timestamp)", _ALWAYS | {"label"})
DAY = Level(86400, "toStartOfDay(timestamp)", _ALWAYS | {"label"})
ORIGIN = Level(86400, "toStartOfDay(timestamp)", _ALWAYS | {"label", "service", "environment", "release"})


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of the time; an open end is None."""

    level: Level
    since: datetime | None
    until: datetime | None


def levels_of(asked: Filter, fields: Iterable[str], edges: Sequence[int] = ()) -> tuple[Level, ...]:
    """The rollups that can answer, the coarsest first: they know every field that is asked for or by, and no bucket of
    theirs is cut by an edge (epoch seconds). None: only the rows can."""
    wanted = {*fields, *(condition.field for condition in asked.conditions)}
    usable = {
        level.seconds: level
        for level in (ORIGIN, DAY, HOUR, MINUTE)
        if wanted <= level.dimensions and all(edge % level.seconds == 0 for edge in edges)
    }
    return tuple(usable.values())[:2]


def pieces(since: datetime | None, until: datetime | None, levels: Sequence[Level]) -> Iterator[Piece]:
    """Cut a time into what each level can answer; what none can is left to the rows."""
    if since is not None and until is not None and since >= until:
        return
    if not levels:
        yield Piece(ROWS, since, until)
        return
    level, *finer = levels
    first = None if since is None else floor_of(since, level, up=level.seconds * 1_000_000 - 1)
    last = None if until is None else floor_of(until, level)
    if first is not None and last is not None and first >= last:
        yield from pieces(since, until, finer)
        return
    if since is not None and first is not None:
        yield from pieces(since, first, finer)
    yield Piece(level, first, last)
    if until is not None and last is not None:
        yield from pieces(last, until, finer)


def floor_of(moment: datetime, level: Level, up: int = 0) -> datetime:
    """The start of the level's bucket that holds the moment `up` microseconds later."""
    delta = moment.astimezone(UTC) - EPOCH
    microseconds = (delta.days * 86400 + delta.seconds) * 1_000_000 + delta.microseconds + up
    return datetime.fromtimestamp(microseconds // (level.seconds * 1_000_000) * level.seconds, UTC)
