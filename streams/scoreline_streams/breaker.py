"""The circuit breaker of one partition: a flood of rejections stops it instead of emptying it into the dead letters."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass

from scoreline_streams.batch import DeadLetter


@dataclass(frozen=True, slots=True)
class Limits:
    """What counts as a flood. 0 turns a limit off."""

    run_max: int
    """Rejections in a row."""
    ratio_max: float
    """Share of rejections among the last `window` records."""
    window: int


class Breaker:
    """Counts the rejections of one partition over its recent batches."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._run = 0
        self._batches: deque[tuple[int, int]] = deque()
        self._records = self._rejections = 0

    def flood(self, first_offset: int, last_offset: int, records: int, rejected: Sequence[DeadLetter]) -> str | None:
        """Take one batch into account; why the partition has to stop, or None.

        `records` is the size of the batch from `first_offset` to `last_offset`, `rejected` its dead letters in order.
        """
        longest = self._longest_run(first_offset, last_offset, rejected)
        self._batches.append((records, len(rejected)))
        self._records += records
        self._rejections += len(rejected)
        while self._records - self._batches[0][0] >= self._limits.window:
            old_records, old_rejections = self._batches.popleft()
            self._records -= old_records
            self._rejections -= old_rejections
        return self._verdict(longest, rejected)

    def _longest_run(self, first_offset: int, last_offset: int, rejected: Sequence[DeadLetter]) -> int:
        """The longest run of rejections that ends in this batch, one begun in earlier batches included."""
        run, expected, longest = self._run, first_offset, self._run
        for letter in rejected:
            run = run + 1 if letter.record.offset == expected else 1
            longest = max(longest, run)
            expected = letter.record.offset + 1
        self._run = run if expected == last_offset + 1 else 0
        return longest if rejected else 0

    def _verdict(self, longest: int, rejected: Sequence[DeadLetter]) -> str | None:
        limits = self._limits
        what = None
        if limits.run_max and longest >= limits.run_max:
            what = f"{longest} rejections in a row (SCORELINE_REJECT_RUN_MAX={limits.run_max})"
        elif (
            limits.ratio_max and self._records >= limits.window and self._rejections > limits.ratio_max * self._records
        ):
            what = (
                f"{self._rejections} rejections among {self._records} records "
                f"(SCORELINE_REJECT_RATIO_MAX={limits.ratio_max})"
            )
        if what is None or not rejected:
            return None
        reasons = Counter(letter.rejection.reason for letter in rejected)
        return f"{what}, most of them {reasons.most_common(1)[0][0]}, e.g. {rejected[-1].rejection.detail}"
