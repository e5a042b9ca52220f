"""Reading a topic from a command: all partitions, no consumer group, committed records only."""

from __future__ import annotations

import logging
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from scoreline.errors import KafkaUnavailable, TopicError
from scoreline.kafka import CALL_TIMEOUT_S, Start, client_options, error_of, offset_at
from scoreline.settings import Settings
from scoreline.topics import declare_groups

log = logging.getLogger(__name__)

BATCH_RECORDS_MAX = 500
SLICE_S = 0.2
"""How long a read is deaf to Ctrl-C."""


@contextmanager
def open_topic(settings: Settings, topic: str, start: Start) -> Generator[Consumer]:
    """A consumer of every partition of `topic`, from where `start` is now; commits nothing.

    Raises TopicError when the topic is missing, KafkaUnavailable when no broker answers.
    """
    consumer = Consumer(
        client_options(
            settings,
            group_id=declare_groups(settings).reader,
            enable_auto_commit=False,
            enable_auto_offset_store=False,
            enable_partition_eof=True,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            fetch_wait_max_ms=100,
        )
    )
    try:
        try:
            consumer.assign(_positions(consumer, settings, topic, start))
        except KafkaException as error:
            raise KafkaUnavailable(f"{settings.kafka} (SCORELINE_KAFKA): {error_of(error).str()}") from error
        yield consumer
    finally:
        consumer.close()


def read(consumer: Consumer) -> Iterator[list[Message]]:
    """Batches of records and of end-of-partition marks (see `is_end`) without end; an empty one when nothing came.

    Raises TopicError when the topic is gone. What the client mends by itself, such as a broker that is away, is logged.
    """
    while True:
        batch: list[Message] = []
        first = consumer.consume(1, SLICE_S)
        # asked for many at once, it waits out its time before it gives the few that are there
        for message in first + consumer.consume(BATCH_RECORDS_MAX - 1, 0):
            error = message.error()
            if error is None or is_end(message):
                batch.append(message)
            elif error.fatal() or error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise TopicError(f"topic {message.topic()} cannot be read: {error.str()}")
            else:
                log.warning("%s", error.str())
        yield batch


def is_end(message: Message) -> bool:
    """Whether this is no record but the mark that a partition has been read to its present end."""
    error = message.error()
    return error is not None and error.code() == KafkaError._PARTITION_EOF  # pyright: ignore[reportPrivateUsage]


def _positions(consumer: Consumer, settings: Settings, topic: str, start: Start) -> list[TopicPartition]:
    found = consumer.list_topics(topic, timeout=CALL_TIMEOUT_S).topics[topic]
    if found.error is not None or not found.partitions:
        raise TopicError(f"missing at {settings.kafka}: {topic}; create it with: scoreline topics")
    return [
        TopicPartition(topic, partition, _offset_at(consumer, topic, partition, start))
        for partition in found.partitions
    ]


_NEW = (KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE, KafkaError.UNKNOWN_TOPIC_OR_PART)
"""What a broker answers for a partition that was made a moment ago."""


def _offset_at(consumer: Consumer, topic: str, partition: int, start: Start) -> int:
    deadline = time.monotonic() + CALL_TIMEOUT_S
    while True:
        try:
            return offset_at(consumer, topic, partition, start)
        except KafkaException as error:
            if error_of(error).code() not in _NEW or time.monotonic() > deadline:
                raise
            time.sleep(0.05)
