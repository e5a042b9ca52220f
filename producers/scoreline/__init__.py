"""Emit evaluation scores: `import scoreline; scoreline.create_score(name="accuracy", value=0.92, trace_id="…")`,
and consume them behind the pipeline: `for score in scoreline.consume(group="alerts"): …`.

The module-level functions share one client, made at the first call from the settings (`SCORELINE_*`) and flushed when
the process ends. `Client` is for more than one project or cluster.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from scoreline.client import Client
from scoreline.consuming import AsyncScoreConsumer, ScoreConsumer, consume, consume_async
from scoreline.enriched import EnrichedScore
from scoreline.errors import (
    InvalidScore,
    KafkaUnavailable,
    MalformedRecord,
    PermanentError,
    QueueFull,
    RetryableError,
    ScorelineError,
    SettingsError,
)
from scoreline.outbox import making

__all__ = [
    "AsyncScoreConsumer",
    "Client",
    "EnrichedScore",
    "InvalidScore",
    "KafkaUnavailable",
    "MalformedRecord",
    "PermanentError",
    "QueueFull",
    "RetryableError",
    "ScoreConsumer",
    "ScorelineError",
    "SettingsError",
    "consume",
    "consume_async",
    "create_score",
    "flush",
]

_client: Client | None = None


def create_score(
    *,
    name: str,
    value: float | str | bool | None = None,
    error: str | None = None,
    session_id: str | None = None,
    dataset_run_id: str | None = None,
    trace_id: str | None = None,
    observation_id: str | None = None,
    score_id: str | None = None,
    data_type: Literal["NUMERIC", "CATEGORICAL", "BOOLEAN"] | None = None,
    comment: str | None = None,
    config_id: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    timestamp: datetime | None = None,
    source: Literal["API", "EVAL", "ANNOTATION"] | None = None,
    evaluator: Mapping[str, str] | None = None,
    author: str | None = None,
) -> str:
    """Emit one score and return its id, without waiting for the broker.

    Parameters and errors as `Client.create_score`; project, service, environment and release come from the settings.
    """
    return _default_client().create_score(
        name=name,
        value=value,
        error=error,
        session_id=session_id,
        dataset_run_id=dataset_run_id,
        trace_id=trace_id,
        observation_id=observation_id,
        score_id=score_id,
        data_type=data_type,
        comment=comment,
        config_id=config_id,
        metadata=metadata,
        timestamp=timestamp,
        source=source,
        evaluator=evaluator,
        author=author,
    )


def flush(timeout_s: float | None = None) -> int:
    """Wait for the acknowledgement of everything emitted so far; returns how many scores are still unsent."""
    return 0 if _client is None else _client.flush(timeout_s)


def _default_client() -> Client:
    global _client
    if _client is None:
        with making:
            if _client is None:
                _client = Client()
    return _client
