"""Reconcile, wired: where each partition begins and ends, then one partition after another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from scoreline.access import Component
from scoreline.kafka import require_topics
from scoreline.settings import Settings
from scoreline.topics import declare_topics
from scoreline_sink.reconcile.raw import Start, await_sink, log_start, open_reader, start_offset, worker_positions
from scoreline_sink.reconcile.store import Store
from scoreline_sink.reconcile.tally import Report, Tally
from scoreline_sink.reconcile.walk import Walk
from scoreline_sink.schema import require_schema


@dataclass(frozen=True, slots=True)
class Request:
    """What to reconcile."""

    partitions: tuple[int, ...]
    start: Start = None
    wait_s: float = 60.0
    """How long the sink may take to store what the worker has written."""
    culprits_max: int = 20


Show = Callable[[int, int], None]
"""Takes offsets done and offsets in all, over all partitions."""


def reconcile(settings: Settings, request: Request, show: Show) -> Report:
    """Compare the raw records that the worker has settled until now with what is stored and rejected.

    Raises KafkaUnavailable, ClickHouseUnavailable, TopicError, SchemaError, SettingsError; RetryableError when the
    sink does not store in time what the worker has written.
    """
    require_topics(settings, Component.RECONCILE)
    topic, partitions = declare_topics(settings).raw.name, list(request.partitions)
    store = Store(settings, topic)
    try:
        require_schema(settings)
        ends = worker_positions(settings, partitions)
        await_sink(settings, partitions, request.wait_s)
        with open_reader(settings) as consumer:
            tallies: list[Tally] = []
            for partition, end in sorted(ends.items()):
                low = log_start(consumer, settings, topic, partition)
                first = start_offset(consumer, settings, topic, partition, request.start, low)
                first = end if first is None else min(first, end)
                tallies.append(Tally(partition, first, end, request.culprits_max))
            total, done = sum(tally.end - tally.first for tally in tallies), 0
            for tally in tallies:
                # while the others were read, more of this one may have expired
                low = log_start(consumer, settings, topic, tally.partition)
                done += min(max(0, low - tally.first), tally.end - tally.first)
                tally.first = min(max(tally.first, low), tally.end)
                for offsets in Walk(settings, store, consumer, topic, tally, low).run():
                    done += offsets
                    show(done, total)
        return Report(tuple(tallies), request.culprits_max)
    finally:
        store.close()
