"""The packed changelog of the deduplication state: entries back to back, many in one record."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from scoreline.errors import StateError
from scoreline.kafka import CALL_TIMEOUT_S, client_options
from scoreline.settings import Settings
from scoreline_streams.deduplicate import ENTRY_BYTES, KEY_BYTES, SEEN_BYTES
from scoreline_streams.state import State

log = logging.getLogger(__name__)

FORMAT = b"seen/1"
"""Key of every changelog record: how its value is packed."""
TAKEN_BACK = b"\xff" * SEEN_BYTES
"""No entry can look so: its offset would be beyond `OFFSET_MAX`."""
ENTRIES_MAX = 16_384
"""Entries of one record: 512 KiB."""
POLL_S = 0.05
PROGRESS_S = 5.0
STALLED_S = 120.0


def pack(entries: Mapping[bytes, bytes | None]) -> Iterator[bytes]:
    """Values of the records that hold `entries`; None is written as `TAKEN_BACK`."""
    packed = [key + (TAKEN_BACK if seen is None else seen) for key, seen in entries.items()]
    for start in range(0, len(packed), ENTRIES_MAX):
        yield b"".join(packed[start : start + ENTRIES_MAX])


def unpack(value: bytes) -> dict[bytes, bytes | None]:
    """The entries of one record, None for what was taken back. Raises StateError when the value is cut short."""
    if len(value) % ENTRY_BYTES:
        raise StateError(f"changelog record of {len(value)} bytes is not a multiple of {ENTRY_BYTES}")
    entries: dict[bytes, bytes | None] = {}
    for at in range(0, len(value), ENTRY_BYTES):
        seen = value[at + KEY_BYTES : at + ENTRY_BYTES]
        entries[value[at : at + KEY_BYTES]] = None if seen == TAKEN_BACK else seen
    return entries


def restore(settings: Settings, topic: str, partition: int, state: State, closed: Callable[[], bool]) -> int:
    """Bring `state` up to the end of its changelog partition; returns the number of entries read.

    Ends early when `closed()`. Raises StateError when the changelog ends before what the state has already read, and
    KafkaException when the broker does not answer.
    """
    consumer = Consumer(
        client_options(
            settings,
            group_id=f"{settings.topic_prefix}scoreline.restore",
            enable_auto_commit=False,
            enable_partition_eof=True,
            isolation_level="read_committed",
            auto_offset_reset="error",
            fetch_wait_max_ms=50,
        )
    )
    try:
        low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=CALL_TIMEOUT_S)
        if state.changelog_next > high:
            raise StateError(f"{topic}[{partition}] ends at {high}, the state has read up to {state.changelog_next}")
        start = max(state.changelog_next, low)
        consumer.assign([TopicPartition(topic, partition, start)])
        return _read_to_end(consumer, state, f"{topic}[{partition}]", high - start, closed)
    finally:
        consumer.close()


def _read_to_end(consumer: Consumer, state: State, name: str, records: int, closed: Callable[[], bool]) -> int:
    entries, started = 0, time.monotonic()
    progress = reported = started
    first = state.changelog_next
    while not closed():
        messages = consumer.consume(200, POLL_S)
        now = time.monotonic()
        if messages:
            progress = now
        elif now - progress > STALLED_S:
            raise StateError(f"restore of {name} got nothing for {STALLED_S:.0f} s at offset {state.changelog_next}")
        read: dict[bytes, bytes | None] = {}
        ended, position = False, state.changelog_next
        for message in messages:
            error = message.error()
            if error is None:
                if message.key() != FORMAT:
                    raise StateError(
                        f"{name} holds a record of format {message.key()!r}, this release reads {FORMAT!r}"
                    )
                read.update(unpack(message.value() or b""))
                position = (message.offset() or 0) + 1
            elif error.code() == KafkaError._PARTITION_EOF:  # pyright: ignore[reportPrivateUsage]
                ended, position = True, max(position, message.offset() or 0)
            else:
                raise KafkaException(error)
        entries += len(read)
        state.changelog_next = position
        state.write(read)
        if ended:
            break
        if now - reported > PROGRESS_S:
            reported = now
            share = (position - first) / records if records else 1.0
            log.info("restoring %s: %d ids, %.0f %%, %.0f ids/s", name, entries, share * 100, entries / (now - started))
    if entries:
        log.info("restored %s: %d ids in %.1f s", name, entries, time.monotonic() - started)
    return entries
