"""An asyncio loop that lives in a `World`: its clock is the world's, and waiting gives up the turn."""

from __future__ import annotations

import asyncio
import math
from asyncio.base_events import BaseEventLoop
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from tests.faults.world import Killed, World


class WorldLoop(BaseEventLoop):
    """Runs coroutines of one process; nothing reaches it from outside but futures of the world's tasks."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world
        self._selector = self
        self._ready: Any

    def time(self) -> float:
        return self._world.now

    def select(self, timeout: float | None) -> list[Any]:
        if timeout != 0:
            self._world.wait(lambda: bool(self._ready), math.inf if timeout is None else timeout)
        return []

    def _process_events(self, event_list: list[Any]) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        """The wait in `select` sees what was put into the loop."""


def run(world: World, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run `main()` in the task that calls; its tasks end with it, wherever they stand."""
    loop = WorldLoop(world)
    loop.set_exception_handler(lambda _loop, context: _unhandled(world, context))
    try:
        loop.run_until_complete(main())
    finally:
        for task in asyncio.all_tasks(loop):
            task.get_coro().close()  # type: ignore[union-attr]
        loop.close()


def _unhandled(world: World, context: Mapping[str, Any]) -> None:
    """A task that was killed in the middle is no news; an error that nobody looked at is."""
    error = context.get("exception")
    if error is not None and not isinstance(error, Killed):
        world.fail(error)
