"""What one process has emitted and the broker has not acknowledged: queue, spool and the thread that serves both.

Nothing is given up but a record that the broker refuses when it is sent alone. Whatever an operator can mend (no
broker, no topic, no right to write, a producer that librdkafka declares dead) is waited out, in bounded memory.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from scoreline.delivery import Acknowledgement, Delivery, Held, OnDelivered, Origin, acknowledgement_of, debug_log
from scoreline.errors import InvalidScore, KafkaUnavailable, PermanentError, QueueFull, ScorelineError
from scoreline.kafka import error_of, raw_producer_options
from scoreline.lifetime import making
from scoreline.rejections import Reason, Rejection
from scoreline.spool import Segment, Spool
from scoreline.topics import declare_topics
from scoreline.tracing import TRACEPARENT, traceparent

if TYPE_CHECKING:
    from scoreline.settings import Settings

log = logging.getLogger(__name__)

POLL_S = 0.1
ROOM_S = 0.01
"""How often a caller that waits looks for room."""
FLUSH_SLICE_S = 0.1
"""How long a flush is deaf to Ctrl-C. From 0.2 s on the binding flushes in parts, and goes on calling back after a
fatal error, with the exception set."""
RETRY_S, RETRY_S_MAX = 0.1, 10.0
"""First and longest pause before records that came back are sent again."""
PROBE_S = 2.0
RETIRE_S = 10.0
"""How long a dead producer may still learn what became of its records in flight."""
HELD_BYTES_MAX = 1 << 30
"""Bytes of records outside librdkafka's queue; as large as that queue (queue.buffering.max.kbytes)."""

NEVER_TAKEN = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_RECORD})
"""Errors of a record that no later attempt can mend, or of another one in its batch."""
PURGED = frozenset({KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT})  # pyright: ignore[reportPrivateUsage]
TIMED_OUT = KafkaError._MSG_TIMED_OUT  # pyright: ignore[reportPrivateUsage]
NO_TOPIC = frozenset(
    {
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError._UNKNOWN_TOPIC,  # pyright: ignore[reportPrivateUsage]
        KafkaError._UNKNOWN_PARTITION,  # pyright: ignore[reportPrivateUsage]
    }
)
NO_RIGHT = frozenset({KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED})


class Outbox:
    """Sends records to the raw topic. Thread-safe; belongs to the process that made it."""

    def __init__(self, settings: Settings, delivery: Delivery) -> None:
        """Raises SettingsError when the spool's folder cannot be made."""
        self._settings, self._delivery = settings, delivery
        self._topic = declare_topics(settings).raw.name
        self._debug = debug_log() if settings.debug else None
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._held: deque[Held] = deque()
        self._held_bytes = 0
        self._left = 0
        self._trouble: str | None = None
        self._fatal = False
        self._pause_s, self._retry_at = RETRY_S, 0.0
        self._plain = self._report_to(Origin())
        self._spooled = Origin(), self._plain
        spool_dir = settings.spool_dir
        self._spool = None if spool_dir is None else Spool(spool_dir, settings.spool_bytes_max)
        self._producer = self._make_producer()
        self._poller = threading.Thread(target=self._run, name="scoreline-delivery", daemon=True)
        self._poller.start()

    def send(self, key: bytes, record: bytes, on_delivered: OnDelivered | None = None) -> None:
        """Take one record, for which there must be room within `queue_wait_s`.

        Raises QueueFull, InvalidScore when it is longer than any record may be, PermanentError after `close`; it was
        not taken then, and `on_delivered` is not called.
        """
        if not self.offer(key, record, on_delivered):
            for pause_s in self._pauses():
                self._closed.wait(pause_s)
                if self.offer(key, record, on_delivered):
                    return

    async def send_async(self, key: bytes, record: bytes, on_delivered: OnDelivered | None = None) -> None:
        """As `send`, without blocking the event loop while it waits for room."""
        if not self.offer(key, record, on_delivered):
            for pause_s in self._pauses():
                await asyncio.sleep(pause_s)
                if self.offer(key, record, on_delivered):
                    return

    def offer(self, key: bytes, record: bytes, on_delivered: OnDelivered | None = None) -> bool:
        """Take a record if there is room for it now; whether it was taken.

        Raises InvalidScore when it is longer than any record may be, PermanentError after `close`.
        """
        if self._closed.is_set():
            raise PermanentError("this client is closed: it takes no more scores")
        if not self._accept(key, record, on_delivered):
            return False
        self._delivery.sent += 1
        self._delivery.sent_bytes += len(record)
        return True

    def flush(self, timeout_s: float) -> int:
        """Wait for acknowledgements; returns how many records are still unsent."""
        deadline = time.monotonic() + timeout_s
        while True:
            slice_s = min(FLUSH_SLICE_S, max(0.0, deadline - time.monotonic()))
            unsent = self._flush(slice_s) + len(self._held)
            if not unsent or time.monotonic() >= deadline:
                return unsent
            if self._held:
                self._closed.wait(min(POLL_S, slice_s))

    def close(self, timeout_s: float) -> str | None:
        """Flush and end; says what was left unsent and why, None when nothing was. A spool keeps what was left."""
        self.flush(timeout_s)
        self._closed.set()
        self._poller.join(RETIRE_S)
        self._producer.purge()
        self._flush(RETIRE_S)
        self._producer.close()
        if self._spool is not None:
            self._spool.seal()
            self._spool.release()
        unsent = self._left + len(self._held)
        self._delivery.failed += sum(not held.origin.recovered for held in self._held)
        for held in self._held:
            self._tell(held.origin, KafkaUnavailable(self._why_left()))
        if not unsent:
            return None
        return f"{unsent} scores were not acknowledged within {timeout_s:g} s (SCORELINE_FLUSH_S): {self._why_left()}"

    def _pauses(self) -> Iterator[float]:
        """How long to wait for room before each look, for `queue_wait_s`; then raises QueueFull."""
        deadline = time.monotonic() + self._settings.queue_wait_s
        while time.monotonic() < deadline:
            yield ROOM_S
        raise QueueFull(self._why_full())

    def _make_producer(self) -> Producer:
        return Producer(
            raw_producer_options(
                self._settings,
                message_timeout_ms=0,
                topic_metadata_propagation_max_ms=5000,
                queue_buffering_max_messages=self._settings.queue_events_max,
            )
        )

    def _accept(self, key: bytes, record: bytes, on_delivered: OnDelivered | None) -> bool:
        if self._spool is not None:
            return self._accept_spooled(self._spool, key, record, on_delivered)
        report = self._plain if on_delivered is None else self._report_to(Origin(on_delivered=on_delivered))
        if not self._held and self._put(report, key, record):
            return True
        if (not self._held and self._trouble is None) or self._is_full() or self._held_bytes >= HELD_BYTES_MAX:
            return False
        self._hold(Held(Origin(on_delivered=on_delivered), key, record))
        return True

    def _accept_spooled(self, spool: Spool, key: bytes, record: bytes, on_delivered: OnDelivered | None) -> bool:
        """Whether there is room is decided before the record is on disk, where it would stay."""
        if self._is_full():
            return False
        segment = spool.add(key, record)
        origin, report = self._spooled
        if origin.segment is not segment:
            origin = Origin(segment)
            report = self._report_to(origin)
            self._spooled = origin, report
        if on_delivered is not None:
            origin = Origin(segment, on_delivered=on_delivered)
            report = self._report_to(origin)
        try:
            if not self._held and self._put(report, key, record):
                return True
        except InvalidScore:
            segment.settled()
            raise
        self._hold(Held(origin, key, record))
        return True

    def _put(self, report: partial[None], key: bytes, record: bytes) -> bool:
        """Give a record to librdkafka; False when it does not take it now. Raises InvalidScore when it never will."""
        try:
            parent = traceparent()
            if parent is None:
                self._producer.produce(self._topic, record, key, -1, report)
            else:
                self._producer.produce(self._topic, record, key, -1, report, headers={TRACEPARENT: parent})
        except BufferError:
            return False
        except KafkaException as failure:
            error = error_of(failure)
            if error.code() in NEVER_TAKEN:
                raise InvalidScore(Rejection(Reason.TOO_LARGE, error.str())) from failure
            self._fatal = self._fatal or error.code() == KafkaError._FATAL  # pyright: ignore[reportPrivateUsage]
            self._trouble = self._trouble or self._explain(error)
            return False
        return True

    def _is_full(self) -> bool:
        return len(self._producer) + len(self._held) >= self._settings.queue_events_max

    def _hold(self, held: Held) -> None:
        with self._lock:
            self._held.append(held)
            self._held_bytes += len(held.record)

    def _serve(self, timeout_s: float) -> None:
        """Serve delivery reports."""
        try:
            self._producer.poll(timeout_s)
        except KafkaException as error:
            self._died(error)

    def _flush(self, timeout_s: float) -> int:
        """Send what lingers and serve delivery reports; returns how many records are still unsent."""
        deadline = time.monotonic() + timeout_s
        while True:
            slice_s = min(FLUSH_SLICE_S, max(0.0, deadline - time.monotonic()))
            try:
                unsent = self._producer.flush(slice_s)
            except KafkaException as error:
                self._died(error)
                unsent = len(self._producer)
            if not unsent or time.monotonic() >= deadline:
                return unsent

    def _died(self, error: KafkaException) -> None:
        if not error_of(error).fatal():
            raise error
        self._fatal, self._trouble = True, error_of(error).str()

    def _run(self) -> None:
        """Serve delivery reports while the caller emits nothing; first send what earlier processes left."""
        if self._spool is not None:
            for segment in self._spool.orphans():
                self._recover(segment)
        while not self._closed.is_set():
            self._tend()

    def _tend(self) -> None:
        self._serve(POLL_S)
        if self._fatal:
            self._renew()
        if self._held and time.monotonic() >= self._retry_at:
            self._send_again()
        elif not self._held and not len(self._producer):
            self._pause_s = RETRY_S

    def _recover(self, segment: Segment) -> None:
        origin = Origin(segment, recovered=True)
        report = self._report_to(origin)
        records = 0
        for key, record in segment.records():
            segment.expect()
            while self._held or len(self._producer) > self._settings.queue_events_max // 2:
                if self._closed.is_set():
                    return
                self._tend()
            held = Held(origin, key, record)
            if not self._give(held, report):
                self._hold(held)
            records += 1
        segment.seal()
        log.info("sending %d scores that %s still held", records, segment.path)

    def _renew(self) -> None:
        """A producer in place of a dead one, once it is known what became of the records of that one.

        One that was written, but not acknowledged, is written twice so; its id makes that harmless.
        """
        log.error("a new Kafka producer takes over, this one ended: %s", self._trouble)
        for purge in (lambda: None, self._producer.purge):
            purge()
            deadline = time.monotonic() + RETIRE_S
            while len(self._producer) and time.monotonic() < deadline and not self._closed.is_set():
                self._serve(POLL_S)
        if not self._closed.is_set():
            with making:
                self._producer = self._make_producer()
            self._fatal, self._trouble = False, self._trouble if self._held else None

    def _send_again(self) -> None:
        """Send what is held, when the topic can be written to."""
        if self._trouble is not None:
            if len(self._producer):
                return
            log.warning("%d scores wait to be sent again: %s", len(self._held), self._trouble)
            self._retry_at = time.monotonic() + self._pause_s
            self._pause_s = min(self._pause_s * 2, RETRY_S_MAX)
            if not self._topic_answers():
                return
            self._trouble = None
        while self._held and not self._closed.is_set() and self._trouble is None:
            held = self._held[0]
            if not self._give(held, self._report_to(held.origin)):
                return
            with self._lock:
                self._held_bytes -= len(self._held.popleft().record)

    def _give(self, held: Held, report: partial[None]) -> bool:
        """Give a held record to librdkafka; False when it has to wait longer."""
        if held.origin.alone:
            self._drain()
        try:
            taken = self._put(report, held.key, held.record)
        except InvalidScore as refusal:
            self._give_up(held.origin, held.key, refusal)
            self._settle(held.origin)
            return True
        if held.origin.alone:
            self._drain()
        return taken

    def _drain(self) -> None:
        while len(self._producer) and not self._closed.is_set() and not self._fatal:
            self._serve(POLL_S)

    def _topic_answers(self) -> bool:
        """Whether the topic exists and may be seen; if not, the trouble says why."""
        try:
            error = self._producer.list_topics(self._topic, timeout=PROBE_S).topics[self._topic].error
        except KafkaException as failure:
            error = error_of(failure)
        if error is not None:
            self._trouble = self._explain(error)
        return error is None

    def _report_to(self, origin: Origin) -> partial[None]:
        return partial(self._delivered, origin)

    def _delivered(self, origin: Origin, error: KafkaError | None, message: Message) -> None:
        if error is None:
            self._settle(origin)
            if origin.recovered:
                self._delivery.recovered += 1
            else:
                self._delivery.acknowledged += 1
            if self._debug is not None:
                self._debug.info("%s is %s", (message.key() or b"").decode(), acknowledgement_of(message))
            if origin.on_delivered is not None:
                self._tell(origin, acknowledgement_of(message))
            return
        code = error.code()
        if code in PURGED and self._closed.is_set():
            self._left += 1
            self._delivery.failed += not origin.recovered
            self._tell(origin, KafkaUnavailable(self._why_left()))
        elif code == TIMED_OUT:
            self._give_up(origin, message.key(), KafkaUnavailable(error.str()))
        elif code in NEVER_TAKEN and origin.alone:
            self._give_up(origin, message.key(), InvalidScore(Rejection(Reason.TOO_LARGE, error.str())))
            self._settle(origin)
        else:
            self._trouble = self._trouble or self._explain(error)
            again = replace(origin, alone=code in NEVER_TAKEN)
            self._hold(Held(again, message.key() or b"", message.value() or b""))

    def _settle(self, origin: Origin) -> None:
        if origin.segment is not None:
            origin.segment.settled()

    def _give_up(self, origin: Origin, key: object, why: ScorelineError) -> None:
        log.error("score %r was given up: %s", key, why)
        self._delivery.failed += not origin.recovered
        self._tell(origin, why)

    def _tell(self, origin: Origin, outcome: Acknowledgement | ScorelineError) -> None:
        """Whoever asked learns what became of a record; an error of theirs must not end the delivery of the others."""
        if origin.on_delivered is None:
            return
        try:
            origin.on_delivered(outcome)
        except Exception:
            log.exception("a callback for the delivery of a score failed")

    def _explain(self, error: KafkaError) -> str:
        """What is wrong and, where that is known, the remedy."""
        code, kafka = error.code(), self._settings.kafka
        if code in NO_TOPIC:
            return f"topic {self._topic} does not exist at {kafka}; create it with: scoreline topics"
        if code in NO_RIGHT:
            return f"{kafka} does not let this client write to {self._topic} ({error.str()}); mend its ACLs"
        return error.str()

    def _why_left(self) -> str:
        return self._trouble or f"is Kafka at {self._settings.kafka} up?"

    def _why_full(self) -> str:
        remedy = self._trouble or "bring the broker back, or raise SCORELINE_QUEUE_EVENTS_MAX or SCORELINE_QUEUE_WAIT_S"
        return f"no room: scores that wait for Kafka at {self._settings.kafka} fill the queue; {remedy}"
