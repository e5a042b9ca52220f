"""Whether a record that neither table holds is the duplicate it claims to be: pure.

Metadata is not compared: the table holds it as text, not as it was sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from scoreline.events import DataType
from scoreline.reading import Event
from scoreline.rejections import Rejection
from scoreline.validation import validate
from scoreline.values import canonical_value, infer_data_type
from scoreline_sink.reconcile.compare import Fault

ScoreId = tuple[str, str]
"""Project and id inside it."""


class Claim(NamedTuple):
    """A raw record that neither table holds."""

    offset: int
    timestamp_ms: int
    """Kafka timestamp of the record."""
    key: bytes | None
    value: bytes | None


class StoredScore(NamedTuple):
    """What the table holds of a score; the fields are its columns, in the order in which they are asked for."""

    project: str
    score_id: str
    raw_offset: int
    name: str
    status: str
    data_type: str
    value: float | None
    label: str
    trace_id: str
    observation_id: str
    session_id: str
    dataset_run_id: str
    comment: str
    config_id: str
    evaluator_name: str
    evaluator_version: str
    evaluator_model: str


@dataclass(frozen=True, slots=True)
class Memory:
    """How far back the tables hold one partition: what decides whether a missing id can be judged."""

    from_offset: int | None
    """Lowest raw offset in either table; None: they hold nothing of it."""
    from_ms: int | None
    """Oldest Kafka timestamp of a stored raw record, Unix milliseconds."""
    log_start: int
    """First offset that the raw topic still holds."""
    horizon_ms: int | None
    """How long the worker remembers an id at least; None: for ever."""

    def holds_first_of(self, claim: Claim) -> bool:
        """Whether the first record with the claim's id must be in the tables, if there ever was one.

        It must when tables or topic reach back to the partition's first record, or the tables over the state horizon.
        Else it can have been there before the tables begin.
        """
        if self.from_offset == 0 or self.log_start == 0:
            return True
        if self.horizon_ms is None or self.from_ms is None:
            return False
        return self.from_ms <= claim.timestamp_ms - self.horizon_ms


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is wrong with a claim, and in which way."""

    fault: Fault
    detail: str


def parse(claim: Claim) -> Event | Judgement:
    """The event of a claim. One that is none should have been rejected: it is lost."""
    event = validate(claim.value, claim.key, claim.timestamp_ms)
    if isinstance(event, Rejection):
        return Judgement(Fault.LOST, f"no valid score ({event.reason}), but not rejected either")
    return event


def judge_claim(event: Event, earlier: StoredScore) -> Judgement | None:
    """None when `earlier`, the latest stored score of the event's id before it, has the event's content."""
    field = differing_field(event, earlier)
    if field is None:
        return None
    return Judgement(Fault.OTHER_CONTENT, f"{field} differs from what offset {earlier.raw_offset} stored")


def latest_before(offset: int, rows: Sequence[StoredScore]) -> StoredScore | None:
    """The row of the highest raw offset below `offset`."""
    return max((row for row in rows if row.raw_offset < offset), key=lambda row: row.raw_offset, default=None)


def differing_field(event: Event, stored: StoredScore) -> str | None:
    """Name of the first field whose content differs; None: the same content.

    Where only the event's config says the data type, the stored one stands for it.
    """
    evaluator = event.evaluator
    sent: Mapping[str, str | None] = {
        "name": event.name,
        "status": event.status,
        "data_type": event.data_type or (None if event.config_id else _inferred(event)),
        "trace_id": event.trace_id,
        "observation_id": event.observation_id,
        "session_id": event.session_id,
        "dataset_run_id": event.dataset_run_id,
        "comment": event.comment,
        "config_id": event.config_id,
        "evaluator_name": None if evaluator is None else evaluator.name,
        "evaluator_version": None if evaluator is None else evaluator.version,
        "evaluator_model": None if evaluator is None else evaluator.model,
    }
    for field, text in sent.items():
        if field == "data_type" and text is None:
            continue
        if (text or "") != getattr(stored, field):
            return field
    return None if _same_value(event, stored) else "value"


def _inferred(event: Event) -> DataType | None:
    return None if event.value is None else infer_data_type(event.value)


def _same_value(event: Event, stored: StoredScore) -> bool:
    if event.value is None:
        return True
    value = canonical_value(event.value, DataType(stored.data_type))
    if isinstance(value, Rejection) or (value.label or "") != stored.label:
        return False
    # a category's number belongs to the config's version, not to the event
    return value.label is not None or value.number == stored.value
