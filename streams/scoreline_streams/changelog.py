"""The packed changelog of the deduplication state: entries back to back, many in one record.

Every transaction writes at least one record, and each record says behind which raw offset its batch ends. So the
changelog alone proves what is settled, also when the group's own offset was set back or has expired.
"""

from __future__ import annotations

import logging
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple, Protocol, cast

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from scoreline.errors import StateError
from scoreline.kafka import CALL_TIMEOUT_S, client_options
from scoreline.rejections import Headers
from scoreline.settings import Settings
from scoreline.topics import declare_groups
from scoreline_streams.deduplicate import ENTRY_BYTES, KEY_BYTES, SEEN_BYTES

log = logging.getLogger(__name__)

_entries = struct.Struct(f"{KEY_BYTES}s{SEEN_BYTES}s").iter_unpack

FORMAT = b"seen/1"
"""Key of every changelog record: how its value is packed."""
UNSEEDED = b"unseeded/1"
"""Key of the record with which a partition begins that has not got its state yet (`scoreline_streams.repartition`)."""
POSITION = "raw"
"""Header of every record: `<id of the raw topic>/<offset behind the batch>`."""
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
    """Values of the records that hold `entries`, one at least; None is written as `TAKEN_BACK`."""
    packed = [key + (TAKEN_BACK if seen is None else seen) for key, seen in entries.items()]
    for start in range(0, max(1, len(packed)), ENTRIES_MAX):
        yield b"".join(packed[start : start + ENTRIES_MAX])


def unpack(value: bytes) -> dict[bytes, bytes | None]:
    """The entries of one record, None for what was taken back. Raises StateError when the value is cut short."""
    if len(value) % ENTRY_BYTES:
        raise StateError(f"changelog record of {len(value)} bytes is not a multiple of {ENTRY_BYTES}")
    entries: dict[bytes, bytes | None] = dict(_entries(value))
    if TAKEN_BACK in value:
        entries = {key: None if seen == TAKEN_BACK else seen for key, seen in entries.items()}
    return entries


def pack_position(raw_id: str, next_offset: int) -> Headers:
    """The headers of every record of a batch that ends before `next_offset` of the raw topic with this id."""
    return [(POSITION, f"{raw_id}/{next_offset}".encode())]


def unpack_position(message: Message, raw_id: str) -> int:
    """The raw offset behind the batch that wrote the record. Raises StateError when it is of another raw topic."""
    headers = cast("Headers", message.headers() or [])
    topic_id, _, offset = dict(headers).get(POSITION, b"").decode().rpartition("/")
    if topic_id != raw_id:
        raise StateError(
            f"{message.topic()}[{message.partition()}] was written from another raw topic (id {topic_id}, now "
            f"{raw_id}): that was made anew, and its offsets mean something else. Delete the changelog topic too and "
            "create it again with `scoreline topics`; ids seen before are then forgotten"
        )
    return int(offset)


class Restored(Protocol):
    """What is restored: `scoreline_streams.state.State` says what its members mean."""

    changelog_next: int
    raw_next: int
    is_empty: bool

    def write(self, entries: Mapping[bytes, bytes | None]) -> None: ...
    def rebuild(self, why: str) -> None: ...


class Read(NamedTuple):
    """What one fetch from a changelog partition gave."""

    entries: dict[bytes, bytes | None]
    position: int
    """Changelog offset behind it."""
    raw_next: int
    """Raw offset behind the latest batch in it; 0: there is none."""


def restore(
    settings: Settings, topic: str, partition: int, state: Restored, raw_id: str, closed: Callable[[], bool]
) -> int:
    """Bring `state` up to the end of its changelog partition; returns the number of entries read.

    A state that ends before the changelog begins is rebuilt, not topped up: among what is missing can be that one of
    its entries was taken back. So is one that has read further than the changelog goes. Ends early when `closed()`.
    Raises StateError when a record cannot be read or is of another raw topic than `raw_id`, and KafkaException when
    the broker does not answer.
    """
    consumer = Consumer(
        client_options(
            settings,
            group_id=declare_groups(settings).reader,
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
        return _read_to(high, consumer, state, name, raw_id, closed)
    finally:
        consumer.close()


def _read_to(end: int, consumer: Consumer, state: Restored, name: str, raw_id: str, closed: Callable[[], bool]) -> int:
    """Read until `end`, whatever the consumer takes for the end of the partition: a new leader's can be an old one."""
    first, restored = state.changelog_next, 0
    started = progress = reported = time.monotonic()
    while state.changelog_next < end and not closed():
        entries, position, raw_next = _fetch(consumer, name, raw_id, state.changelog_next)
        now = time.monotonic()
        if position == state.changelog_next:
            if now - progress > STALLED_S:
                raise StateError(f"restore of {name} got nothing for {STALLED_S:.0f} s at offset {position}")
            continue
        progress = now
        restored += len(entries)
        state.changelog_next = position
        state.raw_next = max(state.raw_next, raw_next)
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


def _fetch(consumer: Consumer, name: str, raw_id: str, position: int) -> Read:
    """The next records, as many as are there, about `RESTORED_MAX` entries.

    Raises StateError for a record that cannot be read, and KafkaException.
    """
    entries: dict[bytes, bytes | None] = {}
    wait_s, raw_next = POLL_S, 0
    while len(entries) < RESTORED_MAX and (messages := consumer.consume(1, wait_s)):
        wait_s = 0.0
        for message in messages:
            error = message.error()
            if error is None:
                if message.key() == UNSEEDED:
                    raise StateError(
                        f"{name} was added and has not got its state yet; run `scoreline topics repartition` again"
                    )
                if message.key() != FORMAT:
                    raise StateError(
                        f"{name} holds a record of format {message.key()!r}, this release reads {FORMAT!r}"
                    )
                entries.update(unpack(message.value() or b""))
                position = (message.offset() or 0) + 1
                raw_next = unpack_position(message, raw_id)
            elif error.code() == KafkaError._PARTITION_EOF:  # pyright: ignore[reportPrivateUsage]
                return Read(entries, max(position, message.offset() or 0), raw_next)
            else:
                raise KafkaException(error)
    return Read(entries, position, raw_next)
