"""What the sink counts: once an insert or a commit, or every few seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping

from scoreline.observe import catalogue, meter
from scoreline.observe.lag import Behind
from scoreline_sink.plan import Sealed
from scoreline_sink.rows import Times

LOOK_S = 2.0
"""How often the lag is looked at."""
SAMPLED_ROWS_MAX = 64
"""Rows of an insert whose times are read."""

RowTimes = Callable[[bytes], Times | None]


class LaneGauges:
    """Of one lane; called from its thread."""

    def __init__(self, table: str) -> None:
        self._table = table
        self._behind: dict[int, Behind] = {}
        self._done_at: dict[int, float] = {}
        self._looked_at = 0.0

    def assigned(self, partitions: Iterable[int], declared: int) -> None:
        """These partitions are the lane's."""
        self._behind = {partition: Behind() for partition in partitions}
        # a counter that appears with its first count shows Prometheus no increase
        for counter in (
            catalogue.SINK_INSERT_FAILED,
            catalogue.SINK_SETTLED,
            catalogue.SINK_REPAIRED,
            catalogue.SINK_COMMIT_FAILED,
        ):
            meter.add(counter, 0, self._table)
        self.done(0, 0, ())
        meter.add(catalogue.SINK_REBALANCES, 1, self._table)
        meter.put(catalogue.SINK_PARTITIONS, len(self._behind), self._table)
        meter.put(catalogue.SINK_DECLARED, declared, self._table)

    def forget(self) -> None:
        """The partitions are another's, or about to be given anew."""
        for partition in self._behind:
            meter.forget(catalogue.SINK_LAG, self._table, partition)
            meter.forget(catalogue.SINK_LAG_S, self._table, partition)
        self._behind, self._done_at = {}, {}
        meter.put(catalogue.SINK_PARTITIONS, 0, self._table)

    def done(self, records: int, refused: int, times: Iterable[Mapping[int, float]]) -> None:
        """Plans of so many records have ended; `times` are those of their partitions' last records."""
        meter.add(catalogue.SINK_RECORDS, max(0, records - refused), self._table, "stored")
        meter.add(catalogue.SINK_RECORDS, refused, self._table, "refused")
        for each in times:
            self._done_at |= each

    def put(self, lags: Callable[[], Mapping[int, int]], buffered: int) -> None:
        """Show the lag of every partition and what is buffered, every `LOOK_S`."""
        now = time.time()
        if now - self._looked_at < LOOK_S:
            return
        self._looked_at = now
        meter.put(catalogue.SINK_BUFFERED, buffered, self._table)
        for partition, records in lags().items():
            meter.put(catalogue.SINK_LAG, records, self._table, partition)
            seconds = self._behind[partition].seconds(records, self._done_at.get(partition, 0.0), now)
            meter.put(catalogue.SINK_LAG_S, seconds, self._table, partition)


def last_times(sealed: Sealed, times: RowTimes) -> dict[int, float]:
    """Partition → when Kafka took its last record in a batch, of those where a row tells."""
    found: dict[int, float] = {}
    for partition in sealed.partitions:
        row = partition.rows[-1]
        read = None if row is None else times(row)
        if read is not None:
            found[partition.partition] = read.appended
    return found


def queryable(sealed: Sealed, times: RowTimes) -> None:
    """A batch is in the table now: how long its scores took, by a sample of each partition's rows."""
    now = time.time()
    each = max(1, SAMPLED_ROWS_MAX // len(sealed.partitions))
    for partition in sealed.partitions[:SAMPLED_ROWS_MAX]:
        sampled = partition.rows[:: -(-len(partition.rows) // each)]
        weight, more = divmod(len(partition.rows), len(sampled))
        for row in sampled:
            stands_for, more = weight + more, 0
            read = None if row is None else times(row)
            if read is None:
                continue
            if read.emitted is not None:
                meter.observe_many(catalogue.EMIT_TO_QUERYABLE, max(0.0, now - read.emitted), stands_for)
            if read.received is not None:
                meter.observe_many(catalogue.RECEIVED_TO_QUERYABLE, max(0.0, now - read.received), stands_for)
