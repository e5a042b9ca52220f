"""A Faust transport that hands an agent a whole fetched partition batch as one event.

Faust spends two asyncio tasks on every message; one event per batch makes that cost vanish. These are the only
Faust internals that are replaced, and tests/streams/scoreline_streams/test_transport.py holds their contract.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import faust
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from scoreline_streams.batch import RawRecord

HOLD_S = 0.02
FETCH_S = 0.2
BATCH_BYTES_MAX = 16 << 20
"""Values of one batch, and so of one transaction."""


class Batch:
    """A record in Faust's eyes whose value is the list of records fetched for one partition."""

    __slots__ = (
        "checksum",
        "headers",
        "key",
        "offset",
        "partition",
        "serialized_key_size",
        "serialized_value_size",
        "timestamp",
        "timestamp_type",
        "topic",
        "value",
    )

    def __init__(self, topic: str, partition: int, records: Sequence[RawRecord]) -> None:
        last: Any = records[-1]
        self.topic, self.partition = topic, partition
        self.offset, self.timestamp, self.timestamp_type = last.offset, last.timestamp, last.timestamp_type
        self.value: Sequence[RawRecord] = records
        self.key = self.checksum = None
        self.headers: tuple[()] = ()
        self.serialized_key_size = self.serialized_value_size = 0


class BatchConsumer(driver.Consumer):
    """Fetches only from partitions that are open, one `Batch` each."""

    async def perform_seek(self) -> None:
        """Not Faust's business: it would seek to an offset read without require-stable, over ours."""

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> dict[TP, list[Batch]]:
        app = cast("BatchApp", self.app)
        ready = {tp for tp in active_partitions or () if app.is_open(tp.partition)}
        if not ready:
            # aiokafka reads an empty set as "all partitions"
            await asyncio.sleep(HOLD_S)
            return {}
        fetched: Mapping[TP, list[Any]] = await super()._getmany(ready, min(timeout, FETCH_S))
        return {tp: [Batch(tp.topic, tp.partition, part) for part in split(records)] for tp, records in fetched.items()}


def split(records: Sequence[RawRecord]) -> Iterator[Sequence[RawRecord]]:
    """`records` in order, in parts of at most `BATCH_BYTES_MAX`, or of one record that is larger."""
    start = size = 0
    for index, record in enumerate(records):
        length = len(record.value or b"")
        if size + length > BATCH_BYTES_MAX and index > start:
            yield records[start:index]
            start, size = index, 0
        size += length
    if records:
        yield records[start:]


class BatchTransport(driver.Transport):
    """The aiokafka transport with our consumer."""

    Consumer = BatchConsumer


class BatchApp(faust.App):
    """A Faust app on the batch transport, without Faust's web server."""

    def is_open(self, partition: int) -> bool:
        """Whether records of this partition may be fetched; set by the wiring."""
        raise NotImplementedError

    def _new_transport(self) -> BatchTransport:
        return BatchTransport(self.conf.broker_consumer, self, loop=self.loop)

    class BootStrategy(faust.App.BootStrategy):
        """Keeps Faust's web server closed: it would bind every interface."""

        enable_web = False
