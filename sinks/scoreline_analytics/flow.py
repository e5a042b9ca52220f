"""`flow`: how many scores the pipeline stored in the last minutes, and how long each hop took."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from scoreline.errors import QueryError
from scoreline_analytics.clickhouse import Reader
from scoreline_analytics.results import Result, Row
from scoreline_analytics.statements import Parameters, moment_text

WINDOW = timedelta(minutes=5)
WINDOW_MAX = timedelta(days=1)
QUANTILES = (0.5, 0.9, 0.99)
_BACKLOG = timedelta(days=15)
"""A score cannot be inserted later than this after it was received: both topics have forgotten it then."""
_MOMENT = "DateTime64(6, 'UTC')"


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds; None where nothing was measured."""

    p50: float | None
    p90: float | None
    p99: float | None

    def row(self) -> Row:
        """As a mapping."""
        return {"p50": self.p50, "p90": self.p90, "p99": self.p99}


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow(Result):
    """What went through the pipeline from `since` to `until`."""

    since: datetime
    until: datetime
    n: int
    """Scores that were stored, failed ones too."""
    per_s: float
    rejected: int
    """Records that were rejected, and stored as such."""
    late: int
    """Of the n, those judged more than an hour before they were received, as an import's: they are in no latency that
    begins at the judgement."""
    to_kafka: Latency
    """From the judgement until the broker had the score."""
    to_row: Latency
    """From there until ClickHouse had it."""
    to_query: Latency
    """From the judgement until a query finds it."""

    @property
    def columns(self) -> tuple[str, ...]:
        return ("hop", "p50", "p90", "p99")

    def rows(self) -> list[Row]:
        return [{"hop": hop, **getattr(self, hop).row()} for hop in ("to_kafka", "to_row", "to_query")]


def flow(reader: Reader, window: timedelta, now: datetime) -> Flow:
    """Ask ClickHouse. Times are those of the machines that judged, of the broker and of ClickHouse: where their clocks
    differ, so do the latencies; what would be less than nothing is 0."""
    if not timedelta() < window <= WINDOW_MAX:
        raise QueryError(f"{window} is not within a second and {WINDOW_MAX}")
    now = now.astimezone(UTC)
    since = now - window
    parameters = Parameters()
    conditions = _conditions(reader, since, now, parameters)
    conditions += f" AND received_at >= {parameters.bind(moment_text(since - _BACKLOG), _MOMENT)}"
    quantiles = ", ".join(map(str, QUANTILES))
    [(n, late, *latencies)] = reader.rows(parameters.statement("flow", quantiles=quantiles, conditions=conditions))
    parameters = Parameters()
    conditions = _conditions(reader, since, now, parameters)
    conditions += f" AND rejected_at >= {parameters.bind(moment_text(since - _BACKLOG), _MOMENT)}"
    [(rejected,)] = reader.rows(parameters.statement("flow_rejected", conditions=conditions))
    to_kafka, to_row, to_query = (Latency(*map(_finite, values)) for values in latencies)
    return Flow(
        since=since,
        until=now,
        n=n,
        per_s=n / window.total_seconds(),
        rejected=rejected,
        late=late,
        to_kafka=to_kafka,
        to_row=to_row,
        to_query=to_query,
    )


def _conditions(reader: Reader, since: datetime, until: datetime, parameters: Parameters) -> str:
    bounds = (
        f"inserted_at {sign} {parameters.bind(moment_text(m), _MOMENT)}" for m, sign in ((since, ">="), (until, "<"))
    )
    conditions = list(bounds)
    if reader.projects is not None:
        conditions.append(f"project IN {parameters.bind(list(reader.projects), 'Array(String)')}")
    return " AND ".join(conditions)


def _finite(value: Any) -> float | None:
    """The quantiles of nothing are NaN."""
    return None if value is None or math.isnan(value) else float(value)
