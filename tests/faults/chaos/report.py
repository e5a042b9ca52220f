"""What a campaign did and found: the content of build/chaos.json."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Report:
    """Filled while the campaign runs; `faults` by the account at its end."""

    seed: int
    seconds: float = 0.0
    broken: str | None = None
    """The protocol that was broken on purpose."""
    kills: Counter[str] = field(default_factory=Counter[str])
    """By component: `worker`, `sink`, `kafka`, `clickhouse`; those at named points among them."""
    points: Counter[str] = field(default_factory=Counter[str])
    """Kills by the named point at which they happened."""
    others: Counter[str] = field(default_factory=Counter[str])
    """Faults that are not a kill by themselves, by kind."""
    ends: Counter[str] = field(default_factory=Counter[str])
    """How processes ended that the campaign did not kill, as the supervisor saw it."""
    acknowledged: int = 0
    stored: int = 0
    duplicate: int = 0
    rejected: int = 0
    lost: int = 0
    double: int = 0
    faults: list[str] = field(default_factory=list[str])
    recoveries: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """By component: seconds from a kill until a score that Kafka received after it could be queried."""

    def document(self) -> dict[str, Any]:
        """As it is written: recovery times by their spread."""
        fields = vars(self) | {"kills_total": self.kills.total()}
        times: dict[str, list[float]] = fields.pop("recoveries")
        return fields | {"recovery_s": {name: spread(times[name]) for name in sorted(times)}}


def spread(times: list[float]) -> dict[str, float]:
    """Median, 95th percentile and largest of some seconds, and how many there are."""
    ordered = sorted(times)
    return {
        "kills": len(ordered),
        "p50": round(ordered[len(ordered) // 2], 2),
        "p95": round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))], 2),
        "max": round(ordered[-1], 2),
    }
