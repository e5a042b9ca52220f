"""Confidence intervals, vectorless and closed; the distributions are scipy's."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

from scipy import special

_special: Any = special  # its types are partly unknown

Interval = tuple[float, float] | tuple[None, None]
NONE: Interval = (None, None)


@lru_cache(maxsize=4096)
def t_quantile(level: float, degrees: float) -> float:
    """How many standard errors lie between the middle and each end, by Student's t."""
    return float(_special.stdtrit(degrees, (1 + level) / 2))


@lru_cache(maxsize=64)
def z_quantile(level: float) -> float:
    """How many standard errors lie between the middle and each end, by the normal distribution."""
    return float(_special.ndtri((1 + level) / 2))


def student_t(mean: float, variance: float, n: int, level: float) -> Interval:
    """Interval of a mean: mean ± t(n - 1) · s / √n. None of fewer than two numbers.

    Student (1908), "The probable error of a mean", Biometrika 6; NIST/SEMATECH e-Handbook 1.3.5.2.
    """
    if n < 2:
        return NONE
    half = t_quantile(level, n - 1) * math.sqrt(variance / n)
    return (mean - half, mean + half)


def wilson(hits: int, n: int, level: float) -> Interval:
    """Score interval of a share: (p + z²/2n ± z √(p(1 - p)/n + z²/4n²)) / (1 + z²/n). None of no trials.

    Wilson (1927), "Probable inference, the law of succession, and statistical inference", JASA 22, without continuity
    correction: scipy's `binomtest(hits, n).proportion_ci(method="wilson")`.
    """
    if n < 1:
        return NONE
    z, share = z_quantile(level), hits / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return (0.0 if hits == 0 else max(0.0, middle - half), 1.0 if hits == n else min(1.0, middle + half))
