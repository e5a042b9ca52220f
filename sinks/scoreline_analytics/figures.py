"""The figures of a group of scores, as they are shown."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from scoreline_analytics.intervals import NONE, student_t, wilson
from scoreline_analytics.moments import Moments

FIGURES = ("n", "failed", "missing", "data_type", "mean", "mean_low", "mean_high", "true_rate", "sd", "min", "max")
"""Names of the figures in rows; quantiles follow them as p50, p90 … and, of a summary, `categories`."""


@dataclass(frozen=True, slots=True)
class Share:
    """One category."""

    label: str
    n: int
    share: float
    """Of the scores with a category; with its Wilson interval."""
    low: float
    high: float

    def row(self) -> dict[str, Any]:
        """As a mapping."""
        return {"label": self.label, "n": self.n, "share": self.share, "low": self.low, "high": self.high}


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Scores of one group in figures. A figure that does not exist (the sd of one score) or overflows is None."""

    n: int
    """Scores, with a number or without; failed ones apart."""
    failed: int
    """Scores whose judge failed: they are in no other figure."""
    missing: int
    """Of the n, those without a number: a category that has none."""
    data_type: str | None
    """NUMERIC, CATEGORICAL or BOOLEAN; None: several, or none is known."""
    mean: float | None
    """Of the numbers; of true/false scores the share of true."""
    mean_low: float | None
    mean_high: float | None
    """Confidence interval of the mean: `interval` says which."""
    interval: Literal["student_t", "wilson"] | None
    """Wilson's for true/false scores, else Student's t; None: there is none, of fewer than two numbers."""
    true_rate: float | None
    """Share of true; None for what is not true/false."""
    sd: float | None
    """Standard deviation of the sample (n - 1)."""
    min: float | None
    max: float | None
    quantiles: Mapping[str, float | None] = field(default_factory=dict[str, float | None])
    """p50, p90 …: exact; between two scores the value is interpolated (numpy's default, R's type 7, Excel's .INC)."""
    categories: tuple[Share, ...] = ()
    """Shares of the categories, the most frequent first, CATEGORIES_MAX at most."""

    def row(self) -> dict[str, Any]:
        """Figures without the categories, flat, in the order of FIGURES."""
        return {**{name: getattr(self, name) for name in FIGURES}, **self.quantiles}


def quantile_name(quantile: float) -> str:
    """0.5 is p50, 0.999 is p99.9."""
    return f"p{quantile * 100:.10g}"


def figures_of(
    moments: Moments, level: float, quantiles: Sequence[float] = (), categories: Sequence[tuple[str, int]] = ()
) -> Figures:
    """Figures of what is known of a group. `categories`: label and how often."""
    types = moments.types - {""}
    data_type = next(iter(types)) if len(types) == 1 else None
    is_boolean = data_type == "BOOLEAN"
    low, high = NONE
    if moments.mean is not None:
        if is_boolean:
            low, high = wilson(round(moments.mean * moments.numbers), moments.numbers, level)
        elif moments.variance is not None:
            low, high = student_t(moments.mean, moments.variance, moments.numbers, level)
    return Figures(
        n=moments.n,
        failed=moments.failed,
        missing=moments.n - moments.numbers,
        data_type=data_type,
        mean=moments.mean,
        mean_low=low,
        mean_high=high,
        interval=None if low is None else "wilson" if is_boolean else "student_t",
        true_rate=moments.mean if is_boolean else None,
        sd=None if moments.variance is None else math.sqrt(max(0.0, moments.variance)),
        min=moments.low,
        max=moments.high,
        quantiles=dict(zip(map(quantile_name, quantiles), moments.quantiles or [None] * len(quantiles), strict=True)),
        categories=shares_of(categories, level),
    )


def shares_of(categories: Sequence[tuple[str, int]], level: float, total: int | None = None) -> tuple[Share, ...]:
    """Shares of categories among `total`, the sum of the counts where it is not said."""
    total = sum(n for _, n in categories) if total is None else total
    shares: list[Share] = []
    for label, n in categories:
        low, high = wilson(n, total, level)
        if low is not None and high is not None:
            shares.append(Share(label, n, n / total, low, high))
    return tuple(shares)
