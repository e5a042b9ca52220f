"""A running gateway of a test, with a key, and what a test asks of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psutil

from scoreline.kafka import ensure_topics
from scoreline.keys import NewKey, Scope, new_key
from scoreline.settings import Settings
from scoreline.stores import KeyStore
from scoreline.topics import declare_topics
from scoreline_local.ports import pick_free
from tests.support import Running, read_topic

PROJECT = "checkout"
SCORE = {"name": "accuracy", "value": 0.92, "trace_id": "t-1"}


@dataclass(frozen=True)
class Gateway:
    """A gateway process, ready, and a key of project `checkout` that may do everything."""

    settings: Settings
    process: Running
    key: NewKey

    @property
    def port(self) -> int:
        return self.settings.gateway_port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def peak_mb(self) -> float:
        """The most memory that the process has had resident so far."""
        status = Path(f"/proc/{self.process.process.pid}/status")
        if not status.exists():
            return psutil.Process(self.process.process.pid).memory_info().rss / 2**20
        [line] = [line for line in status.read_text().splitlines() if line.startswith("VmHWM:")]
        return int(line.split()[1]) / 1024

    def post(self, content: Any, path: str = "/v1/scores", timeout_s: float = 30.0, **headers: str) -> httpx.Response:
        """Send bytes as they are, and everything else as JSON; underscores in header names stand for hyphens."""
        sent = {"x-api-key": self.key.secret_key, "content-type": "application/json"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        return httpx.post(self.url + path, content=body, headers=sent, timeout=timeout_s)

    def records(self) -> list[dict[str, Any]]:
        """What is on the raw topic now."""
        raw = declare_topics(self.settings).raw.name
        return [json.loads(message.value() or b"") for message in read_topic(self.settings, raw)]


def make_key(settings: Settings, *scopes: Scope, project: str = PROJECT, rate: float | None = None) -> NewKey:
    """A stored key; with every scope if none is named."""
    made = new_key(project, scopes or tuple(Scope), rate, datetime.now(UTC))
    KeyStore(settings).add(made.entry)
    return made


@contextmanager
def running_gateway(settings: Settings, folder: Path, **changed: Any) -> Iterator[Gateway]:
    """A gateway with topics and a key, on a free port, with settings of its own; killed at the end at the latest."""
    ensure_topics(settings)
    (port,) = pick_free(1)
    settings = settings.model_copy(update={"gateway_port": port, **changed})
    key = make_key(settings)
    with Running(settings, folder, "gateway") as process:
        yield Gateway(settings, process.await_ready(), key)
