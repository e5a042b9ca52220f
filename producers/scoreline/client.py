"""The emitting client: a score from the caller's values to the broker's acknowledgement, without making it wait."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from types import TracebackType
from typing import Any, Literal, Self

import uuid_utils
from confluent_kafka import KafkaError, Message, Producer

from scoreline.errors import InvalidScore, KafkaUnavailable, QueueFull
from scoreline.events import SCHEMA_VERSION, ScoreEvent
from scoreline.kafka import client_options
from scoreline.rejections import Reason, Rejection
from scoreline.settings import Settings, load_settings
from scoreline.spool import Segment, Spool
from scoreline.topics import RAW_BYTES_MAX, declare_topics, record_key
from scoreline.validation import check

log = logging.getLogger(__name__)

POLL_S = 0.1
NEVER_TAKEN = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_RECORD})
"""Errors of a record that no later attempt can mend."""

_to_json = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


@dataclass(slots=True)
class Delivery:
    """Counts of one client, in events."""

    sent: int = 0
    acknowledged: int = 0
    failed: int = 0
    """Given up by the producer; each is logged with its id."""
    recovered: int = 0
    """Acknowledged now, emitted by a process that ended before; not among the others."""


class Client:
    """Emits scores to `scores.raw`. Thread-safe; one per process and project is enough. Do not carry it over a fork.

    Delivery is idempotent and in order: acks=all, no gap, no double record from the producer's own retries. A retry
    of the call itself is harmless under the same `score_id`.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or load_settings()
        self.delivery = Delivery()
        self._topic = declare_topics(self.settings).raw.name
        self._origin = origin_of(self.settings)
        self._closed = threading.Event()
        spool_dir = self.settings.spool_dir
        self._spool = None if spool_dir is None else Spool(spool_dir, self.settings.spool_bytes_max)
        self._producer = Producer(
            client_options(
                self.settings,
                acks="all",
                enable_idempotence=True,
                partitioner="murmur2",
                compression_type="lz4",
                linger_ms=20,
                queue_buffering_max_messages=self.settings.queue_events_max,
                message_max_bytes=RAW_BYTES_MAX,
            )
        )
        self._poller = threading.Thread(target=self._poll, name="scoreline-delivery", daemon=True)
        self._poller.start()

    def create_score(
        self,
        *,
        name: str,
        value: float | str | bool,
        session_id: str | None = None,
        dataset_run_id: str | None = None,
        trace_id: str | None = None,
        observation_id: str | None = None,
        score_id: str | None = None,
        data_type: Literal["NUMERIC", "CATEGORICAL", "BOOLEAN"] | None = None,
        comment: str | None = None,
        config_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        timestamp: datetime | None = None,
        source: Literal["API", "EVAL", "ANNOTATION"] | None = None,
        evaluator: Mapping[str, str] | None = None,
        author: str | None = None,
    ) -> str:
        """Emit one score and return its id, without waiting for the broker.

        At least one of `trace_id`, `session_id` and `dataset_run_id` says what was judged; an `observation_id` needs
        its `trace_id`. Without `score_id` one is made (UUIDv7); give your own to make a retry harmless. `timestamp`
        has a zone and defaults to now.

        Raises InvalidScore at once when a rule of the contract is broken, QueueFull when the broker has been away so
        long that the queue is full (`SCORELINE_QUEUE_EVENTS_MAX`, `SCORELINE_QUEUE_WAIT_S`).
        """
        fields: dict[str, Any] = {
            "score_id": score_id if score_id is not None else str(uuid_utils.uuid7()),
            "name": name,
            "value": value,
            "data_type": data_type,
            "trace_id": trace_id,
            "observation_id": observation_id,
            "session_id": session_id,
            "dataset_run_id": dataset_run_id,
            "comment": comment,
            "metadata": None if metadata is None else dict(metadata),
            "config_id": config_id,
            "timestamp": (timestamp or datetime.now(UTC)).isoformat(),
            "source": source,
            "evaluator": None if evaluator is None else dict(evaluator),
            "author": author,
            **self._origin,
            "schema_version": SCHEMA_VERSION,
        }
        event = self.emit({field: item for field, item in fields.items() if item is not None})
        return event.score_id

    def emit(self, fields: Mapping[str, Any]) -> ScoreEvent:
        """Check and send one event given as the fields of the raw record; returns it as it was parsed.

        Raises InvalidScore, QueueFull.
        """
        event, record = prepare(fields, int(time.time() * 1000))
        self.send(event.key, record)
        return event

    def send(self, key: bytes, record: bytes) -> None:
        """Send a raw record as it is, unchecked. Raises QueueFull."""
        segment = None if self._spool is None else self._spool.add(key, record)
        deadline = time.monotonic() + self.settings.queue_wait_s
        while True:
            try:
                self._producer.produce(self._topic, record, key, on_delivery=partial(self._delivered, segment))
            except BufferError as error:
                if time.monotonic() > deadline:
                    if segment is not None:
                        segment.settled()
                    raise QueueFull(
                        f"{self.settings.queue_events_max} scores wait for Kafka at {self.settings.kafka}; raise "
                        "SCORELINE_QUEUE_EVENTS_MAX or SCORELINE_QUEUE_WAIT_S, or bring the broker back"
                    ) from error
                self._producer.poll(POLL_S)
            else:
                self.delivery.sent += 1
                return

    def flush(self, timeout_s: float | None = None) -> int:
        """Wait for the broker's acknowledgements; returns how many events are still unsent (0: all acknowledged)."""
        return self._producer.flush(self.settings.flush_s if timeout_s is None else timeout_s)

    def close(self) -> None:
        """Flush and end. Raises KafkaUnavailable when events are left that the broker did not take in time.

        With a spool they stay there for the next start instead, and a warning says so.
        """
        unsent = self.flush()
        self._closed.set()
        self._poller.join(POLL_S * 10)
        self._producer.purge()
        self._producer.close()
        if self._spool is not None:
            self._spool.seal()
            self._spool.release()
            if unsent:
                log.warning("%d scores wait in %s for the next start", unsent, self.settings.spool_dir)
        elif unsent:
            raise KafkaUnavailable(
                f"{unsent} scores were not acknowledged within {self.settings.flush_s} s (SCORELINE_FLUSH_S) and are "
                f"lost with this process; is Kafka at {self.settings.kafka} up?"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _poll(self) -> None:
        """Serve delivery reports while the caller emits nothing; first send what earlier processes left."""
        if self._spool is not None:
            for segment in self._spool.orphans():
                self._recover(segment)
        while not self._closed.is_set():
            self._producer.poll(POLL_S)

    def _recover(self, segment: Segment) -> None:
        records = 0
        for key, record in segment.records():
            segment.expect()
            while not self._closed.is_set():
                try:
                    self._producer.produce(self._topic, record, key, on_delivery=partial(self._recovered, segment))
                except BufferError:
                    self._producer.poll(POLL_S)
                else:
                    records += 1
                    break
        if not self._closed.is_set():
            segment.seal()
        log.info("sending %d scores that %s still held", records, segment.path)

    def _recovered(self, segment: Segment, error: KafkaError | None, message: Message) -> None:
        if error is None:
            self.delivery.recovered += 1
        else:
            log.error("score %r was not delivered and stays in %s: %s", message.key(), segment.path, error.str())
        if error is None or error.code() in NEVER_TAKEN:
            segment.settled()

    def _delivered(self, segment: Segment | None, error: KafkaError | None, message: Message) -> None:
        if segment is not None and (error is None or error.code() in NEVER_TAKEN):
            segment.settled()
        if error is None:
            self.delivery.acknowledged += 1
            return
        self.delivery.failed += 1
        if error.code() in (KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT):  # pyright: ignore[reportPrivateUsage]
            return  # by close(), which says how many
        log.error("score %r was not delivered: %s", message.key(), error.str())


def origin_of(settings: Settings) -> dict[str, str]:
    """The fields that the settings fill in: project, service, environment, release, those that are set."""
    fields = ("project", "service", "environment", "release")
    return {field: value for field in fields if (value := getattr(settings, field)) is not None}


def prepare(fields: Mapping[str, Any], now_ms: int) -> tuple[ScoreEvent, bytes]:
    """An event's fields as parsed event and record, after the same checks that the worker makes.

    Raises InvalidScore.
    """
    try:
        record = _to_json(fields).encode()
        key = record_key(str(fields.get("project", "default")), str(fields.get("score_id", "")))
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidScore(Rejection(Reason.INVALID_VALUE, f"cannot be written as JSON: {error}")) from error
    event = check(record, key, now_ms)
    if isinstance(event, Rejection):
        raise InvalidScore(event)
    return event, record
