"""A judged event as the bytes of its record on `scores.enriched`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache

import orjson

from scoreline.enriched import LATE_AFTER_S, Target
from scoreline.events import ScoreEvent
from scoreline.judging import Judged

_OPTIONS = orjson.OPT_UTC_Z


def enrich(
    event: ScoreEvent, judged: Judged, joined: Mapping[str, str], received_ms: int, partition: int, offset: int
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
    # what an event has and what an enriched score has under the same name are merged: half the cost of naming each
    fields = event.__dict__ | {
        "data_type": judged.data_type,
        "value": judged.value,
        "label": judged.label,
        "normalized": judged.normalized,
        "config_version": judged.config_version,
        "target": target_of(event),
        "metadata": event.metadata or {},
        "lookups": joined,
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
    return orjson.dumps(fields, option=_OPTIONS)


@lru_cache(1024)
def _time_of(unix_ms: int) -> datetime:
    """The broker gives all records that one producer sent together the same time."""
    return datetime.fromtimestamp(unix_ms / 1000, UTC)


def target_of(event: ScoreEvent) -> Target:
    """The kind of the most specific id that the event carries."""
    if event.observation_id is not None:
        return Target.OBSERVATION
    if event.trace_id is not None:
        return Target.TRACE
    return Target.SESSION if event.session_id is not None else Target.DATASET_RUN
