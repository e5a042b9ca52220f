"""How a command's process logs: to standard error, one line a record."""

from __future__ import annotations

import logging
import time

LIBRDKAFKA_REPEAT_S = 5.0
"""How often librdkafka may say something; while a broker is away it would several times a second."""


def configure_logging() -> None:
    """Set up logging for a process that is a command."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("scoreline.librdkafka").addFilter(Seldom(LIBRDKAFKA_REPEAT_S))


class Seldom(logging.Filter):
    """Lets one log record through every `repeat_s` seconds."""

    def __init__(self, repeat_s: float) -> None:
        super().__init__()
        self._repeat_s = repeat_s
        self._passed_at = float("-inf")

    def filter(self, record: logging.LogRecord) -> bool:  # noqa: ARG002 (the base class names it)
        now = time.monotonic()
        if now - self._passed_at < self._repeat_s:
            return False
        self._passed_at = now
        return True
