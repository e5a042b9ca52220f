"""Replayed records to the raw topic: acknowledged, or known not to be."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from functools import partial

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from scoreline.errors import KafkaUnavailable
from scoreline.kafka import error_of, raw_producer_options
from scoreline.outbox import NEVER_TAKEN
from scoreline.settings import Settings
from scoreline.topics import declare_topics
from scoreline_sink.dlq.preparing import Refused, Replay

log = logging.getLogger(__name__)

SLICE_S = 0.25
"""How long a wait for acknowledgements is deaf to Ctrl-C."""
TELL_S = 5.0


class Sender:
    """An idempotent producer to the raw topic, partitioned as every client's."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topic = declare_topics(settings).raw.name
        self._failed: list[tuple[Replay, KafkaError]] = []
        self._producer = Producer(raw_producer_options(settings))

    def send(self, replays: Sequence[Replay]) -> list[Refused]:
        """Send them and wait for every acknowledgement; those that the topic never takes, with the reason.

        The wait is bounded by librdkafka's `message.timeout.ms`. Raises KafkaUnavailable when records were given up.
        """
        self._failed.clear()
        for replay in replays:
            self._produce(replay)
        told_at = time.monotonic()
        while left := self._producer.flush(SLICE_S):
            if time.monotonic() - told_at > TELL_S:
                told_at = time.monotonic()
                log.warning(
                    "waiting for Kafka at %s (SCORELINE_KAFKA) to acknowledge %d records", self._settings.kafka, left
                )
        lost = [error for _, error in self._failed if error.code() not in NEVER_TAKEN]
        if lost:
            raise KafkaUnavailable(
                f"{len(lost)} records were not acknowledged by Kafka at {self._settings.kafka} (SCORELINE_KAFKA): "
                f"{lost[0].str()}; the same command again goes on, a record that is there already is a duplicate"
            )
        return [Refused(replay.letter, "too_large_for_kafka", error.str()) for replay, error in self._failed]

    def close(self) -> None:
        """Drop what is unsent."""
        self._producer.purge()
        self._producer.close()

    def _produce(self, replay: Replay) -> None:
        on_delivery = partial(self._delivered, replay)
        while True:
            try:
                self._producer.produce(
                    self._topic, replay.value, replay.key, headers=list(replay.headers), on_delivery=on_delivery
                )
            except BufferError:
                self._producer.poll(SLICE_S)
            except KafkaException as error:
                self._failed.append((replay, error_of(error)))
                return
            else:
                self._producer.poll(0)
                return

    def _delivered(self, replay: Replay, error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            self._failed.append((replay, error))


class Pace:
    """Holds records back to so many a second; without a rate, nothing."""

    def __init__(self, per_s: float | None, now: Callable[[], float] = time.monotonic) -> None:
        self._per_s = per_s
        self._now = now
        self._due_at = now()

    def pause_s(self, records: int) -> float:
        """Take `records` more; how long to wait before they may be sent. Time that was lost is not caught up."""
        if self._per_s is None:
            return 0.0
        now = self._now()
        start_at = max(now, self._due_at)
        self._due_at = start_at + records / self._per_s
        return start_at - now
