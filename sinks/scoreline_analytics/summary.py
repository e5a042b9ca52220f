"""`summary`: a question to ClickHouse, and the figures of each group that it answers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from scoreline.settings import Settings
from scoreline_analytics.clickhouse import run
from scoreline_analytics.questions import Question
from scoreline_analytics.statements import summary_statement

FIGURES = ("count", "failed", "mean", "sd", "min", "max", "p50", "p90", "p95", "p99")


@dataclass(frozen=True, slots=True)
class Group:
    """The scores of one group in figures. A figure that does not exist (the sd of one score) or overflows is None."""

    time: datetime | None
    """Start of the step, UTC; None when no step was asked."""
    dimensions: dict[str, str]
    """Value of each dimension of the question; empty where the scores have none."""
    count: int
    """Scores, with a number or without; failed ones apart."""
    failed: int
    """Scores whose judge failed."""
    mean: float | None
    """Of the numbers; of true/false scores the share of true."""
    sd: float | None
    """Standard deviation of the sample (n - 1)."""
    min: float | None
    max: float | None
    p50: float | None
    """Quantiles are exact; between two scores the value is interpolated (as numpy's default and Excel's .INC)."""
    p90: float | None
    p95: float | None
    p99: float | None

    def fields(self) -> dict[str, str | int | float | None]:
        """Time (RFC 3339), dimensions and figures, flat, in the order of the question."""
        time = {} if self.time is None else {"time": self.time.isoformat().replace("+00:00", "Z")}
        return {**time, **self.dimensions, **{figure: getattr(self, figure) for figure in FIGURES}}


@dataclass(frozen=True, slots=True)
class Answer:
    """Groups by time, then the largest first."""

    groups: tuple[Group, ...]
    is_complete: bool
    """Whether these are all; else the question's limit left some out."""


def summary(settings: Settings, question: Question) -> Answer:
    """Ask ClickHouse. Raises ClickHouseUnavailable, SchemaError, SettingsError, QueryError."""
    rows = run(settings, summary_statement(question))
    groups = tuple(_group(row, question) for row in rows[: question.limit])
    return Answer(groups, is_complete=len(rows) <= question.limit)


def _group(row: Sequence[Any], question: Question) -> Group:
    *keys, count, failed, mean, sd, low, high, quantiles = row
    time = None
    if question.step is not None:
        time, *keys = keys
        time = time.replace(tzinfo=UTC)
    quantiles = list(quantiles) or [None] * 4
    figures = (_number(figure) for figure in (mean, sd, low, high, *quantiles))
    return Group(time, dict(zip(question.by, keys, strict=False)), count, failed, *figures)


def _number(figure: float | None) -> float | None:
    return None if figure is None or not math.isfinite(figure) else figure
