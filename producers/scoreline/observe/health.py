"""Whether this process lives and whether it can work, told over HTTP, as a metric and by the ready file: one truth.

Alive: every enlisted thread or loop has turned within the last `stall_s`. A server that is away does not end a life:
whoever waits for one still turns. Ready: no condition says what it lacks.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from scoreline.observe import meter
from scoreline.observe.catalogue import CONDITION, READY


class Health:
    """Of one process; any thread may tell and ask."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._lacks: dict[str, str | None] = {"start": "starting"}
        self._turned: dict[int, tuple[str, float]] = {}
        self._ready_file: Path | None = None
        self._stall_s = 120.0

    def begin(self, ready_file: Path | None, stall_s: float, *conditions: str) -> None:
        """Start anew, with these conditions not met; `ready_file` will exist while the process is ready."""
        with self._lock:
            self._ready_file, self._stall_s = ready_file, stall_s
            self._lacks, self._turned = {}, {}
        for condition in conditions:
            self.say(condition, "starting")

    def end(self) -> None:
        """Not ready any more, for good."""
        self.say("end", "ending")

    def say(self, condition: str, lacks: str | None) -> None:
        """What one condition lacks, in words that name no server or secret; None: it holds."""
        with self._lock:
            self._lacks[condition] = lacks
            meter.put(CONDITION, lacks is None, condition)
            self._show()

    def drop(self, condition: str) -> None:
        """A condition that no longer counts."""
        with self._lock:
            if self._lacks.pop(condition, None) is not None:
                meter.put(CONDITION, 1, condition)
            self._show()

    def turn(self, name: str | None = None) -> None:
        """The calling thread goes round its loop; with a `name`, from now on it is expected to."""
        thread = threading.get_ident()
        known = self._turned.get(thread)
        if name is not None or known is not None:
            self._turned[thread] = (name or (known[0] if known else ""), self._now())

    def leave(self) -> None:
        """The calling thread is not expected to turn any more."""
        self._turned.pop(threading.get_ident(), None)

    def lacks(self) -> Mapping[str, str]:
        """What keeps the process from working, by condition; empty: it is ready."""
        with self._lock:
            return {condition: lacks for condition, lacks in self._lacks.items() if lacks is not None}

    def still(self) -> Mapping[str, float]:
        """Loops that have not turned for longer than they may, and for how many seconds; empty: it is alive."""
        now = self._now()
        ages = {name: now - at for name, at in list(self._turned.values())}
        return {name: round(age, 1) for name, age in ages.items() if age > self._stall_s}

    def _show(self) -> None:
        ready = not any(lacks is not None for lacks in self._lacks.values())
        meter.put(READY, ready)
        if self._ready_file is not None:
            if ready:
                self._ready_file.touch()
            else:
                self._ready_file.unlink(missing_ok=True)


health = Health()
"""Of this process."""
