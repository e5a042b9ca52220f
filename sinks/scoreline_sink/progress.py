"""What a lane says while it works: at most a line every few seconds."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

log = logging.getLogger(__name__)

REPORT_S = 10.0


class Progress:
    """Counts of one lane."""

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._total = self._reported = 0
        self._reported_at = time.monotonic()
        self._trouble_at = 0.0

    def settled(self, records: int, refused: int) -> None:
        """`records` of a plan are done with; `refused` of them, or of one before, are no rows."""
        self._total += max(0, records - refused)

    def report(self, lag: Callable[[], int]) -> None:
        """Log rows per second, the total and the lag, every few seconds while there are rows."""
        now = time.monotonic()
        rows, seconds = self._total - self._reported, now - self._reported_at
        if seconds < REPORT_S:
            return
        if rows:
            log.info("%s: %d rows/s, %d rows in all, lag %d", self._topic, rows / seconds, self._total, lag())
        self._reported, self._reported_at = self._total, now

    def trouble(self, text: str) -> None:
        """Log what Kafka complains about; librdkafka gets over it by itself and says the same thing many times."""
        now = time.monotonic()
        if now - self._trouble_at >= REPORT_S:
            log.warning("%s: waiting for Kafka (SCORELINE_KAFKA): %s", self._topic, text)
            self._trouble_at = now
