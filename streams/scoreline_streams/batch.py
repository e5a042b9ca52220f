"""One batch of raw records of one partition, from bytes to everything its transaction writes. Pure.

Two steps, beside which the shell asks the state for earlier ids and Kafka for configs that it does not know yet:

    records ── read ──► events ── settle ──► Outcome
               validate           judge by configs, deduplicate, join lookups, enrich
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from scoreline.configs import ScoreConfig
from scoreline.judging import judge
from scoreline.lookups import Lookup, join
from scoreline.reading import Event
from scoreline.rejections import Origin, Reason, Rejection, Stage
from scoreline.topics import record_key
from scoreline.tracing import parent_of
from scoreline.validation import validate
from scoreline_streams.deduplicate import content_hash, first_offset, id_hash, pack_seen, same_content
from scoreline_streams.enrich import enrich


class RawRecord(Protocol):
    """What is read of a consumed record."""

    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int:
        """Kafka timestamp, Unix milliseconds."""
        ...

    @property
    def headers(self) -> Sequence[tuple[str, bytes]]: ...


class DeadLetter(NamedTuple):
    """A rejected record and why."""

    record: RawRecord
    rejection: Rejection
    origin: Origin


@dataclass(slots=True)
class Outcome:
    """All that one batch writes."""

    enriched: list[tuple[bytes | None, bytes]] = field(default_factory=list[tuple[bytes | None, bytes]])
    """Keys and values."""
    parents: dict[int, bytes] = field(default_factory=dict[int, bytes])
    """Place in `enriched` → the `traceparent` of the span that emitted it, of those that have one."""
    rejected: list[DeadLetter] = field(default_factory=list[DeadLetter])
    duplicates: int = 0
    entries: dict[bytes, bytes | None] = field(default_factory=dict[bytes, bytes | None])
    """Changed state by id hash; None takes back what an uncommitted attempt had written."""


@dataclass(frozen=True, slots=True)
class Known:
    """What a batch is judged by and enriched with, each by record key."""

    configs: Mapping[bytes, ScoreConfig]
    lookups: Mapping[bytes, Lookup]


def read(records: Sequence[RawRecord]) -> list[Event | Rejection]:
    """Validate every record of a batch."""
    return [validate(record.value, record.key, record.timestamp) for record in records]


def id_hashes(records: Sequence[RawRecord]) -> list[bytes]:
    """The hash of every record's key, which a valid event's id is."""
    return [id_hash(record.key or b"") for record in records]


def config_keys(events: Sequence[Event | Rejection]) -> set[bytes]:
    """Keys of all configs that the events name."""
    return {
        record_key(event.project, event.config_id)
        for event in events
        if type(event) is Event and event.config_id is not None
    }


def settle(
    topic: str,
    partition: int,
    records: Sequence[RawRecord],
    events: Sequence[Event | Rejection],
    hashes: Sequence[bytes],
    seen: Sequence[bytes | None],
    known: Known,
) -> Outcome:
    """Judge, deduplicate and enrich, in offset order; `seen` is what the state remembers of each of `hashes`."""
    outcome = Outcome()
    for record, event, hashed, before in zip(records, events, hashes, seen, strict=True):
        if isinstance(event, Rejection):
            rejection = event
        else:
            earlier = outcome.entries.get(hashed, before)
            rejection = _settle(outcome, record, event, hashed, earlier, partition, known)
        if rejection is not None:
            origin = Origin(topic, partition, record.offset, record.timestamp)
            outcome.rejected.append(DeadLetter(record, rejection, origin))
    return outcome


def _settle(
    outcome: Outcome,
    record: RawRecord,
    event: Event,
    hashed: bytes,
    before: bytes | None,
    partition: int,
    known: Known,
) -> Rejection | None:
    config = None if event.config_id is None else known.configs.get(record_key(event.project, event.config_id))
    judged = judge(event, config)
    offset = record.offset
    if isinstance(judged, Rejection):
        # an uncommitted attempt may have accepted this very record under another version of its config: forget that,
        # and say so in the changelog even where this state knows nothing: the attempt's may be on another disk
        if before is None or first_offset(before) >= offset:
            outcome.entries[hashed] = None
        return judged
    content = content_hash(event, judged)
    if before is not None and first_offset(before) < offset:
        if same_content(before, content):
            outcome.duplicates += 1
            return None
        return Rejection(
            Reason.CONFLICTING_DUPLICATE,
            f"score_id: seen before at offset {first_offset(before)} of this partition with other content; the first "
            "stays",
            Stage.DEDUPLICATE,
        )
    outcome.entries[hashed] = pack_seen(offset, content)
    if record.headers:
        parent = parent_of(record.headers)
        if parent is not None:
            outcome.parents[len(outcome.enriched)] = parent
    joined = join(event, known.lookups)
    outcome.enriched.append((record.key, enrich(event, judged, joined, record.timestamp, partition, offset)))
    return None
