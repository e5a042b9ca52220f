"""How old the oldest record is that a reader has not dealt with. Pure."""

from __future__ import annotations


class Behind:
    """Of one partition.

    The oldest open record is younger than the last one that is done, and than the last moment at which nothing was
    open. With neither known, as after a start into a backlog whose records were not seen yet, its age counts from now.
    """

    def __init__(self) -> None:
        self._since = 0.0

    def seconds(self, records: int, done_at: float, now: float) -> float:
        """Seconds of lag, for `records` of lag at `now`; `done_at` is the time of the last record that is done, 0 where
        none is. Both in Unix seconds."""
        if records <= 0 or not (self._since or done_at):
            self._since = now
        return max(0.0, now - max(self._since, done_at))
