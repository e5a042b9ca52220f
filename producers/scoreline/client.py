"""The emitting client: a score from the caller's values to the broker's acknowledgement, without making it wait."""

from __future__ import annotations

import atexit
import ctypes
import json
import logging
import os
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from types import TracebackType
from typing import Any, Literal, Self

import uuid_utils

from scoreline.delivery import Delivery, OnDelivered
from scoreline.errors import InvalidScore, KafkaUnavailable, PermanentError
from scoreline.events import SCHEMA_VERSION, ScoreEvent, Status
from scoreline.outbox import Outbox, making
from scoreline.rejections import Reason, Rejection
from scoreline.settings import Settings, load_settings
from scoreline.topics import record_key
from scoreline.validation import check

log = logging.getLogger(__name__)

_to_json = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


FIRST_SCORE = {
    "score_id": "0",
    "project": "default",
    "name": "0",
    "value": 0,
    "trace_id": "0",
    "timestamp": "2001-01-01T00:00:00Z",
}
"""Checked when a client is made, and sent nowhere."""


class Client:
    """Emits scores to `scores.raw`. Thread-safe; one per process and project is enough.

    The producer is idempotent (acks=all): its own retries write no record twice. An outage of any length costs nothing
    while the process lives and there is room in the queue. A retry of the call itself is harmless under the same
    `score_id`.

    A forked child may go on with the client of its parent: it gets a queue, a thread and spool files of its own at its
    first score, and what the parent had emitted is the parent's to send. Clients that are open at the end of a process
    are closed then.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        """Raises SettingsError."""
        self.settings = settings or load_settings()
        self.delivery = Delivery()
        self._origin = origin_of(self.settings)
        self._closed = False
        self._outbox: Outbox | None = None
        with making:
            # pydantic does at the first score what a fork beside it must not meet half done
            prepare(FIRST_SCORE, int(time.time() * 1000))
            self._open_outbox()
            _open.add(self)

    def create_score(
        self,
        *,
        name: str,
        value: float | str | bool | None = None,
        error: str | None = None,
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

        `value` is the result; where the judge failed, `error` says why in its place, and the score counts as failed.
        At least one of `trace_id`, `session_id` and `dataset_run_id` says what was judged; an `observation_id` needs
        its `trace_id`. Without `score_id` one is made (UUIDv7); give your own to make a retry harmless. `timestamp`
        has a zone and defaults to now.

        Raises InvalidScore at once when a rule of the contract is broken, QueueFull when the broker has been away so
        long that the queue is full (`SCORELINE_QUEUE_EVENTS_MAX`) and stays so for `SCORELINE_QUEUE_WAIT_S`, or when
        the spool is (`SCORELINE_SPOOL_BYTES_MAX`, or its disk). A score that raised was not taken.
        """
        fields: dict[str, Any] = {
            "score_id": score_id if score_id is not None else str(uuid_utils.uuid7()),
            "name": name,
            "value": value,
            "status": None if error is None else Status.FAILED,
            "error": error,
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

    def send(self, key: bytes, record: bytes, on_delivered: OnDelivered | None = None) -> None:
        """Send a raw record as it is, unchecked; `on_delivered` is called with what became of it.

        Raises QueueFull, InvalidScore when it is longer than a record may be, PermanentError when the client is closed.
        """
        (self._outbox or self._open_outbox()).send(key, record, on_delivered)

    def flush(self, timeout_s: float | None = None) -> int:
        """Wait for the broker's acknowledgements; returns how many events are still unsent (0: all acknowledged)."""
        outbox = self._outbox
        return 0 if outbox is None else outbox.flush(self.settings.flush_s if timeout_s is None else timeout_s)

    def close(self, timeout_s: float | None = None) -> None:
        """Flush and end. Raises KafkaUnavailable when events are left that the broker did not take within `timeout_s`
        (`SCORELINE_FLUSH_S`).

        With a spool they stay there for the next start instead, and a warning says so. In a forked child it ends what
        the child emitted, not what its parent did.
        """
        with making:
            outbox, self._outbox, self._closed = self._outbox, None, True
        _open.discard(self)
        left = None if outbox is None else outbox.close(self.settings.flush_s if timeout_s is None else timeout_s)
        if left is None:
            return
        if self.settings.spool_dir is None:
            raise KafkaUnavailable(f"{left}; they are lost with this process")
        log.warning("%s; they wait in %s for the next start", left, self.settings.spool_dir)

    def _open_outbox(self) -> Outbox:
        with making:
            if self._closed:
                raise PermanentError("this client is closed: it takes no more scores")
            if self._outbox is None:
                _watch_this_process()
                _close_before_multiprocessing_exits()
                self._outbox = Outbox(self.settings, self.delivery)
            return self._outbox

    def _start_anew(self) -> None:
        """In a forked child: librdkafka's threads, the queue and the spool's files are the parent's.

        The inherited producer must never be destroyed here, not even at exit: that waits for threads that do not
        exist, and for locks that one of them may have held.
        """
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._outbox))
        self._outbox, self.delivery = None, Delivery()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


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


_open: set[Client] = set()
"""Clients to close at the end of this process."""


def _close_all() -> None:
    for client in list(_open):
        try:
            client.close()
        except KafkaUnavailable as error:
            log.error("%s", error)


def _close_before_multiprocessing_exits() -> None:
    """A child of multiprocessing ends without atexit, but with the finalizers of multiprocessing."""
    process = sys.modules.get("multiprocessing.process")
    if process is not None and process.parent_process() is not None:
        from multiprocessing.util import Finalize

        Finalize(None, _close_all, exitpriority=-100)


def _start_anew_in_child() -> None:
    making.release()
    for client in list(_open):
        client._start_anew()  # pyright: ignore[reportPrivateUsage]


@cache
def _watch_this_process() -> None:
    """Once, also for what is forked from here."""
    atexit.register(_close_all)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=making.acquire, after_in_parent=making.release, after_in_child=_start_anew_in_child)
