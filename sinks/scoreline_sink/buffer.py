"""Rows that were read and not yet inserted: collects them into batches and bounds each of them. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from scoreline_sink.plan import PartitionRows, Sealed, seal_to_fit

BATCH_BYTES_MAX = 128 * 1024 * 1024
"""Longest body of one insert."""


class Buffer:
    """Batches in the order they were read; the last one is open."""

    def __init__(self, rows_max: int, linger_s: float, bytes_max: int = BATCH_BYTES_MAX) -> None:
        self._rows_max, self._bytes_max, self._linger_s = rows_max, bytes_max, linger_s
        self._closed: deque[Sealed] = deque()
        self._open: dict[int, PartitionRows] = {}
        self._open_rows = self._open_bytes = self._closed_rows = 0
        self._open_since = 0.0

    @property
    def rows(self) -> int:
        return self._closed_rows + self._open_rows

    @property
    def room(self) -> int:
        """Rows to read before the lane has to stop reading; 0: stop.

        One batch may wait behind the insert in flight: reading is quicker than inserting, so a second one would only
        take memory.
        """
        return 0 if self._closed else max(0, self._rows_max - self._open_rows)

    def add(self, partition: int, offset: int, row: bytes | None, value: bytes, now: float) -> None:
        """Take one row, None for a record that is none; `value` is what the plan's checksum covers.

        `now` in monotonic seconds.
        """
        length = len(row) if row is not None else 0
        if self._open_rows and (self._open_rows >= self._rows_max or self._open_bytes + length > self._bytes_max):
            self._close()
        if not self._open_rows:
            self._open_since = now
        rows = self._open.get(partition)
        if rows is None:
            rows = self._open[partition] = PartitionRows(partition)
        rows.add(offset, row, value)
        self._open_rows += 1
        self._open_bytes += length

    def due(self, now: float) -> Sealed | None:
        """The batch to insert next, None while it may still grow. It stays until `pop`."""
        if not self._closed and self._open_rows and self._is_due(now):
            self._close()
        return self._closed[0] if self._closed else None

    def pop(self) -> None:
        """Forget the batch that `due` returned: its plan is committed."""
        self._closed_rows -= self._closed.popleft().plan.rows

    def wait_s(self, now: float) -> float:
        """Seconds until a batch is due if nothing more arrives; infinity when nothing is buffered."""
        if self._closed:
            return 0.0
        return max(0.0, self._open_since + self._linger_s - now) if self._open_rows else float("inf")

    def partitions(self) -> set[int]:
        """Partitions with a buffered row."""
        closed: Iterable[int] = (p.partition for sealed in self._closed for p in sealed.partitions)
        return {*closed, *self._open}

    def clear(self) -> None:
        """Drop everything: whoever owns the partitions reads it again."""
        self._closed.clear()
        self._open = {}
        self._open_rows = self._open_bytes = self._closed_rows = 0

    def _is_due(self, now: float) -> bool:
        return (
            now - self._open_since >= self._linger_s
            or self._open_rows >= self._rows_max
            or self._open_bytes >= self._bytes_max
        )

    def _close(self) -> None:
        self._closed.extend(seal_to_fit(list(self._open.values())))
        self._closed_rows += self._open_rows
        self._open = {}
        self._open_rows = self._open_bytes = 0
