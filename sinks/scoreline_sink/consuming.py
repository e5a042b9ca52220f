"""What the sink's consumers share: their options, how they read, and what Kafka's errors mean for a lane."""

from __future__ import annotations

import logging
from threading import Event

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from scoreline.errors import ConflictingOwner, KafkaUnavailable, ScorelineError, SettingsError, TopicError
from scoreline.kafka import CALL_TIMEOUT_S, Options, client_options, error_of
from scoreline.settings import Settings
from scoreline_sink.patience import patiently

log = logging.getLogger(__name__)

HEARTBEAT_MS = 1000

PINNED: Options = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "isolation.level": "read_committed",
    "auto.offset.reset": "error",
    "enable.partition.eof": True,
    "group.protocol": "classic",
    # Every rebalance takes all partitions and gives them anew: a plan never outlives the assignment it was made under.
    "partition.assignment.strategy": "range",
}
"""Options that the delivery rests on; `SCORELINE_KAFKA_OPTIONS` cannot change them."""

_TRANSIENT = frozenset(
    {
        KafkaError._TRANSPORT,
        KafkaError._TIMED_OUT,
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._WAIT_COORD,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.NOT_COORDINATOR,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.NETWORK_EXCEPTION,
        KafkaError.NOT_ENOUGH_REPLICAS,
        KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
    }
)
VANISHED = frozenset({KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE})
_MISSING = frozenset({KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION})
_REFUSED = frozenset(
    {
        KafkaError._AUTHENTICATION,
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    }
)
_FENCED = frozenset(
    {
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.FENCED_INSTANCE_ID,
        KafkaError.REBALANCE_IN_PROGRESS,
        KafkaError.INVALID_PRODUCER_EPOCH,
        KafkaError._FENCED,
        KafkaError._FATAL,
        KafkaError._STATE,
    }
)


def reader_options(settings: Settings, group: str) -> Options:
    """Options of a consumer that reads given offsets and never joins a group."""
    return {
        **client_options(
            settings,
            group_id=group,
            fetch_wait_max_ms=100,
            queued_max_messages_kbytes=32 * 1024,
            fetch_queue_backoff_ms=20,
        ),
        **PINNED,
    }


def member_options(settings: Settings, group: str) -> Options:
    """Options of a lane's consumer."""
    membership: Options = {
        "session.timeout.ms": round(settings.session_timeout_s * 1000),
        # A member learns of a rebalance by the answer to its heartbeat.
        "heartbeat.interval.ms": HEARTBEAT_MS,
    }
    if settings.instance_id is not None:
        membership["group.instance.id"] = settings.instance_id
    return {**reader_options(settings, group), **membership}


def take(consumer: Consumer, rows_max: int, wait_s: float) -> list[Message]:
    """Wait for a first message, then take what is there, without waiting until `rows_max` have come."""
    messages = consumer.consume(1, wait_s)
    if messages and rows_max > 1:
        messages += consumer.consume(rows_max - 1, 0)
    return messages


def check(error: KafkaError, topic: str) -> None:
    """Log what librdkafka gets over by itself, raise what ends the lane."""
    translated = translate(error, topic)
    if isinstance(translated, KafkaUnavailable):
        log.warning("%s", translated)
    else:
        raise translated


def translate(error: KafkaError, topic: str) -> ScorelineError:
    """What Kafka said, in our words."""
    code, text = error.code(), error.str()
    if code in VANISHED:
        return TopicError(
            f"{topic} no longer holds the next offset to store ({text}): records expired before the sink read them. "
            "Raise the topic's retention; to go on behind the gap, set the group's offsets to the topic's beginning"
        )
    if code in _MISSING:
        return TopicError(f"{topic}: {text}; create it with: scoreline topics")
    if code in _REFUSED:
        return SettingsError(f"{topic}: {text}; check SCORELINE_KAFKA_USER and its rights (scoreline acls)")
    if code == KafkaError.OFFSET_METADATA_TOO_LARGE:
        return SettingsError(f"{topic}: {text}; the broker's offset.metadata.max.bytes must be at least 4096")
    if code in _FENCED or error.fatal():
        return ConflictingOwner(
            f"{topic}: {text}; another sink has these partitions now, or Kafka did not hear from this one for "
            "SCORELINE_SESSION_TIMEOUT_S. Start it again; no two processes may share a SCORELINE_INSTANCE_ID"
        )
    return KafkaUnavailable(f"{topic}: {text}")


def commit(consumer: Consumer, topic: str, offsets: dict[int, tuple[int, str]]) -> None:
    """Commit partition → (offset, metadata) and wait for the answer.

    Raises KafkaUnavailable when the answer is unknown (the same commit again is harmless), ConflictingOwner when it
    was refused, else as `translate`.
    """
    positions = [TopicPartition(topic, p, offset, metadata=plan) for p, (offset, plan) in offsets.items()]
    try:
        answers = consumer.commit(offsets=positions, asynchronous=False)
    except KafkaException as error:
        raise translate(error_of(error), topic) from error
    for answer in answers:
        if answer.error is not None:
            raise translate(answer.error, topic)


def committed(consumer: Consumer, topic: str, partitions: list[int], cancelled: Event) -> dict[int, tuple[int, str]]:
    """Partition → committed (offset, metadata); a negative offset where there is none. Waits for the coordinator."""

    def ask() -> dict[int, tuple[int, str]]:
        try:
            answers = consumer.committed([TopicPartition(topic, p) for p in partitions], CALL_TIMEOUT_S)
        except KafkaException as error:
            raise translate(error_of(error), topic) from error
        for answer in answers:
            if answer.error is not None:
                raise translate(answer.error, topic)
        return {answer.partition: (answer.offset, answer.metadata or "") for answer in answers}

    return patiently(ask, cancelled) if partitions else {}


def beginning(consumer: Consumer, topic: str, partition: int, cancelled: Event) -> int:
    """The first offset that the partition still holds. Waits for its leader."""

    def ask() -> int:
        try:
            low, _ = consumer.get_watermark_offsets(TopicPartition(topic, partition), CALL_TIMEOUT_S)
        except KafkaException as error:
            raise translate(error_of(error), topic) from error
        return low

    return patiently(ask, cancelled)
