"""What `emit` and `import` share: waiting for acknowledgements."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from scoreline.client import Client
from scoreline.errors import KafkaUnavailable

log = logging.getLogger(__name__)

TELL_S = 5.0
SILENCE_S_MAX = 300.0
"""How long nothing may be acknowledged before a command gives up."""
SLICE_S = 0.25
"""How long a wait for acknowledgements is deaf to Ctrl-C."""


def settle(client: Client, stopped: Callable[[], bool] = lambda: False) -> int:
    """Wait until the broker acknowledged everything; returns how many are still unsent when `stopped()`, else 0.

    Says every few seconds what is waited for. Raises KafkaUnavailable when events were given up, or none was
    acknowledged for `SILENCE_S_MAX`.
    """
    told_at = heard_at = time.monotonic()
    acknowledged, kafka = client.delivery.acknowledged, client.settings.kafka
    while unsent := client.flush(SLICE_S):
        if stopped():
            return unsent
        now = time.monotonic()
        if client.delivery.acknowledged > acknowledged:
            acknowledged, heard_at = client.delivery.acknowledged, now
        if now - heard_at > SILENCE_S_MAX:
            raise KafkaUnavailable(f"{kafka} (SCORELINE_KAFKA) acknowledged nothing for {SILENCE_S_MAX:g} s")
        if now - told_at > TELL_S:
            told_at = now
            log.warning("waiting for Kafka at %s (SCORELINE_KAFKA) to acknowledge %d scores", kafka, unsent)
    if client.delivery.failed:
        raise KafkaUnavailable(
            f"{client.delivery.failed} of {client.delivery.sent} scores were not acknowledged by Kafka at "
            f"{client.settings.kafka} (SCORELINE_KAFKA); the same command again is harmless where ids are the same"
        )
    return 0
