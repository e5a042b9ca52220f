"""A letter: one record of `scores.rejected` as `rejected_scores` holds it."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from scoreline.dead_letters import TRUNCATED_HEADER
from scoreline.errors import QueryError
from scoreline.rejections import PREFIX
from scoreline.remedies import field_of

HISTORY_HEADER = PREFIX + "replay_of"
"""Added by each replay: the letter that this record is a replay of. As many of them, so often was it replayed."""

_REFERENCE = re.compile(r"(\d{1,5})/(\d{1,19})")


class Reference(NamedTuple):
    """Partition and offset of the letter in `scores.rejected`."""

    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.partition}/{self.offset}"


def reference_of(text: str) -> Reference:
    """The letter that `PARTITION/OFFSET` names. Raises QueryError."""
    match = _REFERENCE.fullmatch(text)
    if match is None or int(match[1]) > 65535:
        raise QueryError(
            f"{text!r} names no letter: give PARTITION/OFFSET in scores.rejected, as `scoreline dlq list` shows it"
        )
    return Reference(int(match[1]), int(match[2]))


class Handled(NamedTuple):
    """What was done about a letter, by whom, and why."""

    action: str
    at_ms: int
    by: str
    why: str

    def fields(self) -> dict[str, str]:
        """As JSON has it."""
        return {"action": self.action, "at": iso(self.at_ms), "by": self.by, "why": self.why}


class Entry(NamedTuple):
    """A letter as `list` shows it: everything but its bytes. Times are Unix milliseconds."""

    reference: Reference
    rejected_at_ms: int
    reason: str
    detail: str
    stage: str
    project: str
    score_id: str
    name: str
    service: str
    handled: Handled | None

    def fields(self) -> dict[str, Any]:
        """The letter as JSON has it."""
        return {
            "letter": str(self.reference),
            "rejected_at": iso(self.rejected_at_ms),
            "reason": self.reason,
            "detail": self.detail,
            "field": field_of(self.reason, self.detail),
            "stage": self.stage,
            "project": self.project,
            "score_id": self.score_id,
            "name": self.name,
            "service": self.service,
            "handled": None if self.handled is None else self.handled.fields(),
        }


@dataclass(frozen=True, slots=True)
class Letter:
    """A letter with its original bytes and where the raw record was."""

    entry: Entry
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    """The record's own, in order."""
    raw_topic: str
    """Empty where the letter does not say."""
    raw_partition: int
    raw_offset: int
    raw_timestamp_ms: int
    """When the raw record arrived; 0 where the letter does not say."""

    @property
    def history(self) -> tuple[str, ...]:
        """The letters that this record was replayed from, the first one first."""
        return tuple(text(content) for name, content in self.headers if name == HISTORY_HEADER)

    @property
    def is_truncated(self) -> bool:
        return any(name == TRUNCATED_HEADER for name, _ in self.headers)

    def fields(self) -> dict[str, Any]:
        """The letter as JSON has it; bytes that are no UTF-8 stand under `…_base64`."""
        return {
            **self.entry.fields(),
            "raw": {
                "topic": self.raw_topic,
                "partition": self.raw_partition,
                "offset": self.raw_offset,
                "timestamp": iso(self.raw_timestamp_ms),
            },
            "replay_of": list(self.history),
            **_text_or_base64("key", self.key),
            **_text_or_base64("value", self.value),
            "headers": [{"name": name, **_text_or_base64("value", content)} for name, content in self.headers],
        }


def iso(milliseconds: int) -> str:
    """RFC 3339 in UTC."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def text(value: bytes | None) -> str:
    """Bytes as text, whatever they are."""
    return (value or b"").decode("utf-8", "replace")


def _text_or_base64(field: str, value: bytes | None) -> dict[str, str | None]:
    if value is None:
        return {field: None}
    try:
        return {field: value.decode()}
    except UnicodeDecodeError:
        return {f"{field}_base64": base64.b64encode(value).decode()}


def references_of(texts: Sequence[str]) -> tuple[Reference, ...]:
    """As `reference_of`, of each once."""
    return tuple(dict.fromkeys(map(reference_of, texts)))
