"""From when to when there are scores."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from scoreline_analytics.clickhouse import Reader
from scoreline_analytics.questions import Filter
from scoreline_analytics.rollups import Level, levels_of
from scoreline_analytics.statements import Parameters, Statement, every, scope, times

_MICROSECOND = timedelta(microseconds=1)


def extent_of(reader: Reader, asked: Filter) -> tuple[datetime, datetime] | None:
    """The first and the last moment of the filter's time; an end that it leaves open is that of its scores.

    None when there are no scores at all.
    """
    since, until = asked.since, asked.until
    if since is None or until is None:
        scores = _extent_of_scores(reader, asked)
        if scores is None:
            return None
        since, until = since or scores[0], until or scores[1] + _MICROSECOND
    return since, max(since, until - _MICROSECOND)


def _extent_of_scores(reader: Reader, asked: Filter) -> tuple[datetime, datetime] | None:
    """The rollup tells the first and the last bucket, the rows in these the moments."""
    ends: tuple[tuple[datetime, datetime], ...] = ()
    for level in levels_of(asked, ())[:1]:
        [(first, last, n)] = reader.rows(buckets_statement(reader, asked, level))
        if n == 0:
            return None
        width = timedelta(seconds=level.seconds)
        ends = tuple((end.replace(tzinfo=UTC), end.replace(tzinfo=UTC) + width) for end in (first, last))
    [(first, last, n)] = reader.rows(rows_statement(reader, asked, ends))
    return (first.replace(tzinfo=UTC), last.replace(tzinfo=UTC)) if n else None


def buckets_statement(reader: Reader, asked: Filter, level: Level) -> Statement:
    """The statement of queries/extent_buckets.sql: whole buckets, whatever the time asked for."""
    parameters = Parameters()
    conditions = scope(asked, reader.projects, parameters)
    since = asked.since and asked.since - timedelta(seconds=level.seconds)
    bounds = ((since, ">"), (asked.until, "<"))
    conditions += [f"{level.time} {sign} {parameters.moment(moment)}" for moment, sign in bounds if moment is not None]
    return parameters.statement("extent_buckets", bucket=level.time, conditions=every(conditions))


def rows_statement(reader: Reader, asked: Filter, ends: tuple[tuple[datetime, datetime], ...]) -> Statement:
    """The statement of queries/extent.sql, of the scores in one of `ends`; none: of all."""
    parameters = Parameters()
    conditions = [*scope(asked, reader.projects, parameters), *times(asked, parameters)]
    within = [
        f"(timestamp >= {parameters.moment(since)} AND timestamp < {parameters.moment(until)})" for since, until in ends
    ]
    return parameters.statement(
        "extent", conditions=every([*conditions, *([f"({' OR '.join(within)})"] if within else [])])
    )
