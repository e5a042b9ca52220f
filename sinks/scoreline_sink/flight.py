"""Work that runs beside the reading: one at a time, in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Flight:
    """The insert of a plan, or the recovery of plans, and what to commit once it has landed."""

    ends: Mapping[int, int]
    """Partition → the offset behind what the plan holds."""
    rows: int
    """Rows that it stores for the first time; 0 for a recovery."""
    cancelled: threading.Event = field(default_factory=threading.Event)
    outcome: Future[None] = field(default_factory=Future[None])

    def start(self, work: Callable[[threading.Event], None]) -> Flight:
        """Run `work` with the event that tells it to give up waiting for servers."""

        def run() -> None:
            try:
                work(self.cancelled)
            except BaseException as error:  # noqa: BLE001 (handed to whoever asks for the outcome)
                self.outcome.set_exception(error)
            else:
                self.outcome.set_result(None)

        # A daemon: a server that never answers must not keep the process from ending; the plan is settled by the next.
        threading.Thread(target=run, name="scoreline-insert", daemon=True).start()
        return self

    @property
    def over(self) -> bool:
        return self.outcome.done()

    def landed(self, within_s: float) -> bool:
        """Whether it is over within that time; raises what it raised."""
        wait_for([self.outcome], within_s)
        if not self.outcome.done():
            return False
        self.outcome.result()
        return True
