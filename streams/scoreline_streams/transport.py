"""A Faust transport that hands an agent a whole fetched partition batch as one event.

Faust spends two asyncio tasks on every message; one event per batch makes that cost vanish. These are the only
Faust internals that are replaced, and tests/streams/scoreline_streams/test_internals.py holds their contract.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import faust
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from scoreline_streams.batch import RawRecord

FETCH_S = 0.2
"""How long a fetch waits for records when all partitions are asked for."""
HOLD_S = 0.01
"""How long it waits while some partition is held, which may be hungry again soon."""
LONG_POLL_MS = 250
"""How long the broker may keep a request that asks for partitions without records. Until it answers, aiokafka asks for
no others: this long a partition with a backlog can wait beside idle ones."""
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


class CommittedConsumerThread(driver.AIOKafkaConsumerThread):
    """Reads committed records only: what a producer aborted was never emitted."""

    def _create_worker_consumer(self, transport: driver.Transport) -> Any:
        consumer = super()._create_worker_consumer(transport)
        # Faust asks for the first only together with its own transactions, and has no setting for the second; aiokafka
        # hands both to its fetcher at start
        consumer._isolation_level = "read_committed"  # pyright: ignore[reportPrivateUsage]
        consumer._fetch_max_wait_ms = LONG_POLL_MS  # pyright: ignore[reportPrivateUsage]
        return consumer


class BatchConsumer(driver.Consumer):
    """Fetches only from partitions that are open and have no batch waiting, one `Batch` each.

    So what arrives while a transaction commits becomes one batch and one transaction, not many small ones.
    """

    def _new_consumer_thread(self) -> CommittedConsumerThread:
        return CommittedConsumerThread(self, loop=self.loop, beacon=self.beacon)  # pyright: ignore[reportUnknownMemberType]

    async def perform_seek(self) -> None:
        """Not Faust's business: it would seek to an offset read without require-stable, over ours."""

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> dict[TP, list[Batch]]:
        app = cast("BatchApp", self.app)
        active = active_partitions or set()
        hungry = {tp for tp in active if app.is_hungry(tp.partition)}
        if not hungry:
            # aiokafka reads an empty set as "all partitions"
            await asyncio.sleep(HOLD_S)
            return {}
        wait_s = FETCH_S if hungry == active else HOLD_S
        fetched: Mapping[TP, list[Any]] = await super()._getmany(hungry, min(timeout, wait_s))
        for tp in fetched:
            app.feed(tp.partition)
        return {tp: [Batch(tp.topic, tp.partition, part) for part in split(records)] for tp, records in fetched.items()}


def split(records: Sequence[RawRecord]) -> Iterator[Sequence[RawRecord]]:
    """`records` in order, in parts of at most `BATCH_BYTES_MAX`, or of one record that is larger."""
    lengths = [len(record.value or b"") for record in records]
    if sum(lengths) <= BATCH_BYTES_MAX:
        if records:
            yield records
        return
    start = size = 0
    for index, length in enumerate(lengths):
        if size + length > BATCH_BYTES_MAX and index > start:
            yield records[start:index]
            start, size = index, 0
        size += length
    yield records[start:]


class BatchTransport(driver.Transport):
    """The aiokafka transport with our consumer."""

    Consumer = BatchConsumer


class BatchApp(faust.App):
    """A Faust app on the batch transport, without Faust's web server."""

    def is_hungry(self, partition: int) -> bool:
        """Whether records of this partition may be fetched."""
        raise NotImplementedError

    def feed(self, partition: int) -> None:
        """Told that a batch of this partition was fetched and will be handed to the agent."""
        raise NotImplementedError

    def _new_transport(self) -> BatchTransport:
        return BatchTransport(self.conf.broker_consumer, self, loop=self.loop)

    class BootStrategy(faust.App.BootStrategy):
        """Keeps Faust's web server closed: it would bind every interface."""

        enable_web = False
