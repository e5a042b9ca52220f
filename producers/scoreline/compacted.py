"""A compacted topic that people change: read as a whole, and changed by one writer at a time.

A change is one Kafka transaction, all of it or nothing. Every writer of a topic has the same transactional id, so that
one that begins fences all that began before: what was read after the fence is what the change replaces, or the commit
is refused.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from typing import TypeVar, cast

from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition

from scoreline.changes import VALUE_BYTES_MAX, Record, Records, Writes
from scoreline.commands.reading import is_end, open_topic, read
from scoreline.errors import ConflictingChange, KafkaUnavailable, MalformedRecord
from scoreline.kafka import CALL_TIMEOUT_S, client_options, error_of
from scoreline.settings import Settings

log = logging.getLogger(__name__)

RECORDS_MAX = 20_000
"""Records that one change may write."""
ATTEMPTS_MAX = 10
"""How often a change begins again because another writer, of other entries, was at work."""
PAUSE_S = 0.2
TRANSACTION_TIMEOUT_MS = 15_000
"""After this the broker ends the transaction of a writer that died in it."""

_FENCED = (KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH)  # pyright: ignore[reportPrivateUsage]

R = TypeVar("R")


def read_records(settings: Settings, topic: str) -> dict[bytes, Record]:
    """The newest record of every key, as the topic holds it now; of keys with a tombstone none.

    Raises TopicError when the topic is missing, KafkaUnavailable.
    """
    records: dict[bytes, Record] = {}
    with open_topic(settings, topic, "beginning") as consumer:
        unread = {position.partition for position in consumer.assignment()}
        deadline = time.monotonic() + CALL_TIMEOUT_S
        for batch in read(consumer):
            for message in batch:
                if is_end(message):
                    unread.discard(cast(int, message.partition()))
                    continue
                key, value = message.key() or b"", message.value()
                records.pop(key, None)
                if value is not None:
                    records[key] = Record(value, cast(int, message.offset()), message.timestamp()[1])
            if not unread:
                return records
            if batch:
                deadline = time.monotonic() + CALL_TIMEOUT_S
            elif time.monotonic() > deadline:
                raise KafkaUnavailable(f"{topic} at {settings.kafka} gave nothing for {CALL_TIMEOUT_S:g} s")
    raise AssertionError("read() has no end")


def change_records(settings: Settings, topic: str, plan: Callable[[Records], tuple[Writes, R]]) -> R:
    """Write what `plan` makes of the topic as it stands, in one transaction, and return what else it returns.

    `plan` is called anew when another writer was faster.

    Raises ConflictingChange when a record that this change replaces was changed meanwhile, TopicError,
    KafkaUnavailable, and whatever `plan` raises; nothing is stored then.
    """
    records = read_records(settings, topic)
    writes, result = plan(records)
    before: dict[bytes, Record | None] = {}
    for attempt in range(ATTEMPTS_MAX):
        if not writes:
            return result
        before.update((key, records.get(key)) for key in writes if key not in before)
        time.sleep(random.uniform(0, PAUSE_S) * attempt)
        producer = _fence_others(settings, topic)
        records = read_records(settings, topic)
        changed = sorted(key.decode(errors="replace") for key, record in before.items() if records.get(key) != record)
        if changed:
            raise ConflictingChange(
                f"{', '.join(changed[:3])} was changed by somebody else at this moment; look at it, then change it "
                "again; nothing of this change was stored"
            )
        writes, result = plan(records)
        if not writes or _commit(producer, settings, topic, writes):
            return result
        log.info("another process is changing %s; trying again", topic)
    raise ConflictingChange(f"others kept changing {topic} during {ATTEMPTS_MAX} attempts; nothing was stored")


def _refuse_too_much(writes: Writes) -> None:
    if len(writes) > RECORDS_MAX:
        raise MalformedRecord(f"{len(writes)} records at once, at most {RECORDS_MAX} are taken; split the change")
    for key, value in writes.items():
        if value is not None and len(value) > VALUE_BYTES_MAX:
            name = key.decode(errors="replace")
            raise MalformedRecord(f"{name} takes {len(value)} bytes, at most {VALUE_BYTES_MAX} are taken; shorten it")


def _fence_others(settings: Settings, topic: str) -> Producer:
    """A producer, when no other one can write to `topic` any more and what they committed can be read."""
    producer = Producer(
        client_options(
            settings,
            transactional_id=f"{topic}.writer",
            transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
            partitioner="murmur2",
            retry_backoff_ms=5,
        )
    )
    try:
        producer.init_transactions(settings.flush_s)
    except KafkaException as error:
        raise _unavailable(settings, topic, error, "nothing was stored") from error
    return producer


def _commit(producer: Producer, settings: Settings, topic: str, writes: Writes) -> bool:
    """Write all of it; False when another writer came first and nothing was written."""
    _refuse_too_much(writes)
    offsets: list[int] = []
    try:
        producer.begin_transaction()
        for key, value in writes.items():
            producer.produce(topic, value, key, on_delivery=lambda _, message: offsets.append(message.offset() or 0))
        producer.commit_transaction(settings.flush_s)
    except KafkaException as error:
        if error_of(error).code() in _FENCED:
            return False
        outcome = "whether it was stored is not known: look before you repeat it"
        if error_of(error).txn_requires_abort():
            outcome = "nothing was stored"
            _abort(producer, topic)
        raise _unavailable(settings, topic, error, outcome) from error
    _await_readable(settings, topic, max(offsets) + 1)
    return True


def _await_readable(settings: Settings, topic: str, end: int) -> None:
    """Return once everything below offset `end` can be read: a commit is acknowledged a moment before its records
    are readable, and a score that is sent after this change must be judged by it.
    """
    deadline = time.monotonic() + CALL_TIMEOUT_S
    try:
        with open_topic(settings, topic, "end") as consumer:
            while consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=CALL_TIMEOUT_S)[1] < end:
                if time.monotonic() > deadline:
                    raise KafkaUnavailable(f"{topic}: the change is stored, but not readable yet")
                time.sleep(0.01)
    except KafkaException as error:
        raise _unavailable(settings, topic, error, "the change is stored") from error


def _abort(producer: Producer, topic: str) -> None:
    try:
        producer.abort_transaction(CALL_TIMEOUT_S)
    except KafkaException as error:
        reason = error_of(error).str()
        log.warning("%s: the broker will end the transaction after its timeout: %s", topic, reason)


def _unavailable(settings: Settings, topic: str, error: KafkaException, outcome: str) -> KafkaUnavailable:
    reason = error_of(error).str()
    return KafkaUnavailable(f"{topic} at {settings.kafka} (SCORELINE_KAFKA) cannot be written: {reason}; {outcome}")
