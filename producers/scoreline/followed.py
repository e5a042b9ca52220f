"""A compacted topic in memory: a plain consumer that follows it from its beginning (score configs, lookups, keys).

Not a Faust GlobalTable: its recovery never ends at one undecodable record, and it needs a changelog topic of its own.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from scoreline.changes import HISTORY_MARK, Entry
from scoreline.errors import KafkaUnavailable, MalformedRecord, TopicError
from scoreline.kafka import CALL_TIMEOUT_S, client_options, error_of
from scoreline.settings import Settings
from scoreline.topics import declare_groups

log = logging.getLogger(__name__)

POLL_S = 0.2
MESSAGES_MAX = 1000
_MOVING = (
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
)
"""What a broker answers while a partition is made or gets another leader, and the last one also for ever after."""


T = TypeVar("T", bound=Entry)


class Followed(Generic[T]):
    """The newest entry of every key of a topic with one partition, kept up to date by a thread."""

    def __init__(self, settings: Settings, topic: str, decode: Callable[[bytes], T]) -> None:
        """`decode` makes an entry of a record's value; it raises MalformedRecord."""
        self._topic, self._decode = topic, decode
        self._entries: dict[bytes, T] = {}
        self._position = 0
        self._seen, self._in_step_at = 0, time.monotonic()
        self._moved = threading.Condition()
        self._stopped = threading.Event()
        self._failure: BaseException | None = None
        options = client_options(
            settings,
            group_id=declare_groups(settings).reader,
            enable_auto_commit=False,
            enable_partition_eof=True,
            auto_offset_reset="earliest",
            fetch_wait_max_ms=50,
        )
        self._consumer = Consumer(options)
        # a handle serves one call at a time, and the other one is always in consume()
        self._ends = Consumer(options)
        self._thread = threading.Thread(target=self._follow, name=topic, daemon=True)

    @property
    def entries(self) -> Mapping[bytes, T]:
        """Entries by record key; replaced one by one as the topic grows."""
        return self._entries

    def start(self) -> None:
        """Begin to follow the topic; use `catch_up` to wait for it."""
        self._in_step_at = time.monotonic()
        self._thread.start()

    def stop(self) -> None:
        """End the thread and leave."""
        self._stopped.set()
        if self._thread.ident is not None:
            self._thread.join(CALL_TIMEOUT_S)
        self._ends.close()

    def check(self, stall_s: float) -> None:
        """Raise KafkaUnavailable when the topic is no longer followed: its thread has failed, or entries wait and
        none was read for `stall_s` seconds; TopicError when the topic is gone. An absent broker is waited for.
        """
        self._raise_failure()
        try:
            end = self._end()
        except KafkaUnavailable as error:
            log.warning("%s", error)
            return
        now, position = time.monotonic(), self._position
        if position >= end or position != self._seen:
            self._in_step_at, self._seen = now, position
        elif now - self._in_step_at >= stall_s:
            raise KafkaUnavailable(
                f"{self._topic} was read up to {position} of {end} and no further for {now - self._in_step_at:.0f} s "
                "(SCORELINE_STALL_S)"
            )

    def catch_up(self) -> None:
        """Return once everything is read that is in the topic now: whoever got an acknowledgement for an entry
        before this call is heard.

        Raises KafkaUnavailable when that takes longer than a call may take, TopicError when the topic is gone.
        """
        end = self._end()
        deadline = time.monotonic() + CALL_TIMEOUT_S
        with self._moved:
            while self._position < end:
                self._raise_failure()
                if not self._moved.wait(deadline - time.monotonic()):
                    raise KafkaUnavailable(f"{self._topic} was read up to {self._position} of {end} in time")

    def _end(self) -> int:
        deadline = time.monotonic() + CALL_TIMEOUT_S
        while True:
            try:
                return self._ends.get_watermark_offsets(TopicPartition(self._topic, 0), timeout=CALL_TIMEOUT_S)[1]
            except KafkaException as error:
                code, reason = error_of(error).code(), f"{self._topic}: {error_of(error).str()}"
                if code not in _MOVING:
                    raise KafkaUnavailable(reason) from error
                if time.monotonic() > deadline:
                    raise TopicError(f"{reason}; create it with: scoreline topics") from error
                time.sleep(POLL_S)

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise KafkaUnavailable(f"reading {self._topic} failed: {self._failure}") from self._failure

    def _follow(self) -> None:
        try:
            self._consumer.assign([TopicPartition(self._topic, 0, 0)])
            while not self._stopped.is_set():
                first = self._consumer.consume(1, POLL_S)
                # asked for many at once, it waits out its time before it gives the few that are there
                self._take(first + self._consumer.consume(MESSAGES_MAX, 0))
        except Exception as error:
            log.exception("following %s failed", self._topic)
            with self._moved:
                self._failure = error
                self._moved.notify_all()
        finally:
            self._consumer.close()

    def _take(self, messages: list[Message]) -> None:
        position = self._position
        for message in messages:
            error = message.error()
            if error is None:
                self._apply(message)
                position = (message.offset() or 0) + 1
            elif error.code() == KafkaError._PARTITION_EOF:  # pyright: ignore[reportPrivateUsage]
                position = max(position, message.offset() or 0)
            elif error.fatal():
                raise KafkaException(error)
            else:
                log.warning("%s: %s", self._topic, error.str())
        if position != self._position:
            with self._moved:
                self._position = position
                self._moved.notify_all()

    def _apply(self, message: Message) -> None:
        """A bad entry is reported and skipped: it must not stop the scores of everybody else."""
        key, value = message.key(), message.value()
        if key is None or _bytes(key).startswith(HISTORY_MARK):
            return
        if value is None:
            self._entries.pop(_bytes(key), None)
            return
        try:
            entry = self._decode(_bytes(value))
        except MalformedRecord as error:
            log.error("%s offset %s, key %r: unreadable, ignored: %s", self._topic, message.offset(), key, error)
            return
        if entry.key != key:
            log.error("%s offset %s: key %r, expected %r; ignored", self._topic, message.offset(), key, entry.key)
            return
        self._entries[entry.key] = entry


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode()
