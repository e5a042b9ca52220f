"""One record of `scores.enriched` or `scores.rejected` as a person reads it, and as JSON: pure functions."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from scoreline.commands.terminal import printable
from scoreline.enriched import EnrichedScore, decode_enriched
from scoreline.events import Status
from scoreline.rejections import PREFIX, Headers

REJECTED_FIELDS = frozenset(
    {"reason", "detail", "stage", "topic", "partition", "offset", "timestamp", "truncated_from", "key", "value"}
)
"""Fields of a rejected record's JSON."""


@dataclass(frozen=True, slots=True)
class Line:
    """A record to show."""

    project: str | None
    name: str | None
    """None where a rejected record does not tell it."""
    parts: tuple[tuple[str, str], ...]
    """Text and its rich style, in the order of reading."""
    json: bytes
    """The record as one line of JSON."""

    def __str__(self) -> str:
        return "  ".join(text for text, _ in self.parts)


def enriched_line(value: bytes) -> Line:
    """A record of `scores.enriched`; its JSON is the record itself. Raises MalformedRecord."""
    score = decode_enriched(value)
    parts = _shown(
        (score.timestamp.strftime("%Y-%m-%d %H:%M:%S"), "dim"),
        (score.name, "bold"),
        (_value(score), "cyan"),
        (_targets(score), ""),
        (f"{score.project}/{score.score_id}", "dim"),
        (score.comment or "", "italic"),
    )
    return Line(score.project, score.name, parts, value)


def rejected_line(key: bytes | None, value: bytes | None, headers: Headers) -> Line:
    """A record of `scores.rejected`: why and where it was rejected, its JSON with the original key and value.

    Bytes that are no UTF-8 stand in the JSON as `key_base64` and `value_base64`.
    """
    why = {
        name.removeprefix(PREFIX): text.decode(errors="replace") for name, text in headers if name.startswith(PREFIX)
    }
    fields = _object(value)
    name = fields.get("name")
    project = fields.get("project") or (key or b"").partition(b"/")[0].decode(errors="replace")
    at = datetime.fromtimestamp(int(why.get("timestamp", "0")) / 1000, UTC)
    parts = _shown(
        (at.strftime("%Y-%m-%d %H:%M:%S"), "dim"),
        (why.get("reason", "?"), "bold red"),
        (why.get("detail", ""), ""),
        ((key or b"").decode(errors="replace"), "dim"),
        (f"{why.get('topic')}[{why.get('partition')}]@{why.get('offset')}", "dim"),
    )
    record = {**why, **_text_or_base64("key", key), **_text_or_base64("value", value)}
    for number in ("partition", "offset", "timestamp"):
        if number in record:
            record[number] = int(record[number])
    return Line(
        project if isinstance(project, str) else None,
        name if isinstance(name, str) else None,
        parts,
        json.dumps(record, ensure_ascii=False).encode(),
    )


def _value(score: EnrichedScore) -> str:
    if score.status is Status.FAILED:
        return f"failed: {score.error}"
    if score.label is None:
        return str(score.value)
    return score.label if score.value is None or score.label in ("true", "false") else f"{score.label} ({score.value})"


def _targets(score: EnrichedScore) -> str:
    targets = {
        "trace": score.trace_id,
        "observation": score.observation_id,
        "session": score.session_id,
        "run": score.dataset_run_id,
    }
    return " ".join(f"{kind}={target}" for kind, target in targets.items() if target is not None)


def _shown(*parts: tuple[str, str]) -> tuple[tuple[str, str], ...]:
    """Parts that are not empty, on one line and without what a terminal would obey."""
    return tuple((" ".join(printable(text).split()), style) for text, style in parts if text)


def _object(value: bytes | None) -> dict[str, Any]:
    """What a rejected record says of itself; nothing where it is no JSON object."""
    try:
        parsed = json.loads(value or b"")
    except (ValueError, RecursionError):
        return {}
    return parsed if isinstance(parsed, dict) else {}  # pyright: ignore[reportUnknownVariableType]


def _text_or_base64(field: str, value: bytes | None) -> dict[str, Any]:
    if value is None:
        return {field: None}
    try:
        return {field: value.decode()}
    except UnicodeDecodeError:
        return {f"{field}_base64": base64.b64encode(value).decode()}
