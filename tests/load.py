"""Scores that are emitted all the time, while a test changes the pipeline under them."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Self

from scoreline.client import Client
from scoreline.settings import Settings
from tests.support import eventually

REPEATED_EVERY = 10


class Load:
    """A client in a thread: a score every few milliseconds, every tenth with the id and content of an earlier one."""

    def __init__(self, settings: Settings, pause_s: float = 0.003) -> None:
        self._settings, self._pause_s = settings, pause_s
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.ids = 0
        """Different ids so far."""
        self.sent = 0
        """Scores so far, those included whose id was sent before."""

    def _run(self) -> None:
        with Client(self._settings) as client:
            while not self._stopped.wait(self._pause_s):
                number = self.ids // 2 if self.sent % REPEATED_EVERY == REPEATED_EVERY - 1 else self.ids
                client.create_score(name="n", value=number, trace_id="t", score_id=f"load-{number}")
                self.ids += number == self.ids
                self.sent += 1

    def goes_on(self, scores: int = 200) -> None:
        """Return after some more scores."""
        before = self.sent
        eventually(lambda: self.sent >= before + scores, "the load goes on")

    def stop(self) -> None:
        """End, and wait for every acknowledgement."""
        self._stopped.set()
        self._thread.join(60)
        assert not self._thread.is_alive()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
