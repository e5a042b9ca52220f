"""How far worker and sink are behind, asked of Kafka not more often than it changes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from threading import Lock

from scoreline.lag import pipeline_lag
from scoreline.settings import Settings

FRESH_S = 3.0
PATIENCE_S = 2.0
"""How long a thread waits for the one that asks, when nothing is known yet."""
UNKNOWN: Mapping[str, int | None] = {"worker": None, "sink": None}


class Lag:
    """For many threads, of which one asks: Kafka can take ten seconds to say nothing."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._asking = Lock()
        self._told: Mapping[str, int | None] | None = None
        self._at = 0.0

    def now(self) -> Mapping[str, int | None]:
        """Records that `worker` and `sink` have still to read, as they were when Kafka was asked last; None while it
        does not tell."""
        if not self._asking.acquire(timeout=PATIENCE_S if self._told is None else 0.0):
            return self._told or UNKNOWN
        try:
            if self._told is None or time.monotonic() - self._at > FRESH_S:
                self._told = pipeline_lag(self._settings)
                self._at = time.monotonic()
            return self._told
        finally:
            self._asking.release()
