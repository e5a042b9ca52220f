"""How far worker and sink are behind, asked of Kafka not more often than it changes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from threading import Lock

from scoreline.lag import pipeline_lag
from scoreline.settings import Settings

FRESH_S = 3.0


class Lag:
    """For many threads; one of them asks, the others wait for its answer."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = Lock()
        self._told: Mapping[str, int | None] | None = None
        self._at = 0.0

    def now(self) -> Mapping[str, int | None]:
        """Records that `worker` and `sink` have still to read, FRESH_S old at most; None while Kafka does not tell."""
        with self._lock:
            if self._told is None or time.monotonic() - self._at > FRESH_S:
                self._told = pipeline_lag(self._settings)
                self._at = time.monotonic()
            return self._told
