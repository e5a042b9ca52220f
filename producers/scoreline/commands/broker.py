"""Reaching Kafka from a command: a bounded wait, then the topics."""

from __future__ import annotations

import time

from scoreline.errors import KafkaUnavailable
from scoreline.kafka import await_broker
from scoreline.settings import Settings


def reach_broker(settings: Settings) -> None:
    """Return once a broker answers. Raises KafkaUnavailable when none does within `flush_s`."""
    deadline = time.monotonic() + settings.flush_s
    await_broker(settings, stopped=lambda: time.monotonic() > deadline)
    if time.monotonic() > deadline:
        raise KafkaUnavailable(
            f"no broker answered at {settings.kafka} (SCORELINE_KAFKA) within {settings.flush_s:g} s "
            "(SCORELINE_FLUSH_S); start it, or correct the address"
        )
