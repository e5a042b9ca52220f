"""Every kind of fault: how often, and what is done.

A kind returns whether it could do anything now. None waits for the pipeline to recover, unless it measures that.
"""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from tests.faults.chaos.arena import Victim, await_death
from tests.faults.chaos.oracle import run
from tests.faults.chaos.points import AT_START, SINK_POINTS, WORKER_POINTS
from tests.faults.chaos.proxy import END_TXN, OFFSET_COMMIT, Disturbance, How
from tests.faults.chaos.scene import ANSWER_S_MAX, Scene

MEASURED = 0.25
"""Share of the kills whose recovery is waited for and measured."""
FREEZE_S = (2.0, 8.0)
ZOMBIE_S = (22.0, 27.0)
"""Longer than the session timeout of worker and sink: a successor takes over meanwhile."""
STALL_S = 30.0
DISK_FULL_S = (2.0, 8.0)
ANSWER_HELD_S = (0.5, 12.0)
"""Up to longer than the timeout of a single call."""
REQUEST_LATE_S = (0.02, 1.0)
"""So late that it meets the sender's next transactions."""
CREW_S = (6.0, 20.0)
POINT_S_MAX = 15.0
PAUSE_S = (0.2, 1.2)
NEXT_TRY_S = 0.5
SHORT_S = 60.0
TABLES = ("scores", "rejected_scores")
BEFORE_RECOVERY = ("planned", "half_sent", "sent", "inserted")
"""Steps after which the next life of a sink has a plan to settle."""


@dataclass(frozen=True)
class Kind:
    """One kind of fault."""

    weight: int
    """How often in a deck."""
    strike: Callable[[Scene], bool]
    seconds_min: float = 0.0
    """Shorter campaigns leave it out."""


def _kill(component: str, scene: Scene) -> bool:
    measured = scene.is_measured(MEASURED)
    victim = scene.choose(component)
    if victim is None:
        return False
    at = scene.kill(victim)
    if measured:
        scene.await_recovery(component, at)
    return True


def _point(points: tuple[str, ...], scene: Scene) -> bool:
    """Arm a named point of a worker or sink; it is reached within a moment, or disarmed."""
    measured = scene.is_measured(MEASURED)
    point = scene.chance.choice(points)
    victim = scene.choose(point.partition(".")[0])
    triggers = scene.arena.triggers
    if victim is None or triggers.is_armed(victim.name):
        return False
    before = len(triggers.hits())
    lane, _, step = point.rpartition(".")
    path = (f"{lane}.{scene.chance.choice(BEFORE_RECOVERY)}", point) if step == "recovering" else (point,)
    triggers.arm(victim.name, *path)
    scene.later(POINT_S_MAX, partial(triggers.disarm, victim.name))
    if point in AT_START:
        scene.kill(victim)
    if measured and scene.until(lambda: len(triggers.hits()) >= before + len(path), POINT_S_MAX):
        scene.await_recovery(victim.component, triggers.hits()[-1].at)
    return True


def _freeze(scene: Scene) -> bool:
    victim = scene.choose(scene.chance.choice(("worker", "sink", "kafka", "clickhouse")))
    if victim is None:
        return False
    scene.report.others[f"freeze {victim.component}"] += 1
    scene.freeze(victim, scene.chance.uniform(*FREEZE_S))
    return True


def _zombie(component: str, scene: Scene) -> bool:
    """Stopped for longer than its session, beside another that takes over, and resumed."""
    victim = scene.choose(component)
    if victim is None or not _hire(component, ZOMBIE_S[1] + CREW_S[0], scene):
        return False
    scene.report.others[f"zombie {component}"] += 1
    scene.freeze(victim, scene.chance.uniform(*ZOMBIE_S))
    return True


def _scale(component: str, scene: Scene) -> bool:
    """One or two more for a while."""
    hired = [_hire(component, scene.chance.uniform(*CREW_S), scene) for _ in range(scene.chance.choice((1, 2, 2)))]
    return any(hired)


def _hire(component: str, seconds: float, scene: Scene) -> bool:
    """One more, let go by SIGTERM or kill -9; False when there are enough."""
    static, number = scene.chance.random() < 0.5, scene.chance.choice((signal.SIGTERM, signal.SIGKILL))
    name = scene.arena.crew.hire(scene.arena.spec(component), static=static)
    if name is None:
        return False
    scene.report.others[f"scale {component}"] += 1
    scene.note(f"{name} started, {number.name} in {seconds:.1f} s")
    scene.later(seconds, partial(_let_go, scene, name, number))
    return True


def _let_go(scene: Scene, name: str, number: signal.Signals) -> None:
    if number is signal.SIGKILL:
        scene.report.kills[name.partition("-")[0]] += 1
    scene.arena.crew.dismiss(name, number)


def _answer(api: int, hows: tuple[How, ...], held_s: tuple[float, float], scene: Scene) -> bool:
    """The next commit loses its answer or gets it late, or the request is lost or late."""
    scene.arena.proxy.disturb(Disturbance(api, scene.chance.choice(hows), scene.chance.uniform(*held_s)))
    return True


def _stall(scene: Scene) -> bool:
    """One broker does not answer for longer than every timeout of its clients."""
    victim = scene.choose("kafka")
    if victim is None or len(scene.arena.brokers) < 3:
        return False
    scene.report.others["stall of a broker"] += 1
    scene.freeze(victim, STALL_S)
    return True


def _stall_all(scene: Scene) -> bool:
    if scene.choose("kafka") is None:
        return False
    scene.report.others["stall of all brokers"] += 1
    for victim in scene.arena.victims():
        if victim.component == "kafka":
            scene.freeze(victim, STALL_S)
    scene.pause(STALL_S)
    return True


def _two_brokers(scene: Scene) -> bool:
    """Two of three leaders at once: nothing can be committed until one is back."""
    first = scene.choose("kafka")
    if first is None or len(scene.arena.brokers) < 3:
        return False
    rest = [v for v in scene.arena.victims() if v.component == "kafka" and v != first]
    scene.report.others["two of three brokers"] += 1
    scene.kill(first)
    scene.kill(scene.chance.choice(rest))
    return True


def _disk_full(scene: Scene) -> bool:
    """No table of ClickHouse takes an insert for a while: what is free on its disk is too little for it."""
    settings = scene.arena.settings
    full = f"MODIFY SETTING min_free_disk_bytes_to_perform_insert = {2**62}"
    if not all(run(settings, f"ALTER TABLE {table} {full}", ANSWER_S_MAX) for table in TABLES):
        return False
    scene.report.others["disk full"] += 1

    def lift() -> None:
        lifted = "RESET SETTING min_free_disk_bytes_to_perform_insert"
        if not all(run(settings, f"ALTER TABLE {table} {lifted}", ANSWER_S_MAX) for table in TABLES):
            scene.later(NEXT_TRY_S, lift)

    scene.later(scene.chance.uniform(*DISK_FULL_S), lift)
    return True


def _state_lost(scene: Scene) -> bool:
    """The worker of the stack is killed and finds its state directory empty."""
    victim = _stack_worker(scene)
    if victim is None:
        return False
    scene.report.others["state lost"] += 1
    scene.kill(victim)
    await_death(victim.pid)
    shutil.rmtree(scene.arena.data.worker_state)
    return True


def _state_rolled_back(scene: Scene) -> bool:
    """The worker of the stack is killed and its state is kept; the next time it finds that one again."""
    victim, state = _stack_worker(scene), scene.arena.data.worker_state
    if victim is None:
        return False
    kept, current = scene.arena.folder / "parts" / "state-kept", scene.arena.folder / "parts" / "state-replaced"
    scene.kill(victim)
    await_death(victim.pid)
    if not kept.exists():
        shutil.copytree(state, kept)
        return True
    scene.report.others["state rolled back"] += 1
    state.rename(current)
    kept.rename(state)
    shutil.rmtree(current)
    return True


def _stack_worker(scene: Scene) -> Victim | None:
    return next((victim for victim in scene.arena.victims() if victim.name == "worker"), None)


def _pair(one: str, other: str, scene: Scene) -> bool:
    """Two at once."""
    first, second = scene.choose(one), scene.choose(other)
    if first is None or second is None:
        return False
    scene.report.others[f"{one} and {other} at once"] += 1
    scene.kill(first)
    scene.kill(second)
    return True


_CUTS = (How.ANSWER_CUT, How.ANSWER_CUT, How.ANSWER_HELD, How.REQUEST_CUT)

KINDS: dict[str, Kind] = {
    "kill worker": Kind(6, partial(_kill, "worker")),
    "kill sink": Kind(6, partial(_kill, "sink")),
    "kill clickhouse": Kind(6, partial(_kill, "clickhouse")),
    "kill broker": Kind(4, partial(_kill, "kafka")),
    "worker at a point": Kind(12, partial(_point, WORKER_POINTS)),
    "sink at a point": Kind(14, partial(_point, SINK_POINTS)),
    "freeze": Kind(4, _freeze),
    "scale worker": Kind(2, partial(_scale, "worker")),
    "scale sink": Kind(2, partial(_scale, "sink")),
    "EndTxn": Kind(5, partial(_answer, END_TXN, _CUTS, ANSWER_HELD_S)),
    "late EndTxn": Kind(3, partial(_answer, END_TXN, (How.REQUEST_LATE,), REQUEST_LATE_S)),
    "OffsetCommit": Kind(3, partial(_answer, OFFSET_COMMIT, _CUTS, ANSWER_HELD_S)),
    "disk full": Kind(2, _disk_full),
    "state lost": Kind(3, _state_lost),
    "state rolled back": Kind(4, _state_rolled_back, 60.0),
    "worker and sink": Kind(3, partial(_pair, "worker", "sink")),
    "broker and worker": Kind(2, partial(_pair, "kafka", "worker")),
    "zombie worker": Kind(1, partial(_zombie, "worker"), 120.0),
    "zombie sink": Kind(1, partial(_zombie, "sink"), 120.0),
    "stall": Kind(1, _stall, 120.0),
    "two brokers": Kind(1, _two_brokers, 120.0),
    "stall all": Kind(1, _stall_all, 600.0),
}


def deal(scene: Scene, names: tuple[str, ...], seconds: float) -> list[str]:
    """A shuffled deck: each kind as often as its weight, in a short campaign once; none is left out by bad luck."""
    fit = [name for name in names if KINDS[name].seconds_min <= seconds]
    deck = [name for name in fit for _ in range(KINDS[name].weight if seconds > SHORT_S else 1)]
    scene.chance.shuffle(deck)
    return deck
