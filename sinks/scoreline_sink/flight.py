"""Work that runs beside the reading, each in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from scoreline_sink.letters import Letter
from scoreline_sink.plan import Plan

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Work(Generic[T]):
    """A call in a thread of its own."""

    cancelled: threading.Event = field(default_factory=threading.Event)
    """Tells it to give up waiting for servers."""
    outcome: Future[T] = field(default_factory=Future[T])

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


def begin(call: Callable[[threading.Event], T]) -> Work[T]:
    """Run `call` in a thread; it gets the event that tells it to give up."""
    work: Work[T] = Work()

    def run() -> None:
        try:
            result = call(work.cancelled)
        except BaseException as error:  # noqa: BLE001 (handed to whoever asks for the outcome)
            work.outcome.set_exception(error)
        else:
            work.outcome.set_result(result)

    # A daemon: a server that never answers must not keep the process from ending; the plan is settled by the next.
    threading.Thread(target=run, name="scoreline-insert", daemon=True).start()
    return work


@dataclass(frozen=True, slots=True)
class Flight:
    """The insert of a plan, or the recovery of plans, and what to commit once it has landed."""

    plan: Plan | None
    """What is inserted; None: a recovery."""
    ends: Mapping[int, int]
    """Partition → the offset behind what it settles."""
    work: Work[tuple[Letter, ...]]
    """Its outcome is the dead letters of what was refused."""
    times: Mapping[int, float] = field(default_factory=dict[int, float])
    """Partition → when Kafka took its last record, Unix seconds, where that can be read of the row."""
