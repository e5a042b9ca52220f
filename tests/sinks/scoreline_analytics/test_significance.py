"""Tests of differences against scipy and against print."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from scoreline_analytics.significance import (
    Sample,
    alike,
    benjamini_hochberg,
    categories,
    holm,
    kappa,
    mcnemar,
    paired_t,
    two_shares,
    welch_t,
)

LEVEL = 0.9


def sample(values: np.ndarray) -> Sample:
    """Its sufficient statistics."""
    return Sample(len(values), float(values.mean()), float(values.var(ddof=1)))


@pytest.mark.parametrize("seed", range(5))
def test_welch_is_that_of_scipy(seed: int) -> None:
    """p value and interval; Cohen's d by its definition."""
    rng = np.random.default_rng(seed)
    a, b = rng.normal(0, 1, int(rng.integers(2, 60))), rng.normal(0.3, 3, int(rng.integers(2, 60)))
    found = welch_t(sample(a), sample(b), LEVEL)
    expected = stats.ttest_ind(b, a, equal_var=False)
    ends = expected.confidence_interval(LEVEL)
    assert found.p == pytest.approx(expected.pvalue, rel=1e-9)
    assert (found.low, found.high) == pytest.approx((ends.low, ends.high), rel=1e-9)
    pooled = math.sqrt(((len(a) - 1) * a.var(ddof=1) + (len(b) - 1) * b.var(ddof=1)) / (len(a) + len(b) - 2))
    assert found.effect_size == pytest.approx((b.mean() - a.mean()) / pooled, rel=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_paired_t_is_that_of_scipy(seed: int) -> None:
    """p value and interval; d_z by its definition."""
    rng = np.random.default_rng(seed)
    a = rng.normal(0, 1, int(rng.integers(2, 60)))
    b = a + rng.normal(0.2, 0.5, len(a))
    found = paired_t(sample(b - a), LEVEL)
    expected = stats.ttest_rel(b, a)
    ends = expected.confidence_interval(LEVEL)
    assert found.p == pytest.approx(expected.pvalue, rel=1e-9)
    assert (found.low, found.high) == pytest.approx((ends.low, ends.high), rel=1e-9)
    assert found.effect_size == pytest.approx((b - a).mean() / (b - a).std(ddof=1), rel=1e-9)


def test_paired_t_of_students_sleep_data() -> None:
    """Student (1908): two drugs, ten patients: t = 4.0621, p = 0.002833, interval 0.7001 to 2.4599."""
    a = np.array([0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0])
    b = np.array([1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4])
    found = paired_t(sample(b - a), 0.95)
    assert found.p == pytest.approx(0.002833, abs=5e-7)
    assert (found.difference, found.low, found.high) == pytest.approx((1.58, 0.7001142, 2.4598858), abs=5e-8)


def test_hedges_correction_is_near_its_approximation() -> None:
    """1 - 3 / (4m - 1) is within a thousandth of it from ten degrees on; with one degree there is none."""
    found = welch_t(Sample(8, 0.0, 1.0), Sample(8, 1.0, 1.0), LEVEL)
    assert found.hedges_g == pytest.approx(1 - 3 / (4 * 14 - 1), abs=1e-3)
    assert paired_t(Sample(2, 1.0, 1.0), LEVEL).hedges_g is None


def test_no_spread_is_no_test() -> None:
    """A division by nothing is None, not infinity."""
    paired = [paired_t(Sample(5, 0.5, variance), LEVEL) for variance in (0.0, 1e-32)]
    for found in (*paired, welch_t(Sample(5, 0.5, 0.0), Sample(5, 1.0, 0.0), LEVEL)):
        assert (found.difference, found.low, found.p, found.effect_size) == (0.5, None, None, None)
    assert welch_t(Sample(1, 0.0, None), Sample(9, 1.0, 1.0), LEVEL).p is None


def test_mcnemar_is_that_of_agresti() -> None:
    """Categorical Data Analysis (2002), table 10.1: 944 and 880 of 1600 approve, 150 and 86 changed their minds."""
    found = mcnemar(150, 86, 1600, 0.95)
    assert found.difference == pytest.approx(-0.04)
    assert found.p == pytest.approx(stats.binomtest(86, 236).pvalue, rel=1e-12)
    assert found.p == pytest.approx(3.7e-5, abs=1e-6)
    assert (found.low, found.high) == pytest.approx((-0.0590, -0.0210), abs=5e-4)
    assert mcnemar(0, 0, 10, 0.95).p == 1.0


@pytest.mark.parametrize(
    ("table", "low", "high"),
    [
        ((56, 70, 48, 80), 0.0524, 0.3339),
        ((9, 10, 3, 10), 0.1705, 0.8090),
        ((5, 56, 0, 29), -0.0381, 0.1926),
        ((10, 10, 0, 10), 0.6075, 1.0),
    ],
)
def test_interval_of_two_shares_is_that_of_newcombe_1998(
    table: tuple[int, int, int, int], low: float, high: float
) -> None:
    """Statistics in Medicine 17, 873-890, table II, method 10."""
    hits_b, n_b, hits_a, n_a = table
    found = two_shares(hits_a, n_a, hits_b, n_b, 0.95)
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)


def test_fisher_tastes_tea() -> None:
    """Three of four cups right: p = 0.4857 of both sides; the odds are nine to one."""
    found = two_shares(1, 4, 3, 4, 0.95)
    assert (found.p, found.effect_size) == pytest.approx((0.485714, 9.0), abs=5e-7)
    assert two_shares(0, 4, 3, 4, 0.95).effect_size is None


def test_categories_are_those_of_scipy() -> None:
    """Chi-squared of the table; V is its root over n; a category that one side lacks counts as none."""
    a, b = {"good": 20, "bad": 30}, {"good": 35, "bad": 10, "ugly": 5}
    found = categories(a, b)
    expected = stats.chi2_contingency([[20, 30, 0], [35, 10, 5]], correction=False)
    assert found.p == pytest.approx(expected.pvalue, rel=1e-12)
    assert found.effect_size == pytest.approx(math.sqrt(expected.statistic / 100), rel=1e-12)
    assert categories({"good": 3}, {"good": 4}).p is None


def test_holm_is_that_of_print() -> None:
    """Four hypotheses of 0.01, 0.04, 0.03 and 0.005: the textbook's 0.03, 0.06, 0.06, 0.02."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


@settings(max_examples=50)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_corrections_never_help_a_p_value(p_values: list[float]) -> None:
    """Both are at least as large, at most one, in the same order; Holm's is never below the other."""
    for p, by_holm, by_bh in zip(p_values, holm(p_values), benjamini_hochberg(p_values), strict=True):
        assert p <= by_bh + 1e-12
        assert by_bh <= by_holm + 1e-12 <= 1 + 1e-9


def test_kappa_is_that_of_print() -> None:
    """Fifty grants, two readers: 20 both yes, 5 and 10 apart, 15 both no: 0.4. By chance alone: 0. One label: none."""
    assert kappa({("yes", "yes"): 20, ("yes", "no"): 5, ("no", "yes"): 10, ("no", "no"): 15}) == pytest.approx(0.4)
    assert kappa({("a", "a"): 1, ("a", "b"): 1, ("b", "a"): 1, ("b", "b"): 1}) == 0.0
    assert kappa({("a", "a"): 5}) is None
    assert kappa({}) is None


def test_correlations_of_anscombe() -> None:
    """The American Statistician 27 (1973), first set: 0.81642; ranks of ties are shared, as scipy's."""
    x = [10, 8, 13, 9, 11, 14, 6, 4, 12, 7, 5]
    y = [8.04, 6.95, 7.58, 8.81, 8.33, 9.96, 7.24, 4.26, 10.84, 4.82, 5.68]
    found = alike(x, y, 0.95)
    assert found["pearson"] == pytest.approx(0.8164205, abs=5e-8)
    assert found["spearman"] == pytest.approx(0.8181818, abs=5e-8)
    assert found["mae"] == pytest.approx(np.abs(np.subtract(y, x)).mean())
    assert alike([1, 1], [1, 2], 0.95)["pearson"] is None
    assert set(alike([], [], 0.95).values()) == {None}
