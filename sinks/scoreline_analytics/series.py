"""`series`: the figures of each group in each bucket of time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from scoreline.errors import QueryError
from scoreline_analytics.clickhouse import Reader
from scoreline_analytics.extent import extent_of
from scoreline_analytics.figures import FIGURES, Figures, figures_of, quantile_name
from scoreline_analytics.moments import NONE, Grouping, Key, Moments, moments_of
from scoreline_analytics.questions import Question, require_quantiles
from scoreline_analytics.results import Result, Row
from scoreline_analytics.steps import Step, edges_of

POINTS_MAX = 100_000
"""Points of one answer, gaps too."""


@dataclass(frozen=True, slots=True)
class Point:
    """The scores of one group in one bucket."""

    time: datetime
    """Start of the bucket, in the zone of the step."""
    dimensions: dict[str, str]
    figures: Figures
    """Of a gap: n 0, failed 0, and no mean."""

    def row(self) -> Row:
        """Time, dimensions and figures, flat."""
        return {"time": self.time, **self.dimensions, **self.figures.row()}


@dataclass(frozen=True, slots=True)
class Series(Result):
    """Points in order of time, in each bucket the largest group first; every group has a point in every bucket."""

    question: Question
    step: Step
    quantiles: tuple[float, ...]
    points: tuple[Point, ...]
    is_complete: bool
    """Whether these are all groups; else the question's limit left the smaller ones out."""

    @property
    def columns(self) -> tuple[str, ...]:
        return ("time", *self.question.by, *FIGURES, *map(quantile_name, self.quantiles))

    def rows(self) -> list[Row]:
        return [point.row() for point in self.points]


def series(reader: Reader, question: Question, step: Step, quantiles: tuple[float, ...]) -> Series:
    """Ask ClickHouse. From `since` to `until`, or the first and last score where they are not said."""
    require_quantiles(quantiles)
    extent = extent_of(reader, question)
    if extent is None:
        return Series(question, step, quantiles, (), is_complete=True)
    edges = edges_of(step, *extent)
    found = moments_of(reader, question, Grouping(question.by, tuple(edges), quantiles), POINTS_MAX + 1)
    if len(found) > POINTS_MAX:
        raise QueryError(f"more than {POINTS_MAX} points; give a longer step, a shorter time or fewer dimensions")
    groups = _groups(found)
    kept = groups[: question.limit]
    if len(kept) * (len(edges) - 1) > POINTS_MAX:
        raise QueryError(
            f"{len(kept)} groups in {len(edges) - 1} buckets are more than {POINTS_MAX} points; "
            "give a longer step, a shorter time or a smaller limit"
        )
    points = tuple(_points(found, kept, edges[:-1], question, step, quantiles))
    return Series(question, step, quantiles, points, is_complete=len(groups) <= question.limit)


def _groups(found: dict[Key, Moments]) -> list[Key]:
    """Values of the dimensions, the largest group first."""
    sizes: dict[Key, int] = {}
    for (_, *dimensions), moments in found.items():
        sizes[tuple(dimensions)] = sizes.get(tuple(dimensions), 0) + moments.n
    return sorted(sizes, key=lambda key: (-sizes[key], key))


def _points(
    found: dict[Key, Moments],
    groups: list[Key],
    starts: list[int],
    question: Question,
    step: Step,
    quantiles: tuple[float, ...],
) -> Iterator[Point]:
    for start in starts:
        time = datetime.fromtimestamp(start, UTC).astimezone(step.zone)
        for group in groups:
            moments = found.get((start, *group), NONE)
            figures = figures_of(moments, question.level, quantiles)
            yield Point(time, dict(zip(question.by, group, strict=True)), figures)
