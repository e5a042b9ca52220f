"""`histogram`: how often each value, or each category, was given."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from scoreline.errors import QueryError
from scoreline_analytics.clickhouse import Reader
from scoreline_analytics.figures import Share, shares_of
from scoreline_analytics.moments import Grouping, Key, Moments, moments_of, pieced_statement
from scoreline_analytics.questions import GROUPS_MAX, Question
from scoreline_analytics.results import Result, Row
from scoreline_analytics.rollups import ROWS, levels_of
from scoreline_analytics.statements import Parameters, Statement, where

BINS_MAX = 1000
LABELS_MAX = 1000
"""Categories of one group, the most frequent."""


@dataclass(frozen=True, slots=True)
class Bin:
    """Numbers from `low` to below `high`; the last bin holds its `high` too."""

    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Bars:
    """The scores of one group."""

    dimensions: dict[str, str]
    bins: tuple[Bin, ...]
    """Of NUMERIC scores; every group has the same bins."""
    below: int
    """Numbers below the range that was asked for."""
    above: int
    categories: tuple[Share, ...]
    """Of CATEGORICAL and BOOLEAN scores, as they are, the most frequent first."""
    n: int
    failed: int


@dataclass(frozen=True, slots=True)
class Histogram(Result):
    """Groups, the largest first. A row is a bin, or a category: `label` then says which, and `low`, `high` are None."""

    question: Question
    groups: tuple[Bars, ...]
    is_complete: bool
    """Whether these are all groups; else the question's limit left some out."""

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.question.by, "label", "low", "high", "n", "share")

    def rows(self) -> list[Row]:
        return [row for group in self.groups for row in _rows(group)]


@dataclass(slots=True)
class _Found:
    """Counts of one group: by lower edge of the bin, and by label."""

    edges: dict[float, int] = field(default_factory=dict[float, int])
    labels: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])
    below: int = 0
    above: int = 0


def histogram(reader: Reader, question: Question, bins: int, range_: tuple[float, float] | None) -> Histogram:
    """Ask ClickHouse. Counts are exact: each number lies in the bin that numpy.histogram puts it into."""
    if not 1 <= bins <= BINS_MAX:
        raise QueryError(f"{bins} bins are not within 1..{BINS_MAX}")
    if range_ is not None and not (math.isfinite(range_[0]) and math.isfinite(range_[1]) and range_[0] < range_[1]):
        raise QueryError(f"{range_[0]}..{range_[1]} is no range; give two numbers, the smaller first")
    by_type = moments_of(reader, question, Grouping((*question.by, "data_type")), GROUPS_MAX)
    sizes: dict[Key, tuple[int, int]] = {}
    for (*key, _), moments in by_type.items():
        n, failed = sizes.get(tuple(key), (0, 0))
        sizes[tuple(key)] = (n + moments.n, failed + moments.failed)
    keys = sorted(sizes, key=lambda key: (-sizes[key][0], key))
    found: dict[Key, _Found] = {key: _Found() for key in keys}
    edges = _edges([m for (*_, type_), m in by_type.items() if type_ == "NUMERIC"], bins, range_)
    if edges:
        _count_bins(reader, question, edges, found)
    if any(type_ in ("CATEGORICAL", "BOOLEAN") for (*_, type_) in by_type):
        _count_labels(reader, question, found)
    groups = tuple(_bars(question, key, found[key], edges, sizes[key]) for key in keys[: question.limit])
    return Histogram(question, groups, is_complete=len(keys) <= question.limit)


def _edges(numeric: list[Moments], bins: int, range_: tuple[float, float] | None) -> list[float]:
    """Where the bins begin, and the end of the last; none where there are no numbers."""
    lows = [m.low for m in numeric if m.low is not None]
    highs = [m.high for m in numeric if m.high is not None]
    if not lows or not highs:
        return []
    low, high = range_ or (min(lows), max(highs))
    if low == high:
        low, high = low - 0.5, high + 0.5
    import numpy as np

    return [float(edge) for edge in np.linspace(low, high, bins + 1)]


def _count_bins(reader: Reader, question: Question, edges: list[float], found: dict[Key, _Found]) -> None:
    for *keys, edge, n, below, above in reader.rows(bins_statement(reader, question, edges)):
        group = found.get(tuple(keys[: len(question.by)]))
        if group is None:
            continue
        group.below += below
        group.above += above
        inside = n - below - above
        if inside:
            group.edges[edge] = group.edges.get(edge, 0) + inside


def bins_statement(reader: Reader, question: Question, edges: list[float]) -> Statement:
    """The statement of queries/histogram.sql."""
    parameters = Parameters({"limit": GROUPS_MAX})
    grouping = Grouping(question.by)
    return parameters.statement(
        "histogram",
        groups=grouping.columns(ROWS, parameters),
        keys=", ".join(grouping.keys),
        edges=parameters.bind(edges, "Array(Float64)"),
        low=parameters.bind(edges[0], "Float64"),
        high=parameters.bind(edges[-1], "Float64"),
        conditions=where(question, reader.projects, parameters),
    )


def _count_labels(reader: Reader, question: Question, found: dict[Key, _Found]) -> None:
    levels = levels_of(question, (*question.by, "label"))
    limits = {"categories": LABELS_MAX, "limit": GROUPS_MAX}
    statement = pieced_statement("labels", question, Grouping(question.by), reader.projects, levels, limits)
    for *keys, label, n in reader.rows(statement):
        group = found.get(tuple(keys[: len(question.by)]))
        if group is not None and n:
            group.labels.append((label, n))


def _bars(question: Question, key: Key, found: _Found, edges: list[float], size: tuple[int, int]) -> Bars:
    counts = [found.edges.get(edge, 0) for edge in edges[:-1]]
    if counts:
        counts[-1] += found.edges.get(edges[-1], 0)
    return Bars(
        dimensions=dict(zip(question.by, key, strict=True)),
        bins=tuple(Bin(low, high, n) for low, high, n in zip(edges[:-1], edges[1:], counts, strict=True)),
        below=found.below,
        above=found.above,
        categories=shares_of(found.labels, question.level),
        n=size[0],
        failed=size[1],
    )


def _rows(group: Bars) -> list[Row]:
    total = sum(b.n for b in group.bins) + group.below + group.above
    empty = {"label": None, "low": None, "high": None}
    rows: list[Row] = []
    if total:
        rows += [
            {**group.dimensions, **empty, "low": b.low, "high": b.high, "n": b.n, "share": b.n / total}
            for b in group.bins
        ]
    rows += [{**group.dimensions, **empty, "label": c.label, "n": c.n, "share": c.share} for c in group.categories]
    return rows
