"""One batch of raw records of one partition, from bytes to everything its transaction writes. Pure.

Three steps, so that the shell can look up configs and earlier ids in between:

    records ── read ──► verdicts ── judge_all ──► verdicts ── settle ──► Outcome
               validate              configs, lookups         deduplicate, enrich
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, TypedDict

from scoreline.configs import ScoreConfig
from scoreline.events import ScoreEvent
from scoreline.judging import Judged, judge
from scoreline.lookups import Lookup, join
from scoreline.rejections import Origin, Reason, Rejection, Stage
from scoreline.topics import record_key
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


class Accepted(NamedTuple):
    """An event that fits its config, and the hash of its id."""

    event: ScoreEvent
    judged: Judged
    joined: Mapping[str, str]
    """What the lookups know of it."""
    id_hash: bytes


class Misfit(NamedTuple):
    """An event that its config refuses; another version of the config may take it."""

    rejection: Rejection
    id_hash: bytes


Verdict = Accepted | Misfit | Rejection


class Output(TypedDict):
    """A message as `produce_batch` takes it."""

    key: bytes | None
    value: bytes


class DeadLetter(NamedTuple):
    """A rejected record and why."""

    record: RawRecord
    rejection: Rejection
    origin: Origin


@dataclass(slots=True)
class Outcome:
    """All that one batch writes."""

    enriched: list[Output] = field(default_factory=list[Output])
    rejected: list[DeadLetter] = field(default_factory=list[DeadLetter])
    duplicates: int = 0
    entries: dict[bytes, bytes | None] = field(default_factory=dict[bytes, bytes | None])
    """Changed state by id hash; None takes back what an uncommitted attempt had written."""


def read(records: Sequence[RawRecord]) -> list[ScoreEvent | Rejection]:
    """Validate every record of a batch."""
    return [validate(record.value, record.key, record.timestamp) for record in records]


def config_keys(events: Sequence[ScoreEvent | Rejection]) -> set[bytes]:
    """Keys of all configs that the events name."""
    return {
        record_key(event.project, event.config_id)
        for event in events
        if type(event) is ScoreEvent and event.config_id is not None
    }


def judge_all(
    events: Sequence[ScoreEvent | Rejection], configs: Mapping[bytes, ScoreConfig], lookups: Mapping[bytes, Lookup]
) -> list[Verdict]:
    """Check every valid event against its config, and join what the lookups know of it."""
    verdicts: list[Verdict] = []
    for event in events:
        if isinstance(event, Rejection):
            verdicts.append(event)
            continue
        config = None if event.config_id is None else configs.get(record_key(event.project, event.config_id))
        judged = judge(event, config)
        hashed = id_hash(event.key)
        if isinstance(judged, Rejection):
            verdicts.append(Misfit(judged, hashed))
        else:
            verdicts.append(Accepted(event, judged, join(event, lookups), hashed))
    return verdicts


def settle(
    topic: str,
    partition: int,
    records: Sequence[RawRecord],
    verdicts: Sequence[Verdict],
    look_up: Callable[[list[bytes]], list[bytes | None]],
) -> Outcome:
    """Deduplicate and enrich, in offset order.

    `look_up` gives, for a list of id hashes, what the state remembers of each.
    """
    outcome = Outcome()
    hashes = [verdict.id_hash for verdict in verdicts if not isinstance(verdict, Rejection)]
    seen = dict(zip(hashes, look_up(hashes), strict=True)) if hashes else {}
    for record, verdict in zip(records, verdicts, strict=True):
        if isinstance(verdict, Rejection):
            rejection = verdict
        elif isinstance(verdict, Misfit):
            rejection = verdict.rejection
            _take_back(outcome, seen, verdict.id_hash, record.offset)
        else:
            conflict = _accept(outcome, seen, verdict, record, partition)
            if conflict is None:
                continue
            rejection = conflict
        origin = Origin(topic, partition, record.offset, record.timestamp)
        outcome.rejected.append(DeadLetter(record, rejection, origin))
    return outcome


def _accept(
    outcome: Outcome, seen: dict[bytes, bytes | None], verdict: Accepted, record: RawRecord, partition: int
) -> Rejection | None:
    event, judged, joined, hashed = verdict
    content = content_hash(event, judged)
    before = seen[hashed]
    if before is not None and first_offset(before) < record.offset:
        if same_content(before, content):
            outcome.duplicates += 1
            return None
        return Rejection(
            Reason.CONFLICTING_DUPLICATE,
            f"score_id: seen before at offset {first_offset(before)} of this partition with other content; the first "
            "stays",
            Stage.DEDUPLICATE,
        )
    outcome.entries[hashed] = seen[hashed] = pack_seen(record.offset, content)
    value = enrich(event, judged, joined, record.timestamp, partition, record.offset)
    outcome.enriched.append({"key": record.key, "value": value})
    return None


def _take_back(outcome: Outcome, seen: dict[bytes, bytes | None], hashed: bytes, offset: int) -> None:
    """An uncommitted attempt may have accepted this very record under another version of its config: forget that.

    Said in the changelog even where this state knows nothing: the attempt's state may be on another disk.
    """
    before = seen[hashed]
    if before is None or first_offset(before) >= offset:
        outcome.entries[hashed] = seen[hashed] = None
