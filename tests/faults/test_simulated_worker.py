"""The worker's protocol under crashes at every step; `seeds` says how a failing seed is run again."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from tests.faults.seeds import first_caught, seeds, survive
from tests.faults.simulate_worker import believe_own_offset, read_before_fencing, simulate

pytestmark = pytest.mark.usefixtures("one_core", "quiet")

SEEDS = 1500
CRASH_POINTS_MIN = 25


def test_worker_killed_at_any_step_loses_and_doubles_nothing() -> None:
    """Kills, zombies, lost answers, lost and old state, other batch bounds and configs: the output of a calm run."""
    chosen = seeds(SEEDS)
    points = survive(simulate, chosen, "test_worker_killed")
    assert len(points) >= CRASH_POINTS_MIN or len(chosen) < SEEDS, sorted(points)


def test_worker_run_is_a_function_of_its_seed() -> None:
    """A seed that fails once fails again."""
    first, second = simulate(7), simulate(7)
    assert (first.steps, first.now, first.crash_points) == (second.steps, second.now, second.crash_points)


@pytest.mark.parametrize("sabotage", [believe_own_offset, read_before_fencing])
def test_broken_worker_protocol_is_caught(sabotage: Callable[[pytest.MonkeyPatch], None]) -> None:
    """The simulator can fail: each broken step is found within the seeds of the normal run."""
    assert first_caught(partial(simulate, sabotage=sabotage), simulate, range(SEEDS)) is not None
