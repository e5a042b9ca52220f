"""A judged event as the bytes of its record on `scores.enriched`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

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
    received_at = datetime.fromtimestamp(received_ms / 1000, UTC)
    timestamp = event.timestamp
    if timestamp is None:
        timestamp = received_at
    elif timestamp.tzinfo is not UTC:
        timestamp = timestamp.astimezone(UTC)
    delay_s = (received_at - timestamp).total_seconds()
    evaluator = event.evaluator
    return orjson.dumps(
        {
            "score_id": event.score_id,
            "project": event.project,
            "name": event.name,
            "status": event.status,
            "error": event.error,
            "data_type": judged.data_type,
            "value": judged.value,
            "label": judged.label,
            "normalized": judged.normalized,
            "config_id": event.config_id,
            "config_version": judged.config_version,
            "target": target_of(event),
            "trace_id": event.trace_id,
            "observation_id": event.observation_id,
            "session_id": event.session_id,
            "dataset_run_id": event.dataset_run_id,
            "comment": event.comment,
            "metadata": event.metadata or {},
            "lookups": joined,
            "timestamp": timestamp,
            "source": event.source,
            "evaluator_name": None if evaluator is None else evaluator.name,
            "evaluator_version": None if evaluator is None else evaluator.version,
            "evaluator_model": None if evaluator is None else evaluator.model,
            "author": event.author,
            "service": event.service,
            "environment": event.environment,
            "release": event.release,
            "schema_version": event.schema_version,
            "received_at": received_at,
            "delay_s": delay_s,
            "late": delay_s > LATE_AFTER_S,
            "raw_partition": partition,
            "raw_offset": offset,
        },
        option=_OPTIONS,
    )


def target_of(event: ScoreEvent) -> Target:
    """The kind of the most specific id that the event carries."""
    if event.observation_id is not None:
        return Target.OBSERVATION
    if event.trace_id is not None:
        return Target.TRACE
    return Target.SESSION if event.session_id is not None else Target.DATASET_RUN
