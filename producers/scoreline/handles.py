"""The delivery of one score, for who wants to wait for it."""

from __future__ import annotations

from collections.abc import Generator
from concurrent.futures import Future

from scoreline.delivery import Acknowledgement
from scoreline.errors import KafkaUnavailable, ScorelineError


class Handle:
    """What becomes of one score. Also awaitable: `await handle` is its acknowledgement."""

    def __init__(self, score_id: str, timeout_s: float) -> None:
        """`timeout_s` bounds a wait that names no bound of its own."""
        self.score_id = score_id
        self._timeout_s = timeout_s
        self._future: Future[Acknowledgement] = Future()
        # so that a task that is cancelled while it awaits does not cancel what is told here
        self._future.set_running_or_notify_cancel()

    @property
    def acknowledged(self) -> bool:
        """Whether the broker has it. False also when that will never be: `wait` says."""
        return self._future.done() and self._future.exception() is None

    def wait(self, timeout_s: float | None = None) -> Acknowledgement:
        """Where the broker put the score, once it has. Blocks; not for an event loop.

        Raises KafkaUnavailable when that is not within `timeout_s` (the score is still being sent) or when it was left
        unsent; InvalidScore when it was refused.
        """
        limit_s = self._timeout_s if timeout_s is None else timeout_s
        try:
            return self._future.result(limit_s)
        except TimeoutError as error:
            raise self._late(limit_s) from error

    async def wait_async(self, timeout_s: float | None = None) -> Acknowledgement:
        """As `wait`, without blocking the event loop."""
        import asyncio

        limit_s = self._timeout_s if timeout_s is None else timeout_s
        try:
            return await asyncio.wait_for(asyncio.wrap_future(self._future), limit_s)
        except TimeoutError as error:
            raise self._late(limit_s) from error

    def __await__(self) -> Generator[object, None, Acknowledgement]:
        return self.wait_async().__await__()

    def settle(self, outcome: Acknowledgement | ScorelineError) -> None:
        """Called once, by the delivery."""
        if isinstance(outcome, Acknowledgement):
            self._future.set_result(outcome)
        else:
            self._future.set_exception(outcome)

    def _late(self, limit_s: float) -> KafkaUnavailable:
        return KafkaUnavailable(f"score {self.score_id!r} was not acknowledged within {limit_s:g} s; it is still sent")
