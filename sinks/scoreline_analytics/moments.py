"""Counts, mean, variance and extremes of each group: from the rollups where they can answer, else from the rows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from scoreline_analytics.clickhouse import Reader
from scoreline_analytics.questions import Question
from scoreline_analytics.rollups import ROWS, Level, Piece, levels_of, pieces
from scoreline_analytics.statements import Parameters, Statement, every, scope, template, where

SPREAD_MIN = 1e-6
"""A variance from sums is taken when it is at least this share of the squared mean: ten digits of it are then right."""

Key = tuple[Any, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """What is known of the scores of one group."""

    n: int = 0
    """Scores, with a number or without; failed ones apart."""
    failed: int = 0
    numbers: int = 0
    """Scores with a number."""
    mean: float | None = None
    variance: float | None = None
    """Of the sample (n - 1)."""
    low: float | None = None
    high: float | None = None
    types: frozenset[str] = frozenset()
    """Data types among the scores, failed ones too."""
    quantiles: tuple[float | None, ...] = ()


NONE = Moments()


@dataclass(frozen=True, slots=True)
class Grouping:
    """How scores are grouped: by the question's dimensions, and by buckets where there are edges."""

    by: tuple[str, ...]
    edges: tuple[int, ...] = ()
    """Epoch seconds where buckets begin, and the end of the last one; none: no buckets."""
    quantiles: tuple[float, ...] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        """Aliases of the columns to group by; a constant where there is nothing to group by."""
        bucket = ("bucket",) if self.edges else ()
        return (*bucket, *(f"group_{n}" for n in range(len(self.by)))) or ("everything",)

    def columns(self, level: Level, parameters: Parameters) -> str:
        """The keys' expressions, read from a level."""
        columns = [f"{parameters.column(dimension)} AS group_{n}" for n, dimension in enumerate(self.by)]
        if self.edges:
            place = parameters.bind(list(self.edges[:-1]), "Array(UInt32)")
            columns.insert(0, f"roundDown(toUnixTimestamp({level.time}), {place}) AS bucket")
        return ", ".join(columns) or "0 AS everything"


def moments_of(reader: Reader, question: Question, grouping: Grouping, limit: int) -> dict[Key, Moments]:
    """Figures of each group, `limit` at most, the largest first; the key is the bucket, if any, and the dimensions."""
    levels = () if grouping.quantiles else levels_of(question, grouping.by, grouping.edges)
    if levels:
        rows = reader.rows(rollup_statement(question, grouping, reader.projects, levels, limit))
        groups = {_key(grouping, row): _from_sums(row) for row in rows}
        if all(_is_sound(moments) for moments in groups.values()):
            return groups
    rows = reader.rows(rows_statement(question, grouping, reader.projects, limit))
    return {_key(grouping, row): _from_rows(row) for row in rows}


def homes(*sides: Mapping[Key, Moments]) -> dict[Key, Key]:
    """Where failed scores that say no data type belong: their key → that of their name and its one type.

    The last dimension of the keys is data_type. Absent are those whose name has several types, or none.
    """
    typed: dict[Key, set[Key]] = {}
    for key in (key for groups in sides for key in groups if key[-1]):
        typed.setdefault(key[:-1], set()).add(key)
    found = {key: typed.get(key[:-1], set[Key]()) for groups in sides for key in groups if not key[-1]}
    return {key: next(iter(keys)) for key, keys in found.items() if len(keys) == 1}


def at_home(groups: Mapping[Key, Moments], homes: Mapping[Key, Key]) -> dict[Key, Moments]:
    """The groups, with failed scores counted where they belong. What has scores that did not fail stays."""
    result: dict[Key, Moments] = {}
    for key, moments in sorted(groups.items(), key=lambda item: item[1].n == 0):
        home = key if moments.n else homes.get(key, key)
        before = result.get(home)
        result[home] = moments if before is None else replace(before, failed=before.failed + moments.failed)
    return result


def rows_statement(question: Question, grouping: Grouping, projects: Sequence[str] | None, limit: int) -> Statement:
    """The statement of queries/moments.sql."""
    parameters = Parameters({"limit": limit})
    levels = ", ".join(parameters.bind(q, "Float64") for q in grouping.quantiles)
    return parameters.statement(
        "moments",
        groups=grouping.columns(ROWS, parameters),
        quantiles=f"quantilesExactInclusive({levels})(value)" if levels else "[]",
        conditions=where(question, projects, parameters),
        keys=", ".join(grouping.keys),
    )


def rollup_statement(
    question: Question, grouping: Grouping, projects: Sequence[str] | None, levels: Sequence[Level], limit: int
) -> Statement:
    """The statement of queries/rollup.sql."""
    return pieced_statement("rollup", question, grouping, projects, levels, {"limit": limit})


def pieced_statement(
    query: str,
    question: Question,
    grouping: Grouping,
    projects: Sequence[str] | None,
    levels: Sequence[Level],
    limits: Mapping[str, int],
) -> Statement:
    """The statement of a query that adds up pieces of the time."""
    parameters = Parameters(dict(limits))
    conditions = scope(question, projects, parameters)
    keys = ", ".join(grouping.keys)
    parts = [
        template(f"{query}_piece").substitute(
            groups=grouping.columns(piece.level, parameters),
            conditions=every([*conditions, *_piece_times(piece, parameters)]),
            keys=keys,
        )
        for piece in pieces(question.since, question.until, levels)
    ]
    return parameters.statement(query, columns=keys, keys=keys, pieces="\nUNION ALL\n".join(parts))


def _piece_times(piece: Piece, parameters: Parameters) -> list[str]:
    bounds = ((piece.since, ">="), (piece.until, "<"))
    return [f"{piece.level.time} {sign} {parameters.moment(moment)}" for moment, sign in bounds if moment is not None]


def _key(grouping: Grouping, row: Sequence[Any]) -> Key:
    return tuple(row[: len(grouping.by) + bool(grouping.edges)])


def _from_rows(row: Sequence[Any]) -> Moments:
    *_, types, n, failed, numbers, mean, variance, low, high, quantiles = row
    return Moments(
        n=n,
        failed=failed,
        numbers=numbers,
        mean=finite(mean),
        variance=finite(variance),
        low=finite(low),
        high=finite(high),
        types=frozenset(types),
        quantiles=tuple(finite(q) for q in quantiles),
    )


def _from_sums(row: Sequence[Any]) -> Moments:
    *_, types, n, failed, numbers, total, squares, low, high = row
    counts = Moments(n=n, failed=failed, numbers=numbers, types=frozenset(types))
    if numbers == 0:
        return counts
    mean = total / numbers
    variance = None
    if numbers > 1:
        variance = 0.0 if low == high else (squares - total * mean) / (numbers - 1)
    return replace(counts, mean=mean, variance=variance, low=low, high=high)


def _is_sound(moments: Moments) -> bool:
    """Whether the variance kept its digits when the squared mean was taken off."""
    if moments.mean is None or moments.variance is None or moments.low == moments.high:
        return moments.mean is None or math.isfinite(moments.mean)
    return math.isfinite(moments.variance) and moments.variance >= SPREAD_MIN * moments.mean**2


def finite(figure: float | None) -> float | None:
    """The figure, or None where there is none or it overflowed."""
    return None if figure is None or not math.isfinite(figure) else figure
