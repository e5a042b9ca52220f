"""Which seeds a test of the simulators runs, and how one of them is run again.

    FAULTS_SEED=123 python -m pytest tests/faults -k <test> -s --log-cli-level=INFO

runs one seed alone and lets the product log; FAULTS_SEEDS=100000 runs as many, for a night.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Protocol, TypeVar

import pytest

from tests.faults.world import World


class Life(Protocol):
    """One seed's life of a simulator."""

    world: World

    def live(self) -> None:
        """Live it. Raises AssertionError, and what the product raises."""


L = TypeVar("L", bound=Life)


def live(
    life: L,
    models: Callable[[L], AbstractContextManager[pytest.MonkeyPatch]],
    judge: Callable[[L], None],
    sabotage: Callable[[pytest.MonkeyPatch], None],
) -> World:
    """Live it among its models and judge it; `sabotage` breaks the protocol. Raises as `Life.live`."""
    with models(life) as patch:
        sabotage(patch)
        try:
            life.live()
            judge(life)
        finally:
            life.world.close()
    return life.world


def seeds(count: int) -> range:
    """The seeds of a test that by itself runs `count`."""
    alone = os.environ.get("FAULTS_SEED")
    if alone is not None:
        return range(int(alone), int(alone) + 1)
    return range(int(os.environ.get("FAULTS_SEEDS", count)))


def survive(simulate: Callable[[int], World], chosen: Iterable[int], test: str) -> set[str]:
    """Run every seed; returns the points at which processes were killed. Fails with the seed that went wrong."""
    crash_points: set[str] = set()
    for seed in chosen:
        try:
            crash_points |= simulate(seed).crash_points
        except Exception as error:  # noqa: BLE001 (whatever it is, its seed is what is asked for)
            again = f"FAULTS_SEED={seed} python -m pytest tests/faults -k {test} -s --log-cli-level=INFO"
            pytest.fail(f"seed {seed}: {type(error).__name__}: {error}\nreplay: {again}")
    return crash_points


def first_caught(broken: Callable[[int], World], sound: Callable[[int], World], chosen: Iterable[int]) -> int | None:
    """The first seed that the broken protocol does not survive and the sound one does; None when there is none."""
    return next((seed for seed in chosen if not _survives(broken, seed) and _survives(sound, seed)), None)


def _survives(simulate: Callable[[int], World], seed: int) -> bool:
    try:
        simulate(seed)
    except Exception:  # noqa: BLE001 (as above)
        return False
    return True
