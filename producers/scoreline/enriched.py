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
    TRACE = "trace"
    SESSION = "session"
    DATASET_RUN = "dataset_run"


class EnrichedScore(BaseModel):
    """One score: valid, the first with its id, canonical. Every field is always present; null means absent."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    score_id: str
    project: str
    name: str
    status: Status
    error: str | None
    """What went wrong in the judge; null unless the status is `failed`, and then there is no value."""
    data_type: DataType | None
    """null where a failed score does not say."""
    value: float | None
    """What an average may use: a number, 1 or 0 of a boolean, a category's number; null for a category without one."""
    label: str | None
    """The category, `true` or `false`."""
    normalized: float | None
    """0..1 by the config's range, 1 the better end."""
    config_id: str | None
    config_version: int | None
    target: Target
    trace_id: str | None
    observation_id: str | None
    session_id: str | None
    dataset_run_id: str | None
    comment: str | None
    metadata: dict[str, JsonValue]
    lookups: dict[str, str]
    """`<field>.<attribute>` → what `scores.lookups` knows of this score's value of that field."""
    timestamp: Timestamp
    """When it was judged, UTC."""
    source: Source
    evaluator_name: str | None
    evaluator_version: str | None
    evaluator_model: str | None
    author: str | None
    service: str | None
    environment: str | None
    release: str | None
    schema_version: int
    received_at: Timestamp
    """Kafka timestamp of the raw record, UTC."""
    delay_s: float
    """Seconds from `timestamp` to `received_at`; negative where the judge's clock is ahead."""
    late: bool
    """Whether that is more than `LATE_AFTER_S`."""
    raw_partition: int
    raw_offset: int


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
