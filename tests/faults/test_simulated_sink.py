"""The sink's protocol under crashes at every step; `seeds` says how a failing seed is run again."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from tests.faults.seeds import first_caught, seeds, survive
from tests.faults.simulate_sink import (
    announce_over_what_is_open,
    believe_every_answer,
    end_what_lands_first,
    forget_the_generation,
    insert_before_planning,
    repeat_what_is_in_doubt,
    send_letters_before_the_end,
    simulate,
)

pytestmark = pytest.mark.usefixtures("one_core", "quiet")

SEEDS = 1200
CRASH_POINTS_MIN = 25


def test_sink_killed_at_any_step_stores_every_row_once() -> None:
    """Kills of sinks and of ClickHouse, zombies, lost answers, rebalances: each record is one row or one letter."""
    chosen = seeds(SEEDS)
    points = survive(simulate, chosen, "test_sink_killed")
    assert len(points) >= CRASH_POINTS_MIN or len(chosen) < SEEDS, sorted(points)


def test_sink_run_is_a_function_of_its_seed() -> None:
    """A seed that fails once fails again."""
    first, second = simulate(7), simulate(7)
    assert (first.steps, first.now, first.crash_points) == (second.steps, second.now, second.crash_points)


@pytest.mark.parametrize(
    "sabotage",
    [
        insert_before_planning,
        believe_every_answer,
        send_letters_before_the_end,
        repeat_what_is_in_doubt,
        announce_over_what_is_open,
        end_what_lands_first,
        forget_the_generation,
    ],
)
def test_broken_sink_protocol_is_caught(sabotage: Callable[[pytest.MonkeyPatch], None]) -> None:
    """The simulator can fail: each broken step is found within the seeds of the normal run."""
    assert first_caught(partial(simulate, sabotage=sabotage), simulate, range(SEEDS)) is not None
