"""One campaign from the start of its stack to the account."""

from __future__ import annotations

import json
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scoreline_local.recipe import Brokers
from tests.faults.chaos.arena import Arena
from tests.faults.chaos.emitter import Emitter
from tests.faults.chaos.kinds import KINDS, PAUSE_S, deal
from tests.faults.chaos.oracle import judge
from tests.faults.chaos.report import Report
from tests.faults.chaos.scene import Scene, Stuck

PROGRESS_KILLS = 20
REST_S_MAX = 120.0
NOTHING_S = 0.2


@dataclass(frozen=True)
class Bounds:
    """How long a campaign goes on."""

    seconds: float
    enough: Callable[[Report], bool] = lambda _: False
    """Ends it earlier."""


def run(
    seed: int,
    bounds: Bounds,
    folder: Path,
    say: Callable[[str], None],
    *,
    brokers: Brokers = 3,
    kinds: tuple[str, ...] = tuple(KINDS),
    broken: str | None = None,
) -> Report:
    """Faults of these kinds on a stack of its own under load, then the account."""
    report = Report(seed, broken=broken)
    with (
        Arena(folder, brokers, broken, say) as arena,
        Emitter(arena.settings, arena.folder / "parts" / "emitter.log") as emitter,
    ):
        scene = Scene(arena, report, random.Random(seed))
        started = time.monotonic()
        try:
            _strike(scene, bounds, kinds, emitter, say)
        except KeyboardInterrupt:
            say("interrupted: what happened so far is accounted for; Ctrl-C again stops at once")
        except Stuck as stuck:
            report.faults.append(str(stuck))
        report.seconds = round(time.monotonic() - started, 1)
        ledger = emitter.finish()
        scene.undo_all()
        arena.crew.dismiss_all(signal.SIGTERM)
        if not scene.until(arena.is_whole, REST_S_MAX):
            report.faults.append(f"not ready {REST_S_MAX:.0f} s after the last fault: ready are {arena.victims()}")
        say(f"{report.kills.total()} kills in {report.seconds:.0f} s; accounting for {ledger.calls} events")
        judge(report, ledger, arena.settings)
        report.others += arena.proxy.done
        report.ends = arena.ends()
    return report


def _strike(scene: Scene, bounds: Bounds, kinds: tuple[str, ...], emitter: Emitter, say: Callable[[str], None]) -> None:
    report, started, said = scene.report, time.monotonic(), 0
    deck: list[str] = []

    while (elapsed := time.monotonic() - started) < bounds.seconds:
        if bounds.enough(report):
            return
        assert emitter.lives, "the emitter ended"
        deck = deck or deal(scene, kinds, bounds.seconds)
        began = time.monotonic()
        if KINDS[deck[-1]].strike(scene):
            scene.note(f"{deck.pop()}, {time.monotonic() - began:.1f} s")
            scene.pause(scene.chance.uniform(*PAUSE_S))
        else:
            # not now: the next one of the deck first
            deck.insert(0, deck.pop())
            scene.pause(NOTHING_S)
        if report.kills.total() >= said + PROGRESS_KILLS:
            said = report.kills.total()
            counts = ", ".join(f"{name} {count}" for name, count in sorted(report.kills.items()))
            say(f"{elapsed:5.0f} s: {said} kills ({counts}), {said / elapsed * 60:.1f} a minute")


def write(report: Report, path: Path) -> str:
    """Write build/chaos.json; returns the text."""
    document: dict[str, Any] = report.document()
    text = json.dumps(document, indent=2)
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return text
