"""What becomes of a record that a client took: counts, the broker's acknowledgement, and who wants to know."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from scoreline.errors import ScorelineError

if TYPE_CHECKING:
    from confluent_kafka import Message

    from scoreline.spool import Segment


@dataclass(slots=True)
class Delivery:
    """Counts of one client in one process, in events."""

    sent: int = 0
    """Taken into the queue."""
    sent_bytes: int = 0
    """Their records' length, uncompressed."""
    refused: int = 0
    """Not taken: invalid, or no room; raised or, with `strict=False`, told."""
    acknowledged: int = 0
    failed: int = 0
    """Given up, or left unsent at the end; each that was given up is logged with its id."""
    recovered: int = 0
    """Acknowledged now, emitted by a process that ended before; not among the others."""


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """The broker has a record, on as many replicas as it must be: where."""

    topic: str
    partition: int
    offset: int | None
    """None when the broker only said that it has the record already, after a request that was sent twice."""

    def __str__(self) -> str:
        return f"at {self.topic}, partition {self.partition}, offset {self.offset}"


OnDelivered = Callable[[Acknowledgement | ScorelineError], None]
"""Called once for a record that was taken: with its acknowledgement, with InvalidScore when the broker refuses it, or
with KafkaUnavailable when it was given up or left unsent at the end (a spool may still hold it). The thread is the one
that serves the delivery reports, or one that flushes: return soon, and do not flush or close in it."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a record comes from, how it was sent and who asked what becomes of it."""

    segment: Segment | None = None
    recovered: bool = False
    """Emitted by a process that ended before."""
    alone: bool = False
    """Sent with no other record in its batch: a refusal is meant for this one."""
    on_delivered: OnDelivered | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """A record that librdkafka does not hold now."""

    origin: Origin
    key: bytes
    record: bytes


def acknowledgement_of(message: Message) -> Acknowledgement:
    """What a delivery report without an error says."""
    topic, partition = message.topic(), message.partition()
    assert topic is not None, "a report names its topic"
    assert partition is not None, "an acknowledged record has a partition"
    return Acknowledgement(topic, partition, message.offset())


@cache
def debug_log() -> logging.Logger:
    """Where `SCORELINE_DEBUG` writes: stderr, whatever the process does with its logs."""
    debug = logging.getLogger("scoreline.debug")
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("scoreline: %(message)s"))
    debug.addHandler(handler)
    debug.setLevel(logging.DEBUG)
    debug.propagate = False
    return debug
