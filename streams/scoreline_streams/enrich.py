"""A judged event as the bytes of its record on `scores.enriched`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec

from scoreline.enriched import LATE_AFTER_S, EnrichedScore, Target
from scoreline.judging import Judged
from scoreline.reading import Event

_record: Any = msgspec.defstruct("Enriched", list(EnrichedScore.model_fields), frozen=True, gc=False)
"""Takes the contract's fields by position: naming them would cost half as much again."""
_encode = msgspec.json.Encoder().encode


def enrich(
    event: Event, judged: Judged, joined: Mapping[str, str], received_ms: int, partition: int, offset: int
) -> bytes:
    """One flat JSON object with every field of `scoreline.enriched.EnrichedScore`; null means absent.

    `joined` is what the lookups know of the event, `received_ms` the raw record's Kafka timestamp, `partition` and
    `offset` its place in `scores.raw`.
    """
    received_at = _time_of(received_ms)
    timestamp = event.timestamp
    if timestamp is None:
        timestamp = received_at
    elif timestamp.tzinfo is not UTC:
        timestamp = timestamp.astimezone(UTC)
    delay_s = (received_at - timestamp).total_seconds()
    evaluator = event.evaluator
    return _encode(
        _record(
            event.score_id,
            event.project,
            event.name,
            event.status,
            event.error,
            judged.data_type,
            judged.value,
            judged.label,
            judged.normalized,
            event.config_id,
            judged.config_version,
            target_of(event),
            event.trace_id,
            event.observation_id,
            event.session_id,
            event.dataset_run_id,
            event.comment,
            event.metadata or {},
            joined,
            timestamp,
            event.source,
            None if evaluator is None else evaluator.name,
            None if evaluator is None else evaluator.version,
            None if evaluator is None else evaluator.model,
            event.author,
            event.service,
            event.environment,
            event.release,
            event.schema_version,
            received_at,
            delay_s,
            delay_s > LATE_AFTER_S,
            partition,
            offset,
        )
    )


@lru_cache(1024)
def _time_of(unix_ms: int) -> datetime:
    """The broker gives all records that one producer sent together the same time."""
    return datetime.fromtimestamp(unix_ms / 1000, UTC)


def target_of(event: Event) -> Target:
    """The kind of the most specific id that the event carries."""
    if event.observation_id is not None:
        return Target.OBSERVATION
    if event.trace_id is not None:
        return Target.TRACE
    return Target.SESSION if event.session_id is not None else Target.DATASET_RUN
