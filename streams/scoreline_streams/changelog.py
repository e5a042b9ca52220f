"""The packed changelog of the deduplication state: entries back to back, many in one record."""

from __future__ import annotations

import logging
import struct
import time
from collections.abc import Callable, Iterator, Mapping

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from scoreline.errors import StateError
from scoreline.kafka import CALL_TIMEOUT_S, client_options
from scoreline.settings import Settings
from scoreline_streams.deduplicate import ENTRY_BYTES, KEY_BYTES, SEEN_BYTES
from scoreline_streams.state import State

log = logging.getLogger(__name__)

_entries = struct.Struct(f"{KEY_BYTES}s{SEEN_BYTES}s").iter_unpack

FORMAT = b"seen/1"
"""Key of every changelog record: how its value is packed."""
TAKEN_BACK = b"\xff" * SEEN_BYTES
"""No entry can look so: its offset would be beyond `OFFSET_MAX`."""
ENTRIES_MAX = 16_384
"""Entries of one record: 512 KiB."""
RESTORED_MAX = 16_384
"""Entries of one write into the state, and one record's more: large ones leave the processor's cache and are slower."""
QUEUED_KBYTES_MAX = 16_384
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
    entries: dict[bytes, bytes | None] = dict(_entries(value))
    if TAKEN_BACK in value:
        entries = {key: None if seen == TAKEN_BACK else seen for key, seen in entries.items()}
    return entries


def restore(settings: Settings, topic: str, partition: int, state: State, closed: Callable[[], bool]) -> int:
    """Bring `state` up to the end of its changelog partition; returns the number of entries read.

    A state that ends before the changelog begins is rebuilt, not topped up: among what is missing can be that one of
    its entries was taken back. So is one that has read further than the changelog goes. Ends early when `closed()`.
    Raises StateError when a record cannot be read, and KafkaException when the broker does not answer.
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
            fetch_message_max_bytes=4 << 20,
            queued_max_messages_kbytes=QUEUED_KBYTES_MAX,
        )
    )
    name = f"{topic}[{partition}]"
    try:
        low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=CALL_TIMEOUT_S)
        if state.changelog_next < low and not state.is_empty:
            state.rebuild(f"it has read {name} up to {state.changelog_next}, which now begins at {low}")
        elif state.changelog_next > high:
            state.rebuild(
                f"it has read {name} up to {state.changelog_next}, which now ends at {high}: Kafka has lost records "
                "that it had acknowledged, and ids in them are forgotten"
            )
        state.changelog_next = max(state.changelog_next, low)
        consumer.assign([TopicPartition(topic, partition, state.changelog_next)])
        return _read_to(high, consumer, state, name, closed)
    finally:
        consumer.close()


def _read_to(end: int, consumer: Consumer, state: State, name: str, closed: Callable[[], bool]) -> int:
    """Read until `end`, whatever the consumer takes for the end of the partition: a new leader's can be an old one."""
    first, restored = state.changelog_next, 0
    started = progress = reported = time.monotonic()
    while state.changelog_next < end and not closed():
        entries, position = _fetch(consumer, name, state.changelog_next)
        now = time.monotonic()
        if position == state.changelog_next:
            if now - progress > STALLED_S:
                raise StateError(f"restore of {name} got nothing for {STALLED_S:.0f} s at offset {position}")
            continue
        progress = now
        restored += len(entries)
        state.changelog_next = position
        state.write(entries)
        if now - reported > PROGRESS_S:
            reported = now
            share = (position - first) / (end - first)
            log.info(
                "restoring %s: %d ids, %.0f %%, %.0f ids/s", name, restored, share * 100, restored / (now - started)
            )
    if restored:
        log.info("restored %s: %d ids in %.1f s", name, restored, time.monotonic() - started)
    return restored


def _fetch(consumer: Consumer, name: str, position: int) -> tuple[dict[bytes, bytes | None], int]:
    """The entries of the next records, as many as are there, about `RESTORED_MAX`; and the offset behind them.

    Raises StateError for a record that cannot be read, and KafkaException.
    """
    entries: dict[bytes, bytes | None] = {}
    wait_s = POLL_S
    while len(entries) < RESTORED_MAX and (messages := consumer.consume(1, wait_s)):
        wait_s = 0.0
        for message in messages:
            error = message.error()
            if error is None:
                if message.key() != FORMAT:
                    raise StateError(
                        f"{name} holds a record of format {message.key()!r}, this release reads {FORMAT!r}"
                    )
                entries.update(unpack(message.value() or b""))
                position = (message.offset() or 0) + 1
            elif error.code() == KafkaError._PARTITION_EOF:  # pyright: ignore[reportPrivateUsage]
                return entries, max(position, message.offset() or 0)
            else:
                raise KafkaException(error)
    return entries, position
