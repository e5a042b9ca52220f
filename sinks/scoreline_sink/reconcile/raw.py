"""What reconcile asks Kafka: from where to where, is the sink that far, and the raw records. Commits nothing."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import datetime
from threading import Event, Timer
from typing import TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from scoreline.errors import KafkaUnavailable, RetryableError, TopicError
from scoreline.kafka import CALL_TIMEOUT_S, error_of
from scoreline.settings import Settings
from scoreline.topics import declare_groups, declare_topics
from scoreline_sink.consuming import committed, reader_options, take, translate
from scoreline_sink.patience import patiently

log = logging.getLogger(__name__)

BATCH_RECORDS_MAX = 10_000
SLICE_S = 0.5
"""How long a read is deaf to Ctrl-C."""
SILENCE_S = 30.0
"""How long a partition that has records to read may give none."""
LOOK_S = 2.0
POLL_S = 0.25
SAY_EVERY_S = 5.0

T = TypeVar("T")

Start = int | datetime | None
"""Where to begin: an offset, a time, or None for the first record that the topic holds."""


@contextmanager
def open_reader(settings: Settings) -> Generator[Consumer]:
    """A consumer of the raw topic that belongs to no group."""
    options = {
        **reader_options(settings, declare_groups(settings).reader),
        "fetch.message.max.bytes": 4 << 20,
    }
    consumer = Consumer(options)
    try:
        yield consumer
    finally:
        consumer.close()


def worker_positions(settings: Settings, partitions: list[int]) -> dict[int, int]:
    """Partition → offset behind the last raw record that the worker has settled; 0 where there is none.

    Raises KafkaUnavailable.
    """
    group, topic = declare_groups(settings).worker, declare_topics(settings).raw.name
    with Consumer(reader_options(settings, group)) as consumer, _bounded(settings.flush_s) as late:
        return {p: max(0, offset) for p, (offset, _) in committed(consumer, topic, partitions, late).items()}


def log_start(consumer: Consumer, settings: Settings, topic: str, partition: int) -> int:
    """First offset that the partition holds. Raises KafkaUnavailable, TopicError."""
    return _watermarks(consumer, settings, topic, partition)[0]


def start_offset(
    consumer: Consumer, settings: Settings, topic: str, partition: int, start: Start, low: int
) -> int | None:
    """Offset of the first record at or after `start`, `low` being the first that the topic holds; None: none is.

    Raises KafkaUnavailable.
    """
    if not isinstance(start, datetime):
        return max(low, start or 0)
    at = TopicPartition(topic, partition, round(start.timestamp() * 1000))

    def ask() -> TopicPartition:
        [answer] = consumer.offsets_for_times([at], CALL_TIMEOUT_S)
        if answer.error is not None:
            raise KafkaException(answer.error)
        return answer

    answer = _asked(settings, topic, ask)
    return None if answer.offset < 0 else max(low, answer.offset)


class Lane:
    """What the worker had written of one output topic, and how far the sink is with it."""

    def __init__(self, settings: Settings, topic: str, group: str, partitions: list[int]) -> None:
        """Note the ends of the topic as they are now. Raises KafkaUnavailable, TopicError."""
        self.topic = topic
        self._settings = settings
        self._consumer = Consumer(reader_options(settings, group))
        try:
            self._ends = _log_ends(settings, topic, partitions)
        except BaseException:
            self.close()
            raise

    def behind(self) -> list[int]:
        """Partitions of which the sink has not stored all records before the noted ends."""
        with _bounded(self._settings.flush_s) as late:
            positions = committed(self._consumer, self.topic, list(self._ends), late)
        lagging = {
            partition: max(offset, log_start(self._consumer, self._settings, self.topic, partition))
            for partition, (offset, _) in positions.items()
            if offset < self._ends[partition]
        }
        return sorted(lagging.keys() - self._without_records(lagging)) if lagging else []

    def close(self) -> None:
        self._consumer.close()

    def _without_records(self, positions: Mapping[int, int]) -> set[int]:
        """Partitions that hold nothing but transaction markers between position and noted end."""
        self._consumer.assign([TopicPartition(self.topic, p, offset) for p, offset in positions.items()])
        unseen, empty = set(positions), set[int]()
        deadline = time.monotonic() + LOOK_S
        while unseen and (left_s := deadline - time.monotonic()) > 0:
            message = self._consumer.poll(left_s)
            if message is None:
                break
            partition, offset, error = message.partition(), message.offset(), message.error()
            if error is not None and error.code() != KafkaError._PARTITION_EOF:
                log.warning("%s: %s", self.topic, error.str())
            elif partition in unseen and offset is not None:
                unseen.discard(partition)
                # the end of what is read committed can lie before the noted end: a transaction is open there
                if offset >= self._ends[partition]:
                    empty.add(partition)
        self._consumer.unassign()
        return empty


def await_sink(settings: Settings, partitions: list[int], wait_s: float) -> None:
    """Return once the sink has stored all that the worker has written to enriched and rejected until now.

    Raises RetryableError when it has not within `wait_s`, KafkaUnavailable, TopicError.
    """
    topics, groups = declare_topics(settings), declare_groups(settings)
    deadline = time.monotonic() + wait_s
    # Enriched first: what ClickHouse refuses of it becomes a dead letter, and stands behind the end of rejected before.
    for topic, group in ((topics.enriched, groups.sink_enriched), (topics.rejected, groups.sink_rejected)):
        with closing(Lane(settings, topic.name, group, partitions)) as lane:
            _await_lane(lane, deadline, wait_s)


def _await_lane(lane: Lane, deadline: float, wait_s: float) -> None:
    said_at = float("-inf")
    while behind := lane.behind():
        now = time.monotonic()
        if now > deadline:
            raise RetryableError(
                f"the sink has not stored all of {lane.topic}, partitions {behind}, within {wait_s:g} s; "
                "see that `scoreline sink` runs, or give it longer with --wait"
            )
        if now - said_at >= SAY_EVERY_S:
            log.warning("waiting for the sink: %s, partitions %s", lane.topic, behind)
            said_at = now
        time.sleep(POLL_S)


class RawPartition:
    """The raw records of one partition from `first` on, in order."""

    def __init__(self, consumer: Consumer, topic: str, partition: int, first: int) -> None:
        self._consumer, self._topic, self._partition = consumer, topic, partition
        self._next = first
        """Offset behind everything that was read."""
        self._ahead: list[Message] = []
        """Read already, but behind the last `until`."""
        consumer.assign([TopicPartition(topic, partition, first)])

    def until(self, end: int) -> Iterator[list[Message]]:
        """Batches of the records up to the offset `end`, exclusive, that were not given before.

        Raises TopicError when records expired before they were read, KafkaUnavailable when none come.
        """
        if self._ahead:
            batch, self._ahead = _split(self._ahead, end)
            yield batch
        silent_until = time.monotonic() + SILENCE_S
        while self._next < end:
            batch = [m for m in take(self._consumer, BATCH_RECORDS_MAX, SLICE_S) if not self._is_event(m)]
            if batch:
                silent_until = time.monotonic() + SILENCE_S
                self._next = max(self._next, _offset(batch[-1]) + 1)
                batch, self._ahead = _split(batch, end)
                yield batch
            elif self._next < end and time.monotonic() > silent_until:
                raise KafkaUnavailable(
                    f"{self._topic}, partition {self._partition}: no record from offset {self._next} on came within "
                    f"{SILENCE_S:g} s, though it holds some up to {end}; see that its leader answers, then run it again"
                )

    def _is_event(self, message: Message) -> bool:
        error = message.error()
        if error is None:
            return False
        if error.code() == KafkaError._PARTITION_EOF:
            self._next = max(self._next, _offset(message))
        elif error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
            raise TopicError(
                f"{self._topic}, partition {self._partition}: records expired while they were being read "
                f"({error.str()}); run it again, or begin later with --since"
            )
        elif not isinstance(translated := translate(error, self._topic), KafkaUnavailable):
            raise translated
        else:
            log.warning("%s", translated)
        return True


def _split(messages: list[Message], end: int) -> tuple[list[Message], list[Message]]:
    if not messages or _offset(messages[-1]) < end:
        return messages, []
    at = next(index for index, message in enumerate(messages) if _offset(message) >= end)
    return messages[:at], messages[at:]


def _offset(message: Message) -> int:
    offset = message.offset()
    return -1 if offset is None else offset


def _watermarks(consumer: Consumer, settings: Settings, topic: str, partition: int) -> tuple[int, int]:
    at = TopicPartition(topic, partition)
    return _asked(settings, topic, lambda: consumer.get_watermark_offsets(at, CALL_TIMEOUT_S))


def _log_ends(settings: Settings, topic: str, partitions: list[int]) -> dict[int, int]:
    """Partition → offset behind its last record, committed or not.

    A reader of committed records is told where the first open transaction begins. One that has committed its offsets
    can be open here for a moment yet, until its marker is written in this partition too.
    """
    options = reader_options(settings, declare_groups(settings).reader)
    with Consumer({**options, "isolation.level": "read_uncommitted"}) as consumer:
        return {p: _watermarks(consumer, settings, topic, p)[1] for p in partitions}


def _asked(settings: Settings, topic: str, call: Callable[[], T]) -> T:
    """The answer to a call, tried again for `flush_s`: a partition whose leader moves refuses for a moment."""

    def ask() -> T:
        try:
            return call()
        except KafkaException as error:
            raise translate(error_of(error), topic) from error

    with _bounded(settings.flush_s) as late:
        return patiently(ask, late)


@contextmanager
def _bounded(seconds: float) -> Generator[Event]:
    """An event that is set after so long: ends the patience of what waits for a broker."""
    late = Event()
    timer = Timer(seconds, late.set)
    timer.daemon = True
    timer.start()
    try:
        yield late
    finally:
        timer.cancel()
