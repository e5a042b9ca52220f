"""What benchmarks make of the samples that workers leave."""

from __future__ import annotations

import pytest

from tests.benchmarks.draining import between, window
from tests.benchmarks.growth import mixed
from tests.benchmarks.measured_worker import Sample

EARLY = [Sample(at, at / 2, int(at * 100), 0, 0, int(at)) for at in (1.0, 2.0, 3.0, 4.0)]
LATE = [Sample(at, at / 4, int(at * 10), 0, 0, int(at)) for at in (2.0, 3.0, 9.0)]


def test_workers_are_measured_while_all_are_at_work() -> None:
    """From the last one's first commit to the first one's last: alone, each would have the machine to itself."""
    drained = between(*window([EARLY, LATE]), rss_bytes=7)
    assert drained.seconds == 2.0
    assert drained.events == (400 - 200) + (30 - 20)
    assert drained.cpu_s == pytest.approx(1.0 + 0.25)


@pytest.mark.parametrize("late", [LATE[1:], []], ids=["took turns", "came too late"])
def test_workers_that_were_never_at_work_together_are_no_measurement(late: list[Sample]) -> None:
    """They say nothing of two."""
    with pytest.raises(RuntimeError, match="more events"):
        window([EARLY[:2], late])


def test_mixed_numbers_are_all_there_in_turn() -> None:
    """Half duplicates, half new: one after the other, and what is left of the longer one."""
    assert list(mixed([1, 2], [10, 20, 30])) == [1, 10, 2, 20, 30]
    assert list(mixed([1, 2], [])) == [1, 2]
    assert list(mixed([], [10])) == [10]
