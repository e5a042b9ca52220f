"""Buckets against pandas."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

import pandas as pd
import pytest

from scoreline.errors import QueryError
from scoreline_analytics.steps import edges_of, step_of

FIRST, LAST = datetime(2026, 3, 27, 10, 7, 31, tzinfo=UTC), datetime(2026, 4, 15, 8, 0, tzinfo=UTC)


def starts(step: str, zone: str = "UTC", first: datetime = FIRST, last: datetime = LAST) -> list[pd.Timestamp]:
    """Starts of the buckets and the end of the last one."""
    return [pd.Timestamp(edge, unit="s", tz=zone) for edge in edges_of(step_of(step, zone), first, last)]


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Asia/Kolkata", "America/New_York"])
def test_days_begin_at_midnight_of_the_zone(zone: str) -> None:
    """Also when the clocks change: that day has 23 hours."""
    edges = starts("1d", zone)
    expected = pd.date_range(pd.Timestamp(FIRST).tz_convert(zone).normalize(), periods=len(edges), freq="D")
    assert edges == list(expected)
    assert edges[-2] <= pd.Timestamp(LAST) < edges[-1]


def test_weeks_begin_on_monday_and_months_on_the_first() -> None:
    """In the zone."""
    assert all(edge.weekday() == 0 and edge.hour == 0 for edge in starts("1w", "Europe/Berlin"))
    assert [edge.strftime("%Y-%m-%d %H") for edge in starts("1mo", "Europe/Berlin")] == [
        "2026-03-01 00",
        "2026-04-01 00",
        "2026-05-01 00",
    ]


@pytest.mark.parametrize(("step", "width"), [("30s", 30), ("5m", 300), ("1h", 3600), ("6h", 21600), ("7h", 25200)])
def test_short_steps_are_exact(step: str, width: int) -> None:
    """All as wide, the first holds the first moment, the last the last; those that divide a day begin at midnight."""
    last = datetime(2026, 3, 28, 12, tzinfo=UTC)
    edges = edges_of(step_of(step), FIRST, last)
    assert {b - a for a, b in pairwise(edges)} == {width}
    assert edges[0] <= FIRST.timestamp() < edges[1]
    assert edges[-2] <= last.timestamp() < edges[-1]
    assert edges[0] % width == 0


def test_one_moment_is_one_bucket() -> None:
    """Also on the edge."""
    noon = datetime(2026, 3, 27, 12, tzinfo=UTC)
    for step in ("1h", "1d", "1w"):
        assert len(edges_of(step_of(step), noon, noon)) == 2


@pytest.mark.parametrize("text", ["", "0d", "1y", "-1h", "1.5h", "hourly", "1 d"])
def test_step_that_is_none_says_what_is(text: str) -> None:
    """With examples."""
    with pytest.raises(QueryError, match="30s, 5m, 1h, 1d, 1w or 1mo"):
        step_of(text)


@pytest.mark.parametrize("zone", ["Mars/Olympus", "../etc/passwd", "x" * 300, ""])
def test_zone_that_is_none_is_refused(zone: str) -> None:
    """Whatever the name."""
    with pytest.raises(QueryError, match="no time zone"):
        step_of("1d", zone)


@pytest.mark.parametrize("step", ["1s", "1d"])
def test_buckets_are_bounded(step: str) -> None:
    """A century of seconds, or of days, is no answer."""
    with pytest.raises(QueryError, match="10000 are the most"):
        edges_of(step_of(step), datetime(1926, 1, 1, tzinfo=UTC), LAST)
