"""Which of several events with one id is the first: a pure decision over packed entries.

An entry is 32 bytes: the id's hash (16), then what is remembered of the id's first occurrence (16): its offset and
revision in one big-endian u64 (48 and 16 bits), and the hash of its content (8). The id's hash is the key in RocksDB,
the changelog holds entries back to back.

The offset makes a dirty store harmless: an entry with the event's own offset or a later one was written by an attempt
whose transaction never committed, so it is not counted as an earlier occurrence.
"""

from __future__ import annotations

from typing import Final

import orjson
import xxhash

from scoreline.judging import Judged
from scoreline.reading import Event

KEY_BYTES: Final = 16
SEEN_BYTES: Final = 16
ENTRY_BYTES: Final = KEY_BYTES + SEEN_BYTES
OFFSET_MAX: Final = 2**48 - 2
_REVISION_BITS: Final = 16

id_hash = xxhash.xxh3_128_digest
"""Hash of a record key. 128 bits: among 50 million ids two share one with a probability of 4e-24 (n²/2¹²⁹)."""


def content_hash(event: Event, judged: Judged) -> bytes:
    """8 bytes over what was judged: a retried call has the same, whenever and wherever it was sent from.

    A category's number is left out: it belongs to the config's version, not to the event.
    """
    evaluator = event.evaluator
    content = (
        event.name,
        judged.data_type,
        judged.value if judged.label is None else judged.label,
        event.trace_id,
        event.observation_id,
        event.session_id,
        event.dataset_run_id,
        event.comment,
        event.metadata,
        event.config_id,
        None if evaluator is None else (evaluator.name, evaluator.version, evaluator.model),
    )
    return xxhash.xxh3_64_digest(orjson.dumps(content, option=orjson.OPT_SORT_KEYS))


def pack_seen(offset: int, content: bytes) -> bytes:
    """What is remembered of an id: the offset of its first occurrence and the hash of its content."""
    return (offset << _REVISION_BITS).to_bytes(8, "big") + content


def carried_over(seen: bytes) -> bytes:
    """`seen` for another partition, where the first occurrence's offset means nothing: 0, before every record."""
    return bytes(6) + seen[6:]


def first_offset(seen: bytes) -> int:
    """Offset of the id's first occurrence."""
    return int.from_bytes(seen[:8], "big") >> _REVISION_BITS


def same_content(seen: bytes, content: bytes) -> bool:
    """Whether the first occurrence had this content."""
    return seen[8:] == content
