"""Enriched records, as the worker writes them."""

from __future__ import annotations

import json
from typing import Any

_FIELDS: dict[str, Any] = {
    "project": "team",
    "name": "accuracy",
    "status": "ok",
    "error": None,
    "data_type": "NUMERIC",
    "value": 0.5,
    "label": None,
    "normalized": None,
    "config_id": None,
    "config_version": None,
    "target": "trace",
    "trace_id": "t-1",
    "observation_id": None,
    "session_id": None,
    "dataset_run_id": None,
    "comment": None,
    "metadata": {},
    "lookups": {},
    "timestamp": "2026-02-11T15:13:17Z",
    "source": "API",
    "evaluator_name": None,
    "evaluator_version": None,
    "evaluator_model": None,
    "author": None,
    "service": None,
    "environment": None,
    "release": None,
    "schema_version": 1,
    "received_at": "2026-02-11T15:13:18Z",
    "delay_s": 1.0,
    "late": False,
    "raw_partition": 0,
    "raw_offset": 0,
}


def enriched(score_id: str, **fields: Any) -> bytes:
    """The value of one record of `scores.enriched`."""
    return json.dumps({**_FIELDS, "score_id": score_id, **fields}).encode()
