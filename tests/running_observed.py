"""The whole pipeline of a test with all that tells about it: metrics, health, logs."""

from __future__ import annotations

from dataclasses import dataclass

import httpx
from prometheus_client.parser import text_string_to_metric_families

from scoreline.settings import Settings
from tests.conftest import Stack
from tests.support import Running, eventually

PROCESSES = ("worker", "sink", "gateway", "ui")
SEEN_S = 40.0
"""Longest time from an outage to the answer that tells of it."""


@dataclass(frozen=True)
class Observed:
    """The running processes of a pipeline, by name, and where each tells about itself."""

    settings: Settings
    processes: dict[str, Running]
    ports: dict[str, int]
    stack: Stack

    def ask(self, name: str, path: str) -> int | None:
        """Status of an answer; None without one."""
        try:
            return httpx.get(f"http://127.0.0.1:{self.ports[name]}{path}", timeout=2).status_code
        except httpx.TransportError:
            return None

    def states(self, path: str) -> dict[str, int | None]:
        return {name: self.ask(name, path) for name in PROCESSES}

    def await_states(self, path: str, *away: str, status: int | None = 503) -> None:
        """Return once exactly these answer `status`, the others 200."""
        wanted = {name: status if name in away else 200 for name in PROCESSES}
        eventually(lambda: self.states(path) == wanted, f"{path}: {away} {status}", SEEN_S)

    def lacks(self, name: str) -> dict[str, str]:
        return httpx.get(f"http://127.0.0.1:{self.ports[name]}/readyz").json()["lacks"]

    def value(self, name: str, metric: str, **labels: str) -> float:
        """Sum of a metric's series that have these labels."""
        text = httpx.get(f"http://127.0.0.1:{self.ports[name]}/metrics").text
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == metric and labels.items() <= sample.labels.items()
        )
