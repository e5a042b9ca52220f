"""Records to the raw topic, a request's together: what `Deliveries.send` returns from, the broker has.

The producer is polled on the event loop, not in a thread of its own: every delivery report needs the interpreter's
lock, and a thread that asks for it ten thousand times a second makes the loop wait each time.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from scoreline.errors import KafkaUnavailable, QueueFull
from scoreline.kafka import error_of, raw_producer_options
from scoreline.observe import catalogue, meter
from scoreline.settings import Settings
from scoreline.topics import declare_topics
from scoreline.tracing import TRACEPARENT
from scoreline_gateway.tracing import request_parent

log = logging.getLogger(__name__)

POLL_S = 0.002
"""How often delivery reports are served while any is awaited."""
LINGER_MS = 2
REPORT_S = 1.0
"""How much longer than the broker may take the report of it may take."""
_FATAL = KafkaError._FATAL  # pyright: ignore[reportPrivateUsage]

KeyedRecord = tuple[bytes, bytes]
"""Key and value of a raw record."""


class _Batch:
    """The records of one request."""

    __slots__ = ("done", "error", "pending", "size")

    def __init__(self, pending: int, size: int) -> None:
        self.pending, self.size = pending, size
        self.error: KafkaError | None = None
        self.done = asyncio.get_running_loop().create_future()

    def delivered(self, error: KafkaError | None, _message: Message) -> None:
        """The report of one record."""
        if error is not None:
            self.error = error
        self.less(1)

    def less(self, records: int) -> None:
        """So many records fewer are awaited."""
        self.pending -= records
        if not self.pending and not self.done.done():
            self.done.set_result(None)


class Deliveries:
    """Sends records and waits for the broker's word on them. For one event loop.

    What waits is bounded in bytes and in time: a record that the broker has not acknowledged within `gateway_ack_s` is
    given up, and its request fails.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topic = declare_topics(settings).raw.name
        self._bytes_max, self._ack_s = settings.gateway_buffer_bytes_max, settings.gateway_ack_s
        self._bytes = 0
        self._batches: set[_Batch] = set()
        self._trouble: str | None = None
        self._died = False
        self._timer: asyncio.TimerHandle | None = None
        self._producer = self._make_producer()

    async def send(self, records: Sequence[KeyedRecord]) -> None:
        """Return when the broker has acknowledged every record.

        Raises KafkaUnavailable when it has not within `gateway_ack_s`, and at once when it did not do so for a request
        before and another one is already finding out; some of the records may be stored then. Raises QueueFull when
        too many bytes wait already; none was taken then.
        """
        if not records:
            return
        if self._trouble is not None and self._batches:
            raise KafkaUnavailable(self._trouble)
        size = sum(len(record) for _, record in records)
        if self._bytes + size > self._bytes_max:
            raise QueueFull(f"{self._bytes} bytes wait for Kafka already (SCORELINE_GATEWAY_BUFFER_BYTES_MAX)")
        batch = _Batch(len(records), size)
        self._bytes += size
        self._batches.add(batch)
        batch.done.add_done_callback(lambda _: self._forget(batch))
        meter.put(catalogue.GATEWAY_BUFFERED, self._bytes)
        begun = time.monotonic()
        self._produce(batch, records)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(POLL_S, self._serve)
        await self._outcome(batch)
        meter.observe(catalogue.GATEWAY_ACK, time.monotonic() - begun)

    def close(self) -> int:
        """Wait for what is on its way, for as long as a request would; returns how many records are left."""
        deadline = time.monotonic() + self._ack_s
        while len(self._producer) and time.monotonic() < deadline:
            self._producer.poll(0.05)
        left = len(self._producer)
        self._producer.close()
        return left

    def _make_producer(self) -> Producer:
        return Producer(
            raw_producer_options(
                self._settings,
                linger_ms=LINGER_MS,
                message_timeout_ms=int(self._ack_s * 1000),
                topic_metadata_propagation_max_ms=5000,
                queue_buffering_max_messages=10_000_000,
                queue_buffering_max_kbytes=max(1 << 20, 2 * self._bytes_max // 1024),
            )
        )

    def _produce(self, batch: _Batch, records: Sequence[KeyedRecord]) -> None:
        produce, topic, report = self._producer.produce, self._topic, batch.delivered
        parent = request_parent()
        headers: list[tuple[str, str | bytes | None]] | None = None if parent is None else [(TRACEPARENT, parent)]
        number = 0
        try:
            for number, (key, record) in enumerate(records):  # noqa: B007 (asked for below)
                produce(topic, record, key, -1, report, headers=headers)
        except BufferError:
            failed: KafkaError = KafkaError(KafkaError._QUEUE_FULL)  # pyright: ignore[reportPrivateUsage]
        except KafkaException as error:
            failed = error_of(error)
        else:
            return
        self._note(failed)
        batch.error = failed
        batch.less(len(records) - number)

    async def _outcome(self, batch: _Batch) -> None:
        try:
            async with asyncio.timeout(self._ack_s + REPORT_S):
                await asyncio.shield(batch.done)
        except TimeoutError:
            self._trouble = self._explain("no answer")
            raise KafkaUnavailable(self._trouble) from None
        if batch.error is not None:
            self._note(batch.error)
            self._trouble = self._explain(batch.error.str())
            raise KafkaUnavailable(self._trouble)
        self._trouble = None

    def _forget(self, batch: _Batch) -> None:
        self._bytes -= batch.size
        self._batches.discard(batch)
        meter.put(catalogue.GATEWAY_BUFFERED, self._bytes)

    def _note(self, error: KafkaError) -> None:
        self._died = self._died or error.fatal() or error.code() == _FATAL

    def _serve(self) -> None:
        try:
            self._producer.poll(0)
        except KafkaException as error:
            self._note(error_of(error))
        if self._died:
            self._renew()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(POLL_S, self._serve) if self._batches else None

    def _renew(self) -> None:
        """A producer in place of one that librdkafka declared dead; what that one held has failed."""
        log.error("a new Kafka producer takes over, this one ended: %s", self._trouble)
        self._producer.purge()
        deadline = time.monotonic() + REPORT_S
        while len(self._producer) and time.monotonic() < deadline:
            self._producer.poll(0.01)
        for batch in list(self._batches):
            if batch.pending > 0:
                batch.error = batch.error or KafkaError(_FATAL)
                batch.less(batch.pending)
        self._producer, self._died = self._make_producer(), False

    def _explain(self, reason: str) -> str:
        return (
            f"Kafka at {self._settings.kafka} did not acknowledge within {self._ack_s:g} s "
            f"(SCORELINE_GATEWAY_ACK_S): {reason}"
        )
