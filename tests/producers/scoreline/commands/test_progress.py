"""What an import says of its rate and of the time left."""

from __future__ import annotations

import pytest

from scoreline.commands.progress import Pace, duration


def test_rate_and_time_left_follow_what_this_process_read() -> None:
    """An interrupted import's rows are skipped fast: they say nothing of how long the others take."""
    pace = Pace(size_bytes=1000, began_at=100.0, bytes_before=400, rows_before=4000)
    step = pace.step(bytes_read=600, rows=6000, invalid=0, now=110.0)
    assert step.rows_per_s == pytest.approx(200)
    assert step.left_s == pytest.approx(20)
    assert str(step) == "6,000 rows, 200 rows/s, 20 s left"


def test_nothing_read_tells_no_time_left() -> None:
    """Rather than an endless one."""
    step = Pace(1000, 100.0, 400, 0).step(400, 0, 3, 101.0)
    assert step.left_s is None
    assert str(step) == "0 rows, 0 rows/s, 3 invalid"


def test_read_to_the_end_has_no_time_left() -> None:
    """0 s, also where the file grew meanwhile."""
    assert Pace(1000, 0.0, 0, 0).step(1000, 10, 0, 1.0).left_s == 0
    assert str(Pace(1000, 0.0, 0, 0).step(3000, 10, 0, 1.0)).endswith(", 0 s left")


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.4, "0 s"), (59.4, "59 s"), (60, "1:00"), (200, "3:20"), (3900, "1:05:00")]
)
def test_durations_are_short(seconds: float, shown: str) -> None:
    """Seconds, minutes, hours."""
    assert duration(seconds) == shown
