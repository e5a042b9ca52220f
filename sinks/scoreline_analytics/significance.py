"""Differences between two sides: interval, effect size, p value. The distributions and tests are scipy's.

A difference is always that of b less a. What cannot be computed (one score on a side, no spread at all) is None.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy
from scipy import special

from scoreline_analytics.intervals import t_quantile, wilson, z_quantile
from scoreline_analytics.moments import finite

_special: Any = special  # its types are partly unknown
_numpy: Any = numpy

ROUNDING = 1e-9
"""A spread that is this small beside the mean is what is left of rounding, not one to test against."""


def _stats() -> Any:
    """scipy's tests, imported by the first that is asked for: they take longer than all else that a question needs."""
    from scipy import stats

    return stats


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What separates two sides."""

    method: str
    """The test: paired t, Welch t, McNemar exact, Fisher exact, chi-squared."""
    difference: float | None = None
    """Of the means, of true/false scores of the shares of true."""
    low: float | None = None
    high: float | None = None
    effect: str | None = None
    """What `effect_size` is: d_z (paired), cohen_d, odds_ratio, cramers_v."""
    effect_size: float | None = None
    hedges_g: float | None = None
    """d or d_z without its bias in small samples."""
    p: float | None = None
    """Two-sided."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Numbers of one side, or differences of pairs."""

    n: int
    mean: float
    variance: float | None
    """None of one number."""


def paired_t(differences: Sample, level: float) -> Difference:
    """Student's t of the pairs' differences (scipy's `ttest_rel`); d_z = mean / sd of the differences.

    Effect sizes: Lakens (2013), "Calculating and reporting effect sizes", Frontiers in Psychology 4:863.
    """
    n, mean, variance = differences.n, differences.mean, differences.variance
    if n < 2 or variance is None or math.sqrt(max(variance, 0.0)) <= ROUNDING * abs(mean):
        return Difference(method="paired t", difference=mean)
    error = math.sqrt(variance / n)
    half = t_quantile(level, n - 1) * error
    d_z = mean / math.sqrt(variance)
    return Difference(
        method="paired t",
        difference=mean,
        low=mean - half,
        high=mean + half,
        effect="d_z",
        effect_size=d_z,
        hedges_g=_unbiased(d_z, n - 1),
        p=finite(2 * float(_special.stdtr(n - 1, -abs(mean / error)))),
    )


def welch_t(a: Sample, b: Sample, level: float) -> Difference:
    """Welch's t (scipy's `ttest_ind(equal_var=False)`): no equal variances are assumed. Cohen's d by the pooled sd.

    Welch (1947), "The generalization of Student's problem", Biometrika 34.
    """
    difference = b.mean - a.mean
    if a.n < 2 or b.n < 2 or a.variance is None or b.variance is None or a.variance + b.variance <= 0:
        return Difference(method="Welch t", difference=difference)
    of_a, of_b = a.variance / a.n, b.variance / b.n
    degrees = (of_a + of_b) ** 2 / (of_a**2 / (a.n - 1) + of_b**2 / (b.n - 1))
    half = t_quantile(level, degrees) * math.sqrt(of_a + of_b)
    pooled = ((a.n - 1) * a.variance + (b.n - 1) * b.variance) / (a.n + b.n - 2)
    d = difference / math.sqrt(pooled)
    test = _stats().ttest_ind_from_stats(
        b.mean, math.sqrt(b.variance), b.n, a.mean, math.sqrt(a.variance), a.n, equal_var=False
    )
    return Difference(
        method="Welch t",
        difference=difference,
        low=difference - half,
        high=difference + half,
        effect="cohen_d",
        effect_size=d,
        hedges_g=_unbiased(d, a.n + b.n - 2),
        p=finite(float(test.pvalue)),
    )


def mcnemar(only_a: int, only_b: int, n: int, level: float) -> Difference:
    """Exact McNemar test of paired true/false: `only_a` pairs are true in a alone, of `n` pairs.

    The interval of the difference of shares is Bonett's and Price's (2012), "Adjusted Wald confidence interval for a
    difference of binomial proportions based on paired data", J. Educ. Behav. Stat. 37. The odds ratio is only_b/only_a.
    """
    if n < 1:
        return Difference(method="McNemar exact")
    share_a, share_b = (only_a + 1) / (n + 2), (only_b + 1) / (n + 2)
    half = z_quantile(level) * math.sqrt((share_a + share_b - (share_b - share_a) ** 2) / (n + 2))
    middle = share_b - share_a
    discordant = only_a + only_b
    return Difference(
        method="McNemar exact",
        difference=(only_b - only_a) / n,
        low=max(-1.0, middle - half),
        high=min(1.0, middle + half),
        effect="odds_ratio",
        effect_size=only_b / only_a if only_a else None,
        p=float(_stats().binomtest(only_b, discordant, 0.5).pvalue) if discordant else 1.0,
    )


def two_shares(hits_a: int, n_a: int, hits_b: int, n_b: int, level: float) -> Difference:
    """Two independent shares: Fisher's exact test, and Newcombe's interval, which joins the two Wilson intervals.

    Newcombe (1998), "Interval estimation for the difference between independent proportions", Statist. Med. 17,
    method 10. The odds ratio is that of the sample.
    """
    if n_a < 1 or n_b < 1:
        return Difference(method="Fisher exact")
    a, b = hits_a / n_a, hits_b / n_b
    (low_a, high_a), (low_b, high_b) = wilson(hits_a, n_a, level), wilson(hits_b, n_b, level)
    low = high = None
    if low_a is not None and high_a is not None and low_b is not None and high_b is not None:
        low = b - a - math.hypot(b - low_b, high_a - a)
        high = b - a + math.hypot(high_b - b, a - low_a)
    table = [[hits_b, n_b - hits_b], [hits_a, n_a - hits_a]]
    denominator = (n_b - hits_b) * hits_a
    return Difference(
        method="Fisher exact",
        difference=b - a,
        low=low,
        high=high,
        effect="odds_ratio",
        effect_size=hits_b * (n_a - hits_a) / denominator if denominator else None,
        p=float(_stats().fisher_exact(table).pvalue),
    )


def categories(a: dict[str, int], b: dict[str, int]) -> Difference:
    """Pearson's chi-squared of the two sides' counts by category, without continuity correction; Cramér's V.

    Its p is only near where an expected count is below five (Cochran's rule).
    """
    labels = sorted(a.keys() | b.keys())
    table = [[side.get(label, 0) for label in labels] for side in (a, b)]
    if len(labels) < 2 or not a or not b:
        return Difference(method="chi-squared")
    return Difference(
        method="chi-squared",
        effect="cramers_v",
        effect_size=float(_stats().contingency.association(table, method="cramer")),
        p=float(_stats().chi2_contingency(table, correction=False).pvalue),
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's (1979) adjusted p values: they bound the chance of one false discovery among all."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Benjamini's and Hochberg's (1995) adjusted p values: they bound the share of false discoveries."""
    return [float(p) for p in _stats().false_discovery_control(p_values, method="bh")] if p_values else []


def kappa(confusion: dict[tuple[str, str], int]) -> float | None:
    """Cohen's (1960) kappa of counts by (label of a, label of b): agreement beyond what chance alone would give."""
    n = sum(confusion.values())
    of_a: dict[str, int] = {}
    of_b: dict[str, int] = {}
    for (label_a, label_b), count in confusion.items():
        of_a[label_a] = of_a.get(label_a, 0) + count
        of_b[label_b] = of_b.get(label_b, 0) + count
    chance = sum(count * of_b.get(label, 0) for label, count in of_a.items()) / (n * n) if n else 1.0
    if chance >= 1.0:
        return None
    same = sum(count for (label_a, label_b), count in confusion.items() if label_a == label_b) / n
    return (same - chance) / (1 - chance)


def alike(a: Sequence[float], b: Sequence[float], level: float) -> dict[str, float | None]:
    """Pearson's correlation with its interval (Fisher's transformation), Spearman's, MAE, RMSE and bias of pairs."""
    if not a:
        return dict.fromkeys(("pearson", "pearson_low", "pearson_high", "spearman", "mae", "rmse", "bias"))
    differences: Any = _numpy.subtract(b, a)
    result: dict[str, float | None] = {
        "pearson": None,
        "pearson_low": None,
        "pearson_high": None,
        "spearman": None,
        "mae": float(_numpy.abs(differences).mean()),
        "rmse": float(_numpy.sqrt((differences**2).mean())),
        "bias": float(differences.mean()),
    }
    if len(set(a)) > 1 and len(set(b)) > 1:
        pearson = _stats().pearsonr(a, b)
        result["pearson"] = finite(float(pearson.statistic))
        if len(a) > 3:
            ends = pearson.confidence_interval(level)
            result["pearson_low"], result["pearson_high"] = finite(float(ends.low)), finite(float(ends.high))
        result["spearman"] = finite(float(_stats().spearmanr(a, b).statistic))
    return result


def _unbiased(effect: float, degrees: float) -> float | None:
    """Hedges' (1981) exact correction: times Γ(m/2) / (√(m/2) Γ((m - 1)/2)); there is none of one degree of freedom."""
    if degrees < 2:
        return None
    half = degrees / 2
    correction = math.exp(float(_special.gammaln(half)) - float(_special.gammaln((degrees - 1) / 2)))
    return effect * correction / math.sqrt(half)
