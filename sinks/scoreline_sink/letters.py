"""Dead letters of records that the table does not take.

The sender sent a raw record, so the letter carries that one where it can be found. What the worker did not make, or
made of a raw record that has expired, is carried as it stands in the lane's own topic.
"""

from __future__ import annotations

import logging
import time
from contextlib import closing
from dataclasses import dataclass
from threading import Event
from typing import Any, cast

import orjson
from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from scoreline.dead_letters import Headers, carry
from scoreline.errors import KafkaUnavailable, TopicError
from scoreline.rejections import Origin, Reason, Rejection, Stage, rejection_headers
from scoreline.settings import Settings
from scoreline.topics import declare_groups, declare_topics
from scoreline_sink.consuming import VANISHED, check, reader_options
from scoreline_sink.patience import Patience, patiently
from scoreline_sink.plan import Coordinates
from scoreline_sink.route import Route
from scoreline_sink.rows import RecordHeaders
from scoreline_sink.settle import Refusals

log = logging.getLogger(__name__)

FETCH_WAIT_S = 0.5
END_S = 10.0
"""How long a topic may end before a record that it held: behind a new partition leader it can, for a moment."""
_OFFSET_MAX = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Letter:
    """A record of `scores.rejected`, and the partition that it is written to."""

    partition: int
    key: bytes | None
    value: bytes | None
    headers: Headers


def write_letters(settings: Settings, route: Route, refusals: Refusals, cancelled: Event) -> tuple[Letter, ...]:
    """A letter for each refused record, the same whoever writes it.

    Raises TopicError when a refused record has expired, KafkaUnavailable or ClickHouseUnavailable when cancelled.
    """
    if not refusals:
        return ()
    with closing(Consumer(reader_options(settings, declare_groups(settings).reader))) as consumer:
        return tuple(_letter(consumer, settings, route, at, why, cancelled) for at, why in sorted(refusals.items()))


def _letter(
    consumer: Consumer, settings: Settings, route: Route, at: Coordinates, why: str, cancelled: Event
) -> Letter:
    partition, offset = at
    refused = fetch(consumer, route.topic, partition, offset, cancelled)
    if refused is None:
        raise TopicError(
            f"{route.topic} partition {partition} offset {offset}: expired before its dead letter was written; raise "
            "the topic's retention"
        )
    raw_topic = declare_topics(settings).raw.name
    raw = _raw_of(consumer, raw_topic, route, refused, cancelled)
    topic, record = (route.topic, refused) if raw is None else (raw_topic, raw)
    log.warning("%s partition %d offset %d: %s; it goes to scores.rejected", route.topic, partition, offset, why)
    rejection = Rejection(Reason.REFUSED_BY_STORE, f"{why}; {route.topic} offset {offset}", Stage.STORE)
    _, timestamp_ms = record.timestamp()
    key, value, headers = carry(record.key(), record.value(), cast(RecordHeaders, record.headers() or []))
    headers += rejection_headers(rejection, Origin(topic, partition, record.offset() or 0, timestamp_ms))
    return Letter(partition, key, value, headers)


def _raw_of(consumer: Consumer, raw_topic: str, route: Route, refused: Message, cancelled: Event) -> Message | None:
    """The raw record that the worker made this one of; None where somebody else made it, or the raw one is gone.

    A copy of a record that is stored names a raw record too. It must not make a rejected one of that.
    """
    partition = refused.partition() or 0
    offset = raw_offset(refused.value(), partition)
    if offset is None or patiently(lambda: route.table.holds_raw(partition, offset), cancelled):
        return None
    raw = fetch(consumer, raw_topic, partition, offset, cancelled)
    return raw if raw is not None and raw.key() == refused.key() else None


def raw_offset(value: bytes | None, partition: int) -> int | None:
    """The raw offset that an enriched value names; None unless it names a place in this partition."""
    try:
        fields = orjson.loads(value or b"")
    except orjson.JSONDecodeError:
        return None
    if not isinstance(fields, dict):
        return None
    named = cast("dict[str, Any]", fields)
    offset = named.get("raw_offset")
    if named.get("raw_partition") != partition or type(offset) is not int or not 0 <= offset <= _OFFSET_MAX:
        return None
    return offset


def fetch(consumer: Consumer, topic: str, partition: int, offset: int, cancelled: Event) -> Message | None:
    """The record at this offset, None where there is none. Waits for the partition's leader.

    Raises KafkaUnavailable when cancelled.
    """
    consumer.assign([TopicPartition(topic, partition, offset)])
    patience = Patience(cancelled)
    ended_at: float | None = None
    while ended_at is None or time.monotonic() - ended_at < END_S:
        messages = consumer.consume(1, FETCH_WAIT_S)
        if not messages:
            patience.wait(KafkaUnavailable(f"{topic} partition {partition}: offset {offset} cannot be read yet"))
            continue
        message = messages[0]
        error, found = message.error(), message.offset() or 0
        if error is None:
            return message if found == offset else None
        if error.code() in VANISHED:
            return None
        if error.code() != KafkaError._PARTITION_EOF:
            check(error, topic)
        elif found > offset:
            return None
        else:
            ended_at = time.monotonic()
    return None
