"""What `emit` and `import` share: waiting for acknowledgements."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from scoreline.client import Client
from scoreline.errors import KafkaUnavailable

log = logging.getLogger(__name__)

TELL_S = 5.0
SLICE_S = 0.25
"""How long a wait for acknowledgements is deaf to Ctrl-C."""


def settle(client: Client, stopped: Callable[[], bool] = lambda: False) -> int:
    """Wait until the broker acknowledged everything; returns how many are still unsent when `stopped()`, else 0.

    Says every few seconds what is waited for. The wait is bounded by librdkafka's `message.timeout.ms`. Raises
    KafkaUnavailable when events were given up.
    """
    told_at = time.monotonic()
    while unsent := client.flush(SLICE_S):
        if stopped():
            return unsent
        if time.monotonic() - told_at > TELL_S:
            told_at = time.monotonic()
            kafka = client.settings.kafka
            log.warning("waiting for Kafka at %s (SCORELINE_KAFKA) to acknowledge %d scores", kafka, unsent)
    if client.delivery.failed:
        raise KafkaUnavailable(
            f"{client.delivery.failed} of {client.delivery.sent} scores were not acknowledged by Kafka at "
            f"{client.settings.kafka} (SCORELINE_KAFKA); the same command again is harmless where ids are the same"
        )
    return 0
