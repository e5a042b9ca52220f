"""What the worker counts: once a transaction, or every few seconds."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from faust.types import TP

from scoreline.observe import catalogue, meter, spans
from scoreline.rejections import Reason
from scoreline_streams.batch import Outcome

if TYPE_CHECKING:
    from scoreline_streams.partition import Partition

_OF_A_PARTITION = (
    catalogue.WORKER_LAG,
    catalogue.WORKER_LAG_S,
    catalogue.WORKER_STATE_IDS,
    catalogue.WORKER_STATE_BYTES,
)


def committed(records: int, outcome: Outcome, seconds: float) -> None:
    """A transaction of so many raw records is committed."""
    by_outcome = {
        "enriched": len(outcome.enriched),
        "duplicate": outcome.duplicates,
        "rejected": len(outcome.rejected),
    }
    for name, count in by_outcome.items():
        meter.add(catalogue.WORKER_RECORDS, count, name)
    for reason, count in Counter(letter.rejection.reason for letter in outcome.rejected).items():
        meter.add(catalogue.WORKER_REJECTED, count, reason.value)
    meter.observe(catalogue.WORKER_BATCH, records)
    meter.observe(catalogue.WORKER_TRANSACTION, seconds)
    meter.put(catalogue.WORKER_COMMITTED_AT, time.time())


def linked(partition: int, records: int, outcome: Outcome, seconds: float) -> None:
    """The span of a transaction, where a sampled span has emitted any of its scores."""
    if outcome.parents and spans.are_on():
        spans.batch("scoreline.worker.batch", seconds, outcome.parents.values(), partition=partition, records=records)


def rebalanced(declared: int) -> None:
    """Partitions were assigned."""
    # a counter that appears with its first count shows Prometheus no increase
    for reason in Reason:
        meter.add(catalogue.WORKER_REJECTED, 0, reason.value)
    meter.add(catalogue.WORKER_REBALANCES)
    meter.put(catalogue.WORKER_DECLARED, declared)


def count_partitions(partitions: Collection[Partition]) -> None:
    """How many there are, work, and are stopped."""
    meter.put(catalogue.WORKER_ASSIGNED, len(partitions))
    meter.put(catalogue.WORKER_OPEN, sum(partition.is_open for partition in partitions))
    meter.put(catalogue.WORKER_FLOODED, sum(partition.is_stopped for partition in partitions))


def forget_partitions(numbers: Iterable[int]) -> None:
    """They belong to another worker now."""
    for number in numbers:
        for metric in _OF_A_PARTITION:
            meter.forget(metric, number)
    count_partitions(())


def measure_lag(consumer: Any, topic: str, partitions: Mapping[int, Partition]) -> None:
    """The lag of every open partition; the end is what the fetcher has heard of it."""
    now = time.time()
    for number, partition in partitions.items():
        high = _highwater(consumer, TP(topic, number)) if partition.is_open else None
        if high is not None:
            records = max(0, high - partition.committed)
            meter.put(catalogue.WORKER_LAG, records, number)
            seconds = partition.behind.seconds(records, partition.committed_at, now)
            meter.put(catalogue.WORKER_LAG_S, seconds, number)


def _highwater(consumer: Any, tp: TP) -> int | None:
    try:
        return consumer.highwater(tp)
    except AssertionError:
        # aiokafka's word for a partition that is being taken away
        return None


def measure_state(partitions: Iterable[Partition]) -> None:
    """Size of every state; asks RocksDB, so not for the event loop."""
    for partition in partitions:
        size = partition.state_size()
        if size is not None:
            meter.put(catalogue.WORKER_STATE_IDS, size.ids, partition.number)
            meter.put(catalogue.WORKER_STATE_BYTES, size.disk_bytes, partition.number)
