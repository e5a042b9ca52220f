"""Letters as tests need them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from scoreline.rejections import Origin, Reason, Rejection, Stage, rejection_headers
from scoreline_sink.dlq.letters import Entry, Letter, Reference
from scoreline_sink.rows import RejectedRecord

ARRIVED_MS = 1_790_000_000_000
"""2026-09-21T13:46:40Z: when every letter of a test arrived."""
NOW_MS = ARRIVED_MS + 3 * 24 * 60 * 60 * 1000


def score(**fields: Any) -> bytes:
    """The value of a raw record; a field that is None is left out."""
    whole = {"score_id": "s-1", "name": "accuracy", "value": 0.5, "trace_id": "t", "timestamp": "2026-09-21T13:00:00Z"}
    return json.dumps({name: item for name, item in (whole | fields).items() if item is not None}).encode()


def letter(
    value: bytes | None,
    *,
    key: bytes | None = b"default/s-1",
    reason: Reason = Reason.UNKNOWN_CONFIG,
    stage: Stage = Stage.VALIDATE,
    headers: tuple[tuple[str, bytes | None], ...] = (),
    arrived_ms: int = ARRIVED_MS,
) -> Letter:
    """The letter 2/77."""
    entry = Entry(
        Reference(2, 77), arrived_ms + 5, reason, "a detail", stage, "default", "s-1", "accuracy", "svc", None
    )
    return Letter(entry, key, value, headers, "scores.raw", 2, 1077, arrived_ms)


def with_headers(one: Letter, *headers: tuple[str, bytes | None]) -> Letter:
    """The letter with these headers of its own."""
    return replace(one, headers=headers)


def rejected(
    offset: int,
    *,
    partition: int = 0,
    at_ms: int | None = None,
    reason: Reason = Reason.NO_TARGET,
    detail: str = "one of trace_id, session_id or dataset_run_id is required",
    project: str = "default",
    value: bytes | None = None,
    **fields: Any,
) -> RejectedRecord:
    """A record of `scores.rejected`, a second after the one of the offset before."""
    made = score(score_id=f"s-{offset}", trace_id=None, project=project, **fields) if value is None else value
    origin = Origin("scores.raw", partition, 1000 + offset, ARRIVED_MS + offset * 1000)
    return RejectedRecord(
        partition,
        offset,
        ARRIVED_MS + offset * 1000 if at_ms is None else at_ms,
        f"{project}/s-{offset}".encode(),
        made,
        [("traceparent", b"00-a-b-01"), *rejection_headers(Rejection(reason, detail), origin)],
    )
