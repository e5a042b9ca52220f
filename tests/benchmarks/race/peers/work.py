"""The work on one score event that every Python peer does alike: check, enrich, write.

The rules are those of `scoreline.validation` and the output is that of `scores.enriched`, written as one does who has
pydantic and the contract; tests/benchmarks/test_race.py holds both against the product. Left out, in the peers' favour,
is what pydantic has no means against: repeated keys, NUL characters in free text, integers beyond 2^53, and what is
deep, not finite or beyond 64 bits inside metadata. No peer follows score configs and lookups, and none tells a repeated
id with other content from a repeated event. The garbage collector is set as our worker sets it: Bytewax gains half.
"""

from __future__ import annotations

import gc
import math
import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictStr, ValidationError

GC_THRESHOLD = 200_000
BYTES_MAX = 256 * 1024
EARLIEST_S = 946_684_800
AHEAD_MAX_S = 24 * 60 * 60
LATE_AFTER_S = 3600
DECIMAL = re.compile(r"[+-]?(?:[0-9]{1,400}(?:\.[0-9]{0,400})?|\.[0-9]{1,400})(?:[eE][+-]?[0-9]{1,4})?")
BOOLEANS = {True: True, False: False, "true": True, "false": False}  # 1.0 is True, 0.0 False
TYPES = {float: "NUMERIC", str: "CATEGORICAL", bool: "BOOLEAN"}
OPTIONS = orjson.OPT_UTC_Z

Identifier = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\p{Cc}\p{Cf}]+$")]
Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\p{Cc}]+$")]
Text = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$")]
Number = Annotated[StrictFloat, Field(allow_inf_nan=False)]


class Invalid(ValueError):
    """A record that is no score event, and why."""


class Evaluator(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    name: Name
    version: Name | None = None
    model: Name | None = None


class Score(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    score_id: Identifier
    project: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")] = "default"
    name: Name
    value: Annotated[Number | StrictBool | StrictStr | None, Field(union_mode="left_to_right")] = None
    status: Literal["ok", "failed"] = "ok"
    error: Annotated[str, Field(min_length=1, max_length=10_000)] | None = None
    data_type: Literal["NUMERIC", "CATEGORICAL", "BOOLEAN"] | None = None
    trace_id: Identifier | None = None
    observation_id: Identifier | None = None
    session_id: Identifier | None = None
    dataset_run_id: Identifier | None = None
    comment: str | None = None
    metadata: dict[str, Any] | None = None
    config_id: Identifier | None = None
    timestamp: Annotated[Text, AfterValidator(datetime.fromisoformat)] | None = None
    source: Literal["API", "EVAL", "ANNOTATION"] = "API"
    evaluator: Evaluator | None = None
    author: Name | None = None
    service: Name | None = None
    environment: Name | None = None
    release: Name | None = None
    schema_version: Literal[1] = 1


_validate_json = Score.__pydantic_validator__.validate_json


def freeze() -> None:
    """Call it when everything is imported."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)


def parse(value: bytes | None, key: bytes | None, received_ms: int) -> Score:
    """The event in a record of `scores.raw`. Raises Invalid."""
    if value is None or len(value) > BYTES_MAX:
        raise Invalid("no value, or too large a one")
    try:
        score = _validate_json(value)
    except ValidationError as error:
        raise Invalid(str(error)) from error
    if (score.value is None) is (score.status == "ok") or (score.error is None) is (score.status == "failed"):
        raise Invalid("a value exactly when the status is ok, an error exactly when it is failed")
    if score.trace_id is None and (
        score.observation_id is not None or (score.session_id is None and score.dataset_run_id is None)
    ):
        raise Invalid("no target")
    if score.timestamp is not None:
        timestamp_s = score.timestamp.timestamp()
        if not EARLIEST_S <= timestamp_s <= received_ms / 1000 + AHEAD_MAX_S:
            raise Invalid("timestamp out of bounds")
    if key != f"{score.project}/{score.score_id}".encode():
        raise Invalid("key")
    return score


def enrich(score: Score, received_ms: int, partition: int, offset: int) -> dict[str, Any]:
    """The fields of `scores.enriched`. Raises Invalid: the value does not fit its data type."""
    value, label = judged(score)
    received_at = datetime.fromtimestamp(received_ms / 1000, UTC)
    timestamp = received_at if score.timestamp is None else score.timestamp.astimezone(UTC)
    delay_s = (received_at - timestamp).total_seconds()
    evaluator = score.evaluator
    fields = score.__dict__ | {
        "data_type": score.data_type or (None if score.value is None else TYPES[type(score.value)]),
        "value": value,
        "label": label,
        "normalized": None,
        "config_version": None,
        "target": target(score),
        "metadata": score.metadata or {},
        "lookups": {},
        "timestamp": timestamp,
        "evaluator_name": None if evaluator is None else evaluator.name,
        "evaluator_version": None if evaluator is None else evaluator.version,
        "evaluator_model": None if evaluator is None else evaluator.model,
        "received_at": received_at,
        "delay_s": delay_s,
        "late": delay_s > LATE_AFTER_S,
        "raw_partition": partition,
        "raw_offset": offset,
    }
    del fields["evaluator"]
    return fields


def dump(fields: dict[str, Any]) -> bytes:
    """The value of a record of `scores.enriched`."""
    return orjson.dumps(fields, option=OPTIONS)


def judged(score: Score) -> tuple[float | None, str | None]:
    """Number and label of a score's value under its data type. Raises Invalid."""
    value = score.value
    if value is None:
        return None, None
    data_type = score.data_type or TYPES[type(value)]
    if data_type == "NUMERIC":
        if type(value) is str and DECIMAL.fullmatch(value) and math.isfinite(float(value)):
            return float(value), None
        if type(value) is float:
            return value, None
    elif data_type == "BOOLEAN":
        if value in BOOLEANS:
            return (1.0, "true") if BOOLEANS[value] else (0.0, "false")
    elif type(value) is str and value:
        return None, value
    raise Invalid("value")


def target(score: Score) -> str:
    """The kind of the most specific id."""
    if score.observation_id is not None:
        return "observation"
    if score.trace_id is not None:
        return "trace"
    return "session" if score.session_id is not None else "dataset_run"
