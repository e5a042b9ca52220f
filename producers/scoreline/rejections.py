"""Why a record was rejected: the closed list of reasons, and the headers that carry them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from pydantic import ValidationError


class Reason(StrEnum):
    """The closed list of reasons; the value is what `scoreline.reason` carries."""

    EMPTY_RECORD = "empty_record"
    """The record has no value (a tombstone)."""
    TOO_LARGE = "too_large"
    """The value is longer than `RECORD_BYTES_MAX`."""
    MALFORMED_JSON = "malformed_json"
    """Not one JSON object in UTF-8: broken syntax, an array, two objects, a repeated key, nesting without end."""
    UNSUPPORTED_VERSION = "unsupported_version"
    """`schema_version` is not one that this release reads."""
    MISSING_FIELD = "missing_field"
    """A required field is absent: score_id, name, or the value of a score whose judge did not fail."""
    UNKNOWN_FIELD = "unknown_field"
    """A field the contract does not know; free fields belong into `metadata`."""
    INVALID_VALUE = "invalid_value"
    """A field has the wrong type, length or form."""
    NO_TARGET = "no_target"
    """None of trace_id, session_id and dataset_run_id; or an observation_id without its trace_id."""
    TIMESTAMP_OUT_OF_BOUNDS = "timestamp_out_of_bounds"
    """Before 2000, or more than a day after the record's Kafka timestamp."""
    KEY_MISMATCH = "key_mismatch"
    """The record's key is not `<project>/<score_id>`, so that deduplication could miss it."""
    UNKNOWN_CONFIG = "unknown_config"
    """No config has this id yet; replayable once it exists."""
    CONFIG_MISMATCH = "config_mismatch"
    """Name or data type differ from the config's, or the config is archived."""
    OUT_OF_RANGE = "out_of_range"
    """The value is outside the config's min and max."""
    UNKNOWN_CATEGORY = "unknown_category"
    """The value is none of the config's categories."""
    CONFLICTING_DUPLICATE = "conflicting_duplicate"
    """The id was seen before with other content; the first one stays."""
    REFUSED_BY_STORE = "refused_by_store"
    """The worker took the record and ClickHouse refuses its row; the detail says with which error and in which field.
    Or it is no enriched score at all: somebody other than the worker wrote to `scores.enriched`."""


class Stage(StrEnum):
    """Where on its way a record was rejected."""

    VALIDATE = "validate"
    DEDUPLICATE = "deduplicate"
    STORE = "store"
    """By the sink: the worker had taken it."""


DETAIL_CHARS_MAX = 500


@dataclass(frozen=True, slots=True)
class Rejection:
    """The verdict on one record: why, where, and what a person needs to mend it."""

    reason: Reason
    detail: str
    """One printable line: what was found and what was expected; cut to `DETAIL_CHARS_MAX`."""
    stage: Stage = Stage.VALIDATE

    def __post_init__(self) -> None:
        if len(self.detail) > DETAIL_CHARS_MAX or not self.detail.isprintable():
            detail = "".join(c if c.isprintable() else repr(c)[1:-1] for c in self.detail[: DETAIL_CHARS_MAX + 1])
            cut = detail if len(detail) <= DETAIL_CHARS_MAX else detail[: DETAIL_CHARS_MAX - 1] + "…"
            object.__setattr__(self, "detail", cut)


_FOUND_CHARS_MAX = 80


def found(value: object) -> str:
    """`value` as it may stand in a detail: its repr, cut short."""
    text = repr(value)
    return text if len(text) <= _FOUND_CHARS_MAX else text[: _FOUND_CHARS_MAX - 1] + "…"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a rejected record came from."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    """Kafka timestamp of the record, Unix milliseconds."""


Headers = list[tuple[str, bytes]]

PREFIX = "scoreline."


def rejection_headers(rejection: Rejection, origin: Origin) -> Headers:
    """The headers that `scores.rejected` adds behind the record's own."""
    fields = {
        "reason": rejection.reason.value,
        "detail": rejection.detail,
        "stage": rejection.stage.value,
        "topic": origin.topic,
        "partition": str(origin.partition),
        "offset": str(origin.offset),
        "timestamp": str(origin.timestamp_ms),
    }
    return [(PREFIX + name, text.encode("utf-8", "replace")) for name, text in fields.items()]


_REASON_BY_ERROR_TYPE = {
    "json_invalid": Reason.MALFORMED_JSON,
    "model_type": Reason.MALFORMED_JSON,
    "missing": Reason.MISSING_FIELD,
    "extra_forbidden": Reason.UNKNOWN_FIELD,
}

_EXPECTED: dict[int | str, str] = {
    "value": "expected a finite number, a string or a boolean",
    "timestamp": "expected an existing RFC 3339 date and time with zone, as 2026-01-31T12:00:00Z",
}


def rejection_of(error: ValidationError) -> Rejection:
    """The first thing pydantic found, in the words of the contract."""
    first = error.errors(include_url=False, include_context=False)[0]
    loc, kind, message = first["loc"], first["type"], first["msg"]
    if not loc:
        detail = "expected one JSON object" if kind == "model_type" else message
        return Rejection(_REASON_BY_ERROR_TYPE.get(kind, Reason.INVALID_VALUE), detail)
    if loc[0] == "schema_version":
        return Rejection(Reason.UNSUPPORTED_VERSION, f"schema_version: {message}, found {found(first['input'])}")
    if kind != "missing" and loc[0] in _EXPECTED:
        message, loc = _EXPECTED[loc[0]], loc[:1]
    reason = Reason.INVALID_VALUE if kind == "model_type" else _REASON_BY_ERROR_TYPE.get(kind, Reason.INVALID_VALUE)
    field = ".".join(str(part) for part in loc)
    if reason is Reason.MISSING_FIELD:
        return Rejection(reason, f"{field}: required")
    if reason is Reason.UNKNOWN_FIELD:
        return Rejection(reason, f"{found(field)}: not a field of the contract; free fields belong into metadata")
    return Rejection(reason, f"{field}: {message}, found {found(first['input'])}")
