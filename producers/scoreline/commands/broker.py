"""Reaching Kafka from a command: a bounded wait, then the topics."""

from __future__ import annotations

import logging
import time

from scoreline.errors import KafkaUnavailable
from scoreline.kafka import await_broker
from scoreline.settings import Settings

REPEAT_S = 5.0
"""How often librdkafka may say something on a terminal; while a broker is away it would several times a second."""


def reach_broker(settings: Settings) -> None:
    """Return once a broker answers. Raises KafkaUnavailable when none does within `flush_s`."""
    logging.getLogger("scoreline.librdkafka").addFilter(Seldom())
    deadline = time.monotonic() + settings.flush_s
    await_broker(settings, stopped=lambda: time.monotonic() > deadline)
    if time.monotonic() > deadline:
        raise KafkaUnavailable(
            f"no broker answered at {settings.kafka} (SCORELINE_KAFKA) within {settings.flush_s:g} s "
            "(SCORELINE_FLUSH_S); start it, or correct the address"
        )


class Seldom(logging.Filter):
    """Lets one log record through every `REPEAT_S`."""

    def __init__(self) -> None:
        super().__init__()
        self._passed_at = float("-inf")

    def filter(self, record: logging.LogRecord) -> bool:  # noqa: ARG002 (the base class names it)
        now = time.monotonic()
        if now - self._passed_at < REPEAT_S:
            return False
        self._passed_at = now
        return True
