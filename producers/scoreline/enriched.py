"""The enriched score: the record that every consumer of `scores.enriched` reads, and its decoder."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from scoreline.errors import MalformedRecord
from scoreline.events import SCHEMA_VERSION, DataType, Source, Status, Timestamp

LATE_AFTER_S: Final = 3600
"""A score that arrives longer than this after it was judged is late: an aggregate of its hour may have been read."""


class Target(StrEnum):
    """What kind of thing was judged: the most specific of the ids that a score carries, in this order."""

    OBSERVATION = "observation"
    """A span or generation inside a trace."""
    TRACE = "trace"
    """A whole trace."""
    SESSION = "session"
    """Several traces of one conversation."""
    DATASET_RUN = "dataset_run"
    """A run over a dataset, as a whole."""


class EnrichedScore(BaseModel):
    """One score: valid, the first with its id, canonical. Every field is always present; null means absent."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    score_id: str
    """Identity inside the project: no two records of this topic have the same project and id."""
    project: str
    """The tenant."""
    name: str
    """What was judged, e.g. `accuracy`."""
    status: Status
    """Whether the judge came to a result; a failed score has no value, and belongs into no average."""
    error: str | None
    """What went wrong in the judge; null unless the status is `failed`, and then there is no value."""
    data_type: DataType | None
    """How the value was read; null where a failed score does not say."""
    value: float | None
    """What an average may use: a number, 1 or 0 of a boolean, a category's number; null for a category without one."""
    label: str | None
    """The category, `true` or `false`."""
    normalized: float | None
    """0..1 by the config's range, 1 the better end; null without a range."""
    config_id: str | None
    """The score config that the score was checked against."""
    config_version: int | None
    """The version of that config at the time."""
    target: Target
    """What kind of thing was judged."""
    trace_id: str | None
    """The trace judged."""
    observation_id: str | None
    """The observation (span, generation) judged, inside that trace."""
    session_id: str | None
    """The session judged."""
    dataset_run_id: str | None
    """The run over a dataset judged."""
    comment: str | None
    """Why, in the judge's words."""
    metadata: dict[str, JsonValue]
    """As the sender gave it; empty where it gave none."""
    lookups: dict[str, str]
    """`<field>.<attribute>` → what `scores.lookups` knows of this score's value of that field."""
    timestamp: Timestamp
    """When it was judged, UTC."""
    source: Source
    """What kind of judge gave the score."""
    evaluator_name: str | None
    """What produced an automated score."""
    evaluator_version: str | None
    """The version of that evaluator."""
    evaluator_model: str | None
    """The model that it asked."""
    author: str | None
    """The person who judged."""
    service: str | None
    """The service that emitted the score."""
    environment: str | None
    """Where that service runs."""
    release: str | None
    """The version of that service."""
    schema_version: int
    """Of the contract that this record follows."""
    received_at: Timestamp
    """Kafka timestamp of the raw record, UTC."""
    delay_s: float
    """Seconds from `timestamp` to `received_at`; negative where the judge's clock is ahead."""
    late: bool
    """Whether that is more than `LATE_AFTER_S`, an hour."""
    raw_partition: int
    """The partition of the raw record, and of this one."""
    raw_offset: int
    """The offset of the raw record in its partition."""


def decode_enriched(value: bytes) -> EnrichedScore:
    """The score in a record's value; fields of a later release are ignored. Raises MalformedRecord."""
    try:
        score = EnrichedScore.model_validate_json(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "score"
        raise MalformedRecord(f"{field}: {first['msg']}") from error
    if score.schema_version > SCHEMA_VERSION:
        raise MalformedRecord(
            f"schema_version: {score.schema_version}, this release reads up to {SCHEMA_VERSION}; upgrade scoreline"
        )
    return score
