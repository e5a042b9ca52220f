"""The payload files that every judging stage is tested with."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from scoreline.rejections import Reason
from scoreline.topics import record_key

FOLDER = Path(__file__).parent / "payloads"
RECEIVED_MS = int(datetime(2026, 2, 1, 12, tzinfo=UTC).timestamp() * 1000)


@dataclass(frozen=True)
class Payload:
    """One record, and the reason it is rejected with; None: valid."""

    name: str
    value: bytes
    reason: Reason | None

    @property
    def key(self) -> bytes:
        try:
            fields = json.loads(self.value)
            return record_key(str(fields.get("project", "default")), str(fields["score_id"]))
        except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
            return b"default/s-1"


def valid_payloads() -> list[Payload]:
    return [Payload(path.stem, path.read_bytes(), None) for path in sorted((FOLDER / "valid").glob("*.json"))]


def invalid_payloads() -> list[Payload]:
    return [
        Payload(f"{path.parent.name}/{path.stem}", path.read_bytes(), Reason(path.parent.name))
        for path in sorted((FOLDER / "invalid").glob("*/*.json"))
    ]
