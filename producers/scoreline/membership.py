"""One member of a consumer group on `scores.enriched`: fetches ahead, and commits only what its caller has finished."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from scoreline.errors import ConflictingOwner, KafkaUnavailable, ScorelineError, SettingsError, TopicError
from scoreline.kafka import CALL_TIMEOUT_S, Start, client_options, error_of, offset_at
from scoreline.settings import Settings
from scoreline.topics import declare_topics

log = logging.getLogger(__name__)

T = TypeVar("T")

SLICE_S: Final = 0.1
"""How long the member waits in one call: for records, and for its caller to take some."""
COMMIT_S: Final = 1.0
"""How often finished records are committed."""
KEEP_ALIVE_S: Final = 2.0
"""A caller that takes nothing for so long is busy: fetching pauses, and the group keeps hearing from its member."""
READ_RECORDS_MAX: Final = 500
REFILL_RECORDS: Final = 250
"""More is read when fewer are waiting, so that at most both together wait."""

_PINNED: Final = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "isolation.level": "read_committed",
    "auto.offset.reset": "error",
    "group.protocol": "classic",
    # A rebalance takes only the partitions that move.
    "partition.assignment.strategy": "cooperative-sticky",
}
"""Options that the guarantees rest on; `SCORELINE_KAFKA_OPTIONS` cannot change them."""


class Membership:
    """A consumer group's member in a thread of its own, which alone talks to Kafka.

    The caller looks at the next record (`peek`), takes it (`hand`) or passes over it (`skip`), and says when all that
    it took is dealt with (`finish`). Only what is finished is committed. A slow caller stays a member: the thread
    serves the group while the caller works. `arrived` is called, in that thread, whenever there is something new.
    """

    def __init__(self, settings: Settings, group: str, start: Start, arrived: Callable[[], None]) -> None:
        self._settings = settings
        self._group = settings.topic_prefix + group
        self._topic = declare_topics(settings).enriched.name
        self._start: Start = start
        self._arrived = arrived
        self._lock = threading.Lock()
        self._waiting: deque[Message] = deque()
        self._handed: list[Message] = []
        self._seen: dict[int, int] = {}
        self._finished: dict[int, int] = {}
        self._committed: dict[int, int] = {}
        self._room = threading.Event()
        self._busy_since: float | None = None
        self._paused = False
        self._commit_at = 0.0
        self._unanswered_until = 0.0
        self._forfeited = False
        self._closing = False
        self._ended = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=f"scoreline-consume-{group}", daemon=True)

    @property
    def topic(self) -> str:
        return self._topic

    @property
    def forfeited(self) -> bool:
        """Whether, since the last `finish`, partitions went away before what was taken from them was committed."""
        return self._forfeited

    @property
    def ended(self) -> bool:
        """Whether the member has left its group."""
        return self._ended

    def join(self) -> None:
        """Become a member, if not yet one."""
        if self._thread.ident is None:
            self._thread.start()

    def leave(self) -> bool:
        """Commit what is finished and leave the group; False when that could not be done in time."""
        self._closing = True
        if self._thread.ident is not None:
            self._thread.join(CALL_TIMEOUT_S)
        return not self._thread.is_alive()

    def peek(self) -> Message | None:
        """The next record, None when none is there yet or the member has left. Raises what made it leave."""
        if self._error is not None:
            raise self._error
        with self._lock:
            return self._waiting[0] if self._waiting and not self._ended else None

    def hand(self, record: Message) -> bool:
        """Take the record that was peeked at; False when its partition has gone to another member."""
        with self._lock:
            if not self._pop(record):
                return False
            self._handed.append(record)
            return True

    def skip(self, record: Message) -> None:
        """Pass over the record that was peeked at. It is finished with those taken before it."""
        with self._lock:
            if self._pop(record) and not self._handed:
                self._settle()

    def finish(self) -> None:
        """All that was taken is dealt with and may be committed."""
        with self._lock:
            self._settle()
            self._forfeited = False

    def give_back(self) -> None:
        """All that was taken and is not finished comes again."""
        with self._lock:
            self._waiting.extendleft(reversed(self._handed))
            self._handed.clear()
            self._seen.clear()

    def uncommitted(self) -> int:
        """Partitions whose finished records are not yet committed; that comes next."""
        due = len(self._due())
        if due:
            self._commit_at = 0.0
        return due

    def _pop(self, record: Message) -> bool:
        if not self._waiting or self._waiting[0] is not record:
            return False
        self._waiting.popleft()
        self._seen[_partition(record)] = _offset(record) + 1
        if len(self._waiting) < REFILL_RECORDS:
            self._room.set()
        return True

    def _settle(self) -> None:
        self._finished.update(self._seen)
        self._seen.clear()
        self._handed.clear()

    def _run(self) -> None:
        try:
            consumer = Consumer(self._options())
            try:
                consumer.subscribe(
                    [self._topic], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
                )
                while not self._closing:
                    self._read(consumer)
                    self._commit_now_and_then(consumer)
            finally:
                consumer.close()
        except BaseException as error:  # noqa: BLE001 (raised again in the caller's thread, by `peek`)
            self._error = error
        finally:
            self._ended = True
            self._arrived()

    def _options(self) -> dict[str, object]:
        return {
            **client_options(
                self._settings,
                session_timeout_ms=round(self._settings.session_timeout_s * 1000),
                # A member learns of a rebalance by the answer to its heartbeat.
                heartbeat_interval_ms=1000,
                fetch_wait_max_ms=100,
                queued_max_messages_kbytes=16 * 1024,
                topic_metadata_refresh_interval_ms=60_000,
            ),
            **_PINNED,
            "group.id": self._group,
            "on_commit": self._on_commit,
        }

    def _read(self, consumer: Consumer) -> None:
        """Fetch while there is room; serve the group while there is none."""
        if self._has_room():
            if self._paused:
                consumer.resume(consumer.assignment())
            self._busy_since, self._paused = None, False
            # Taken in before more is asked for: a revocation in the second call has to find those of the first.
            if self._take_in(consumer.consume(1, SLICE_S)):
                self._take_in(consumer.consume(READ_RECORDS_MAX - 1, 0))
            return
        now = time.monotonic()
        self._busy_since = self._busy_since or now
        if not self._await_room() and now - self._busy_since > KEEP_ALIVE_S:
            consumer.pause(consumer.assignment())
            self._paused = True
            self._take_in(consumer.consume(1, 0))

    def _has_room(self) -> bool:
        with self._lock:
            return len(self._waiting) < REFILL_RECORDS

    def _await_room(self) -> bool:
        with self._lock:
            if len(self._waiting) >= REFILL_RECORDS:
                self._room.clear()
        return self._room.wait(SLICE_S)

    def _take_in(self, records: Iterable[Message]) -> bool:
        """Let records wait for the caller; whether there were any."""
        taken = False
        for record in records:
            error = record.error()
            if error is None:
                with self._lock:
                    self._waiting.append(record)
                taken = True
            else:
                _check(error, self._topic, self._group)
        if taken:
            self._arrived()
        return taken

    def _commit_now_and_then(self, consumer: Consumer) -> None:
        now = time.monotonic()
        if now < max(self._commit_at, self._unanswered_until):
            return
        self._commit_at = now + COMMIT_S
        due = self._due()
        if due:
            try:
                consumer.commit(offsets=due, asynchronous=True)
            except KafkaException as error:
                log.warning("%s: not committed now, tried again: %s", self._group, error_of(error).str())
            else:
                self._unanswered_until = now + CALL_TIMEOUT_S

    def _due(self) -> list[TopicPartition]:
        """Where a successor has to go on, for the partitions where the group does not know it yet."""
        with self._lock:
            return [
                TopicPartition(self._topic, partition, offset)
                for partition, offset in self._finished.items()
                if self._committed.get(partition) != offset
            ]

    def _on_commit(self, error: KafkaError | None, offsets: list[TopicPartition]) -> None:
        self._unanswered_until = 0.0
        failure = error or next((offset.error for offset in offsets if offset.error is not None), None)
        if failure is not None:
            log.warning("%s: not committed now, tried again: %s", self._group, failure.str())
        with self._lock:
            for offset in offsets:
                if error is None and offset.error is None and offset.partition in self._finished:
                    self._committed[offset.partition] = offset.offset
        self._arrived()

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        try:
            positions = self._positions(consumer, partitions) if partitions else []
        except KafkaUnavailable:
            # leaving; not left to the driver, as in `_let_go`
            consumer.incremental_assign(partitions)
            raise
        consumer.incremental_assign(positions)
        # librdkafka remembers the pause of a partition that went away and comes back.
        consumer.resume(positions)
        log.info("%s: assigned %s", self._group, sorted(position.partition for position in positions))

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Others take over where this member's caller has finished, not where it was read to."""
        numbers = {partition.partition for partition in partitions}
        due = [position for position in self._due() if position.partition in numbers]
        if due:
            try:
                consumer.commit(offsets=due, asynchronous=False)
            except KafkaException as error:
                log.warning("%s: not committed, some scores come again: %s", self._group, error_of(error).str())
                self._forfeited = True
        self._forget(numbers)
        self._let_go(consumer, partitions)
        log.info("%s: revoked %s", self._group, sorted(numbers))

    def _on_lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        numbers = {partition.partition for partition in partitions}
        log.warning("%s: lost %s; what was not committed comes again", self._group, sorted(numbers))
        self._forfeited |= any(position.partition in numbers for position in self._due())
        self._forget(numbers)
        self._let_go(consumer, partitions)

    def _let_go(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Not left to the driver: it would ask librdkafka for the rebalance protocol first, which at times is never
        answered while a consumer closes (librdkafka issue 4041), and it asks with the interpreter's lock in hand."""
        try:
            consumer.incremental_unassign(partitions)
        except KafkaException as error:
            log.warning("%s: %s", self._group, error_of(error).str())

    def _forget(self, gone: set[int]) -> None:
        with self._lock:
            self._waiting = deque(record for record in self._waiting if record.partition() not in gone)
            kept = [record for record in self._handed if record.partition() not in gone]
            self._forfeited |= len(kept) < len(self._handed)
            self._handed = kept
            for offsets in (self._seen, self._finished, self._committed):
                for partition in gone:
                    offsets.pop(partition, None)
        self._room.set()

    def _positions(self, consumer: Consumer, partitions: list[TopicPartition]) -> list[TopicPartition]:
        """Where to read on: at the committed offset; where there is none, at the start that was asked for.

        That start is committed at once: a group that begins at the end must not begin at a later end after a crash.
        """
        known = self._patiently(lambda: consumer.committed(partitions, CALL_TIMEOUT_S))
        new = [position for position in known if position.offset < 0]
        starts = [self._patiently(lambda p=position.partition: self._start_of(consumer, p)) for position in new]
        with self._lock:
            self._committed.update((p.partition, p.offset) for p in known if p.offset >= 0)
            self._finished.update((p.partition, p.offset) for p in starts)
        if starts:
            try:
                consumer.commit(offsets=starts, asynchronous=False)
            except KafkaException as error:
                log.warning("%s: start not committed now, tried again: %s", self._group, error_of(error).str())
        return [position for position in known if position.offset >= 0] + starts

    def _start_of(self, consumer: Consumer, partition: int) -> TopicPartition:
        return TopicPartition(self._topic, partition, offset_at(consumer, self._topic, partition, self._start))

    def _patiently(self, ask: Callable[[], T]) -> T:
        """The answer, as often as it takes. Raises KafkaUnavailable when the member is to leave meanwhile."""
        while True:
            try:
                return ask()
            except KafkaException as error:
                _check(error_of(error), self._topic, self._group)
                if self._closing:
                    raise KafkaUnavailable(f"{self._topic}: {error_of(error).str()}") from error
                time.sleep(SLICE_S)


def _partition(record: Message) -> int:
    partition = record.partition()
    assert partition is not None, "every record that was read has a partition"
    return partition


def _offset(record: Message) -> int:
    offset = record.offset()
    assert offset is not None, "every record that was read has an offset"
    return offset


_EXPIRED = frozenset({KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE})  # pyright: ignore[reportPrivateUsage]
_MISSING = frozenset({KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION})  # pyright: ignore[reportPrivateUsage]
_REFUSED = frozenset(
    {
        KafkaError._AUTHENTICATION,  # pyright: ignore[reportPrivateUsage]
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
    }
)


def _check(error: KafkaError, topic: str, group: str) -> None:
    """Log what librdkafka gets over by itself, raise what it cannot."""
    code, text = error.code(), error.str()
    wrong: ScorelineError
    if code in _EXPIRED:
        wrong = TopicError(
            f"{topic} no longer holds the next record of group {group} ({text}): it expired before it was read. Set "
            "the group's offsets to the topic's beginning to go on behind the gap, or take a new group"
        )
    elif code in _MISSING:
        wrong = TopicError(f"{topic}: {text}; create it with: scoreline topics")
    elif code in _REFUSED:
        wrong = SettingsError(f"{topic}: {text}; check SCORELINE_KAFKA_USER and `scoreline acls consumer`")
    elif error.fatal():
        wrong = ConflictingOwner(f"group {group}: {text}; no two members may share a group.instance.id")
    else:
        log.warning("%s: %s", topic, text)
        return
    raise wrong
