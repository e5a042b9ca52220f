"""A score's fields as the record that is sent, judged by the function that the worker will use."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from scoreline.errors import InvalidScore
from scoreline.events import ScoreEvent
from scoreline.rejections import Reason, Rejection
from scoreline.topics import record_key
from scoreline.validation import check

_to_json = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def prepare(fields: Mapping[str, Any], now_ms: int) -> tuple[ScoreEvent, bytes]:
    """An event's fields as parsed event and record, after the same checks that the worker makes.

    Raises InvalidScore.
    """
    try:
        record = _to_json(fields).encode()
        key = record_key(str(fields.get("project", "default")), str(fields.get("score_id", "")))
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidScore(Rejection(Reason.INVALID_VALUE, f"cannot be written as JSON: {error}")) from error
    event = check(record, key, now_ms)
    if isinstance(event, Rejection):
        raise InvalidScore(event)
    return event, record
