"""The circuit breaker: floods are seen across batches, bad luck is not one."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoreline.rejections import Origin, Reason, Rejection
from scoreline_streams.batch import DeadLetter
from scoreline_streams.breaker import Breaker, Limits
from tests.streams.scoreline_streams.test_batch import Record

OFF = Limits(run_max=0, ratio_max=0.0, window=100)


def letters(offsets: Sequence[int]) -> list[DeadLetter]:
    rejection = Rejection(Reason.NO_TARGET, "none")
    return [DeadLetter(Record(b"k", b"v", at), rejection, Origin("raw", 0, at, 0)) for at in offsets]


def feed(breaker: Breaker, verdicts: Sequence[bool], batch: int) -> int | None:
    """Offset behind the batch at which the breaker trips; `verdicts` says of each record whether it is rejected."""
    for start in range(0, len(verdicts), batch):
        end = min(start + batch, len(verdicts))
        rejected = letters([at for at in range(start, end) if verdicts[at]])
        if breaker.flood(start, end - 1, end - start, rejected) is not None:
            return end
    return None


def longest_run(verdicts: Sequence[bool]) -> int:
    longest = run = 0
    for rejected in verdicts:
        run = run + 1 if rejected else 0
        longest = max(longest, run)
    return longest


@given(st.lists(st.booleans(), max_size=60), st.integers(1, 20), st.integers(1, 10))
def test_run_is_counted_across_batches(verdicts: list[bool], batch: int, limit: int) -> None:
    """However the records are cut into batches, a run of the limit trips and a shorter one does not."""
    tripped = feed(Breaker(Limits(run_max=limit, ratio_max=0.0, window=100)), verdicts, batch)
    assert (tripped is not None) == (longest_run(verdicts) >= limit)


def test_ratio_needs_a_full_window() -> None:
    """A few bad records at the start are no flood; most of a window is."""
    limits = Limits(run_max=0, ratio_max=0.5, window=100)
    mostly_bad = [index % 3 != 0 for index in range(300)]
    assert feed(Breaker(limits), mostly_bad[:90], 10) is None
    assert feed(Breaker(limits), mostly_bad, 10) == 100
    assert feed(Breaker(limits), [index % 3 == 0 for index in range(3000)], 10) is None


def test_old_batches_leave_the_window() -> None:
    """Good records of long ago do not hide a flood of now."""
    limits = Limits(run_max=0, ratio_max=0.5, window=100)
    assert feed(Breaker(limits), [False] * 1000 + [True] * 100, 10) == 1060


@pytest.mark.parametrize("batch", [1, 7, 1000])
def test_breaker_can_be_turned_off(batch: int) -> None:
    """0 means no limit."""
    assert feed(Breaker(OFF), [True] * 1000, batch) is None


def test_verdict_names_the_reason_and_the_setting() -> None:
    """What an operator needs: how many, which reason, one example, which setting."""
    verdict = Breaker(Limits(run_max=2, ratio_max=0.0, window=100)).flood(0, 1, 2, letters([0, 1]))
    assert verdict is not None
    assert "2 rejections in a row (SCORELINE_REJECT_RUN_MAX=2), most of them no_target, e.g. none" in verdict
