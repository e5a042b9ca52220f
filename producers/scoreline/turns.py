"""Who has the interpreter: a caller that emits without a pause, or the thread that serves the delivery reports.

The reports come one by one, and each takes the interpreter's lock anew. Against a caller that wants it, too, each of
them wakes that caller for nothing or waits 5 ms. So a caller that is ahead pauses now and then, and many are served.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

POLL_S = 0.1
"""How long the thread waits for reports while nobody gives it a turn."""
TURN_EVENTS = 500
"""Unacknowledged events from which on a caller is ahead, and how many it emits from one turn to the next."""
TURN_S = 0.02
"""How long a caller pauses at most (what is told of a delivery may wait for a lock that it holds), and how long the
thread waits for the next turn before it serves without."""


class Turns:
    """Between the callers of one outbox and its thread."""

    def __init__(self) -> None:
        self._given, self._served = threading.Event(), threading.Event()
        self._awaited = False
        self._thread_id = 0

    def give(self) -> None:
        """In a caller: pause until what is reported by now is served, when the thread awaits that."""
        if threading.get_ident() == self._thread_id:
            return
        self._served.clear()
        self._given.set()
        if self._awaited:
            self._served.wait(TURN_S)

    def take(self, serve: Callable[[float], None]) -> None:
        """In the thread: serve once, for what is there when a turn is given, for `POLL_S` when none is awaited."""
        self._thread_id = threading.get_ident()
        if self._awaited:
            self._given.wait(TURN_S)
        self._awaited = self._given.is_set()
        self._given.clear()
        serve(0.0 if self._awaited else POLL_S)
        self._served.set()
