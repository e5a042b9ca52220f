"""The input of the race: event number n is the same in every run, and what has to come out of it is known.

A record is about 370 bytes. Every twentieth repeats, byte for byte, one of all the records before it, so that an engine
has to remember every id. Eight of ten values are numbers, one is a boolean and one a category; all events are valid.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from confluent_kafka import Producer
from numpy.typing import NDArray

from scoreline.kafka import client_options
from scoreline.settings import Settings
from scoreline.topics import DAY_MS, declare_topics, record_key
from tests.benchmarks.harness import consume, say
from tests.support import DEADLINE_S

REPEAT_EVERY = 20
NAMES = ("accuracy", "helpfulness", "toxicity", "faithfulness", "relevance")
CATEGORIES = ("good", "fair", "poor")
FIRST_MS = 1_769_817_600_000
"""2026-01-31T00:00:00Z, when the first event was judged and its id made."""
BATCH = 10_000
TELL_S = 5.0
_MASK = 2**64 - 1
_FIRST, _SECOND = 0x9E3779B97F4A7C15, 0xFF51AFD7ED558CCD
_FIRST_INVERSE, _SECOND_INVERSE = pow(_FIRST, -1, 2**64), pow(_SECOND, -1, 2**64)


def scatter(number: int) -> int:
    """64 bits that look like chance, another 64 for each number; after the finalizer of MurmurHash3."""
    mixed = (number + 1) * _FIRST & _MASK
    mixed = (mixed ^ mixed >> 33) * _SECOND & _MASK
    return mixed ^ mixed >> 33


def event_of(record: int) -> int:
    """The number of the event that a record of the input holds: its own, or for a repetition the earlier one."""
    if record % REPEAT_EVERY != REPEAT_EVERY - 1:
        return record
    earlier = scatter(record) % record
    return earlier - (earlier % REPEAT_EVERY == REPEAT_EVERY - 1)


def gather(bits: int) -> int:
    """The number that `scatter` made these bits of."""
    mixed = (bits ^ bits >> 33) * _SECOND_INVERSE & _MASK
    return ((mixed ^ mixed >> 33) * _FIRST_INVERSE & _MASK) - 1


@dataclass(frozen=True)
class Ids:
    """How an id is made of an event's number, and the number read out of it."""

    name: str
    write: Callable[[int], str]
    read: Callable[[str], int]
    """Gives any number for what is no event's id. Raises ValueError."""


def _time_ordered(event: int) -> str:
    ms, bits = f"{FIRST_MS + event:012x}", scatter(event)
    return f"{ms[:8]}-{ms[8:]}-7{bits & 0xFFF:03x}-8{bits >> 12 & 0xFFF:03x}-{bits >> 16:012x}"


def _random(event: int) -> str:
    bits = scatter(event)
    return f"{bits:016x}{scatter(bits):016x}"


TIME_ORDERED = Ids("time-ordered", _time_ordered, lambda text: int(text[:8] + text[9:13], 16) - FIRST_MS)
"""Version 7 UUIDs, as our client makes them; a store that is sorted by id is written at its end."""
RANDOM = Ids("random", _random, lambda text: gather(int(text[:16], 16)))
"""32 hexadecimal digits, as other clients send them."""
IDS = {ids.name: ids for ids in (TIME_ORDERED, RANDOM)}


def timestamp(event: int) -> str:
    """A millisecond apart, all on one day; with microseconds, so that nobody cuts zeros off."""
    s, ms = divmod(event % DAY_MS, 1000)
    return f"2026-01-31T{s // 3600:02}:{s // 60 % 60:02}:{s % 60:02}.{ms:03}457Z"


def timestamp_ms(event: int) -> float:
    """The same in Unix milliseconds."""
    return FIRST_MS + event % DAY_MS + 0.457


def value(event: int) -> tuple[str, str, float | None, str | None]:
    """Data type, JSON as it is sent, and the number and the label that have to come out."""
    kind = event % 10
    if kind == 3:
        said = "true" if event % 4 < 2 else "false"
        return "BOOLEAN", said, float(said == "true"), said
    if kind == 7:
        label = CATEGORIES[event % len(CATEGORIES)]
        return "CATEGORICAL", f'"{label}"', None, label
    number = event * 7919 % 100_000 / 100_000
    return "NUMERIC", repr(number), number, None


def encode(event: int, ids: Ids = TIME_ORDERED) -> tuple[bytes, bytes]:
    """Key and value of the event's record in `scores.raw`."""
    identity, (data_type, said, _, _) = ids.write(event), value(event)
    bits = scatter(event)
    return record_key("default", identity), (
        f'{{"score_id":"{identity}","name":"{NAMES[event % 5]}","value":{said},"data_type":"{data_type}",'
        f'"trace_id":"{bits:016x}{event:016x}","observation_id":"{bits:016x}",'
        f'"comment":"High accuracy with minor irrelevant details","metadata":{{"model":"gpt-x","run":{event % 1000}}},'
        f'"timestamp":"{timestamp(event)}","service":"svc-{event % 20}","environment":"production"}}'
    ).encode()


def expected(event: int, ids: Ids = TIME_ORDERED) -> dict[str, Any]:
    """The fields of `scores.enriched` that have to come out, but for those that Kafka gives the record."""
    data_type, _, number, label = value(event)
    bits = scatter(event)
    return _CONSTANT | {
        "score_id": ids.write(event),
        "name": NAMES[event % 5],
        "data_type": data_type,
        "value": number,
        "label": label,
        "trace_id": f"{bits:016x}{event:016x}",
        "observation_id": f"{bits:016x}",
        "metadata": {"model": "gpt-x", "run": event % 1000},
        "timestamp": timestamp(event),
        "service": f"svc-{event % 20}",
    }


_CONSTANT: dict[str, Any] = {
    "project": "default",
    "status": "ok",
    "error": None,
    "normalized": None,
    "config_id": None,
    "config_version": None,
    "target": "observation",
    "session_id": None,
    "dataset_run_id": None,
    "comment": "High accuracy with minor irrelevant details",
    "lookups": {},
    "source": "API",
    "evaluator_name": None,
    "evaluator_version": None,
    "evaluator_model": None,
    "author": None,
    "environment": "production",
    "release": None,
    "schema_version": 1,
    "late": True,
}


@dataclass(frozen=True)
class Log:
    """What lies in each partition of the input, by offset."""

    events: list[NDArray[np.int64]]
    """Numbers of the events."""
    times_ms: list[NDArray[np.int64]]
    """When Kafka received each record."""
    ids: Ids = TIME_ORDERED

    @property
    def records(self) -> int:
        return sum(len(events) for events in self.events)

    @property
    def distinct(self) -> int:
        return sum(len(np.unique(events)) for events in self.events)


def preload(settings: Settings, records: int, ids: Ids) -> int:
    """Put the input on the raw topic; returns the mean length of a value in bytes."""
    options = client_options(
        settings,
        partitioner="murmur2",
        linger_ms=20,
        batch_size=262_144,
        compression_type="lz4",
        queue_buffering_max_messages=20 * BATCH,
    )
    producer, topic, size = Producer(options), declare_topics(settings).raw.name, 0
    tell = _progress("records written", records)
    for start in range(0, records, BATCH):
        pairs = [encode(event_of(record), ids) for record in range(start, min(start + BATCH, records))]
        size += sum(len(value) for _, value in pairs)
        deadline = time.monotonic() + DEADLINE_S
        while len(producer) > 10 * BATCH:
            producer.poll(0.01)
            if time.monotonic() > deadline:
                raise RuntimeError("the broker takes no events")
        taken = producer.produce_batch(topic, [{"key": key, "value": value} for key, value in pairs])
        if taken != len(pairs):
            raise RuntimeError(f"the producer took {taken} of {len(pairs)} events")
        tell(start + len(pairs))
    if producer.flush(DEADLINE_S):
        raise RuntimeError("the broker did not take all events in time")
    return size // records


def read_back(settings: Settings, records: int, ids: Ids) -> Log:
    """The input as it lies in the raw topic. Raises RuntimeError when it is not what `preload` put there."""
    events = [np.empty(records, np.int64) for _ in range(settings.partitions)]
    times_ms = [np.empty(records, np.int64) for _ in range(settings.partitions)]
    ends = [0] * settings.partitions
    skip = len(record_key("default", ""))
    tell = _progress("records read back", records)
    for messages in consume(settings, declare_topics(settings).raw.name):
        for message in messages:
            partition = message.partition()
            at = ends[partition]
            if message.offset() != at:
                raise RuntimeError(f"partition {partition} holds no record at offset {at}")
            events[partition][at] = ids.read(message.key()[skip:].decode())
            times_ms[partition][at] = message.timestamp()[1]
            ends[partition] = at + 1
        tell(sum(ends))
    log = Log(
        [part[:end].copy() for part, end in zip(events, ends, strict=True)],
        [part[:end].copy() for part, end in zip(times_ms, ends, strict=True)],
        ids,
    )
    wanted = records - records // REPEAT_EVERY
    union = len(np.unique(np.concatenate(log.events)))
    if not log.records == records or not log.distinct == union == wanted:
        raise RuntimeError(f"{log.records} of {records} records, {union} of {wanted} ids, {log.distinct} by partition")
    return log


def _progress(what: str, of: int) -> Callable[[int], None]:
    started = told = time.monotonic()

    def tell(done: int) -> None:
        nonlocal told
        now = time.monotonic()
        if now - told > TELL_S or done == of:
            told = now
            say(f"  {done:,} of {of:,} {what}, {done / (now - started):,.0f}/s")

    return tell
