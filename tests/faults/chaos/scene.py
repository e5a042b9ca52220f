"""What the kinds of faults share: whom to hit, what has to be undone later, waiting while others go on."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.faults.chaos.arena import Arena, Victim, send
from tests.faults.chaos.oracle import ask
from tests.faults.chaos.report import Report

TICK_S = 0.05
FRESH_S = 3.0
CALM_S_MAX = 10.0
RECOVERY_S_MAX = 180.0
UNDO_S_MAX = 60.0
ANSWER_S_MAX = 3
"""Of ClickHouse, while others wait for their turn: it may be frozen, and only a turn wakes it."""
_NEWEST = "SELECT min(at), count() FROM (SELECT max(received_at) at FROM scores GROUP BY raw_partition)"


class Stuck(Exception):
    """The pipeline did not recover."""


@dataclass
class Scene:
    """One campaign while it runs."""

    arena: Arena
    report: Report
    chance: random.Random
    _undos: list[tuple[float, Callable[[], None]]] = field(default_factory=list[tuple[float, Callable[[], None]]])
    _hits_seen: int = 0
    _recovered_until: float = 0.0

    def note(self, what: str) -> None:
        """One line of the campaign's diary, beside the logs of the processes."""
        with (self.arena.folder / "parts" / "faults.log").open("a") as diary:
            diary.write(f"{time.strftime('%H:%M:%S')} {what}\n")

    def choose(self, component: str) -> Victim | None:
        """One of this component that is ready; None when there is none, or no broker to spare."""
        victims = self.arena.victims()
        if component == "kafka" and len([v for v in victims if v.component == "kafka"]) < len(self.arena.brokers):
            return None
        candidates = [victim for victim in victims if victim.component == component]
        return self.chance.choice(candidates) if candidates else None

    def kill(self, victim: Victim) -> float:
        """kill -9, counted; returns when, Unix seconds."""
        at = time.time()
        if send(victim.pid, signal.SIGKILL):
            self.report.kills[victim.component] += 1
            self.note(f"kill -9 {victim.name}")
        return at

    def freeze(self, victim: Victim, seconds: float) -> None:
        """SIGSTOP now, SIGCONT later."""
        self.arena.frozen.add(victim.name)
        self.note(f"SIGSTOP {victim.name} for {seconds:.1f} s")
        send(victim.pid, signal.SIGSTOP)

        def resume() -> None:
            send(victim.pid, signal.SIGCONT)
            self.arena.frozen.discard(victim.name)

        self.later(seconds, resume)

    def later(self, seconds: float, undo: Callable[[], None]) -> None:
        """Do this in so many seconds, or at the end."""
        self._undos.append((time.monotonic() + seconds, undo))

    def undo_all(self) -> None:
        """Undo what is left, now."""
        self._undos = [(0.0, undo) for _, undo in self._undos]
        if not self.until(lambda: not self._undos, UNDO_S_MAX):
            raise Stuck(f"faults are not undone within {UNDO_S_MAX:.0f} s")

    def tend(self) -> None:
        """What has to go on meanwhile: undo what is due, start crew that died, count who died at a point."""
        now = time.monotonic()
        due = [undo for at, undo in self._undos if at <= now]
        self._undos = [(at, undo) for at, undo in self._undos if at > now]
        for undo in due:
            undo()
        self.arena.crew.tend()
        hits = self.arena.triggers.hits()
        for hit in hits[self._hits_seen :]:
            self.report.points[hit.point] += 1
            self.note(f"{hit.process} died at {hit.point}")
            self.report.kills[hit.process.partition("-")[0]] += 1
        self._hits_seen = len(hits)

    def pause(self, seconds: float) -> None:
        self.until(lambda: False, seconds)

    def until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Whether this came true within so many seconds."""
        deadline = time.monotonic() + seconds
        while True:
            self.tend()
            if condition():
                return True
            if time.monotonic() >= deadline:
                return False
            time.sleep(TICK_S)

    def is_measured(self, share: float) -> bool:
        """Whether to measure the next kill; if so, everything is at rest now."""
        if self.chance.random() >= share or self.arena.frozen or self.arena.crew.members:
            return False
        return self.until(self._is_calm, CALM_S_MAX)

    def await_recovery(self, component: str, since: float) -> None:
        """Note the seconds until every partition has a score as a row that Kafka received after `since`.

        Raises Stuck when that does not come.
        """
        if not self.until(lambda: self._newest() > since, RECOVERY_S_MAX):
            raise Stuck(f"nothing moved for {RECOVERY_S_MAX:.0f} s after a kill of {component}")
        self.report.recoveries[component].append(time.time() - since)
        self.note(f"recovered from {component} after {time.time() - since:.1f} s")

    def _is_calm(self) -> bool:
        return not self.arena.frozen and self.arena.is_whole() and time.time() - self._newest() < FRESH_S

    def _newest(self) -> float:
        """When the newest score was received, Unix seconds, of the partition that is furthest behind."""
        try:
            [(newest, partitions)] = ask(self.arena.settings, _NEWEST, ANSWER_S_MAX)
        except Exception:  # noqa: BLE001 (ClickHouse is among the victims)
            return 0.0
        return _unix(newest) if partitions == self.arena.settings.partitions else 0.0


def _unix(at: Any) -> float:
    return at.timestamp()
