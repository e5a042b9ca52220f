"""Records that releases wrote, byte for byte: what every later release has to read."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "payloads" / "golden"
TOPICS = ("raw", "enriched", "rejected", "configs", "lookups")


@dataclass(frozen=True)
class Golden:
    """One record's value, and of a rejected one key and headers too."""

    name: str
    value: bytes
    key: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = ()

    @property
    def fields(self) -> dict[str, Any]:
        return json.loads(self.value)


def releases() -> list[str]:
    """The releases that have records here, in the order of their versions."""
    return sorted(
        (folder.name for folder in FOLDER.iterdir() if folder.is_dir()),
        key=lambda name: [int(part) for part in name.split(".")],
    )


def golden(topic: str) -> list[Golden]:
    """The records of one topic, of every release."""
    files = [file for release in releases() for file in sorted((FOLDER / release / topic).glob("*.json"))]
    return [_read(file) for file in files]


def examples() -> dict[str, list[Any]]:
    """Topic → what the newest release wrote to it, as JSON; rejected records, which may be anything, are left out."""
    newest = releases()[-1]
    return {
        topic: [record.fields for record in golden(topic) if record.name.startswith(f"{newest}/")]
        for topic in TOPICS
        if topic != "rejected"
    }


def _read(file: Path) -> Golden:
    name = f"{file.parent.parent.name}/{file.parent.name}/{file.stem}"
    if file.parent.name != "rejected":
        return Golden(name, file.read_bytes())
    record = json.loads(file.read_text())
    headers = tuple((header, text.encode()) for header, text in record["headers"])
    return Golden(name, base64.b64decode(record["value_base64"]), record["key"].encode(), headers)
