"""The raw score event: what a service says, before anyone checked it against a config."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetPydanticSchema,
    JsonValue,
    StrictBool,
    StrictStr,
)
from pydantic_core import core_schema

from scoreline.topics import record_key

SCHEMA_VERSION = 1

Identifier = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\p{Cc}\p{Cf}]+$")]
"""1-200 characters, none of them a control or an invisible formatting character."""
Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\p{Cc}]+$")]
"""1-200 characters, no control characters."""
Project = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
RFC_3339 = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$"
ErrorText = Annotated[str, Field(min_length=1, max_length=10_000)]
FiniteNumber = Annotated[float, Field(strict=True, allow_inf_nan=False)]


class DataType(StrEnum):
    """How a value is to be read."""

    NUMERIC = "NUMERIC"
    """A finite number, or a string that is one in decimal."""
    CATEGORICAL = "CATEGORICAL"
    """A string that is not empty."""
    BOOLEAN = "BOOLEAN"
    """true or false, also as 1 or 0, `"true"` or `"false"`."""


class Status(StrEnum):
    """Whether the judge came to a result."""

    OK = "ok"
    """It did: there is a value."""
    FAILED = "failed"
    """The judge crashed or gave up: there is an error in place of a value."""


class Source(StrEnum):
    """What kind of judge gave the score."""

    API = "API"
    """A program or its user, by a call."""
    EVAL = "EVAL"
    """An automated evaluator."""
    ANNOTATION = "ANNOTATION"
    """A person who annotates."""


def _timestamp_schema(_source: Any, _handler: Any) -> core_schema.CoreSchema:
    """RFC 3339 and nothing else: pydantic's own datetime also reads a string of digits as Unix seconds."""
    text = core_schema.str_schema(strict=True, pattern=RFC_3339)
    return core_schema.no_info_after_validator_function(
        datetime.fromisoformat,
        text,
        serialization=core_schema.plain_serializer_function_ser_schema(datetime.isoformat, when_used="json"),
    )


Timestamp = Annotated[datetime, GetPydanticSchema(_timestamp_schema)]
"""An aware datetime, written as RFC 3339 with zone; fractions beyond microseconds are cut."""


class Evaluator(BaseModel):
    """What produced an automated score."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: Name
    """Of the evaluator, e.g. `toxicity-judge`."""
    version: Name | None = None
    """Of the evaluator: its prompt, its code."""
    model: Name | None = None
    """The model that it asks."""


class ScoreEvent(BaseModel):
    """One score as it was emitted. Field rules that need more than one field are in `scoreline.validation`."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    score_id: Identifier
    """Identity and idempotency key inside the project."""
    project: Project = "default"
    """The tenant; an id is unique inside it."""
    name: Name
    """What was judged, e.g. `accuracy`."""
    value: Annotated[FiniteNumber | StrictBool | StrictStr | None, Field(union_mode="left_to_right")] = None
    """What was judged; None exactly when the judge failed."""
    status: Status = Status.OK
    """Whether the judge came to a result."""
    error: ErrorText | None = None
    """What went wrong; there exactly when the judge failed."""
    data_type: DataType | None = None
    """None: the config's, else inferred from the value."""
    trace_id: Identifier | None = None
    """The trace judged. One of trace, session and dataset run is required."""
    observation_id: Identifier | None = None
    """The observation (span, generation) judged; needs the trace it belongs to."""
    session_id: Identifier | None = None
    """The session judged."""
    dataset_run_id: Identifier | None = None
    """The run over a dataset judged."""
    comment: str | None = None
    """Why, in the judge's words."""
    metadata: dict[str, JsonValue] | None = None
    """Anything else that the sender knows; at most 32 levels deep."""
    config_id: Identifier | None = None
    """The score config that the score has to fit."""
    timestamp: Timestamp | None = None
    """When it was judged; None: when Kafka received it."""
    source: Source = Source.API
    """What kind of judge gave the score."""
    evaluator: Evaluator | None = None
    """What produced an automated score."""
    author: Name | None = None
    """The person who judged."""
    service: Name | None = None
    """The service that emitted the score."""
    environment: Name | None = None
    """Where that service runs, e.g. `production`."""
    release: Name | None = None
    """The version of that service."""
    schema_version: Literal[1] = SCHEMA_VERSION
    """Of the contract that this record follows."""

    @property
    def key(self) -> bytes:
        """Key of the raw, enriched and rejected record."""
        return record_key(self.project, self.score_id)
