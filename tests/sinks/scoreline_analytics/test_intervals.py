"""Intervals against scipy and against print."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from scoreline_analytics.intervals import student_t, wilson


@given(st.data())
def test_wilson_is_that_of_scipy(data: st.DataObject) -> None:
    """`proportion_ci(method="wilson")`, for any share and level."""
    n = data.draw(st.integers(1, 100_000))
    hits = data.draw(st.integers(0, n))
    level = data.draw(st.floats(0.5, 0.999))
    expected = stats.binomtest(hits, n).proportion_ci(level, method="wilson")
    assert wilson(hits, n, level) == pytest.approx((expected.low, expected.high), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_is_that_of_newcombe_1998(hits: int, n: int, low: float, high: float) -> None:
    """Statistics in Medicine 17, 857-872, table I, method 3."""
    assert wilson(hits, n, 0.95) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(2, 10**7), st.floats(-1e6, 1e6), st.floats(1e-6, 1e6), st.floats(0.5, 0.999))
def test_interval_of_a_mean_is_that_of_scipy(n: int, mean: float, variance: float, level: float) -> None:
    """`t.interval` around the mean by its standard error."""
    expected = stats.t.interval(level, n - 1, loc=mean, scale=(variance / n) ** 0.5)
    assert student_t(mean, variance, n, level) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_too_few_have_no_interval() -> None:
    """One number says nothing about spread, no trial nothing about a share."""
    assert student_t(1.0, 0.0, 1, 0.95) == (None, None)
    assert wilson(0, 0, 0.95) == (None, None)
