"""The emitting client: its process, its settings, and the way of its scores to the broker's acknowledgement.

A process that only imports `scoreline` loads neither confluent-kafka, asyncio nor pydantic-settings, half of the time
that the import would take: they are imported where a client is made or awaited.
"""

from __future__ import annotations

import ctypes
import logging
import time
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from scoreline import lifetime
from scoreline.delivery import Delivery, OnDelivered
from scoreline.emitter import Emitter
from scoreline.errors import KafkaUnavailable, PermanentError
from scoreline.lifetime import making
from scoreline.preparing import prepare, warm_up
from scoreline.reading import Event
from scoreline.refusals import Lenient, OnError, Strict, tell_nobody
from scoreline.tracing import current_provider, origin_of_resource

if TYPE_CHECKING:
    from scoreline.outbox import Outbox
    from scoreline.settings import Settings

log = logging.getLogger(__name__)


class Client(Emitter):
    """Emits scores to `scores.raw`. Thread-safe; one per process and project is enough.

    The producer is idempotent (acks=all): its own retries write no record twice. An outage of any length costs nothing
    while the process lives and there is room in the queue. A retry of the call itself is harmless under the same
    `score_id`.

    What the caller does not say is filled in: the innermost `scoreline.evaluator`; service, environment and release
    from the settings, else from the resource of OpenTelemetry's tracer provider; session and user (as
    `metadata.user_id`) from OpenTelemetry's baggage (`session.id`, `user.id`), where the score is of the active span's
    trace, of that session, or names no target.

    A forked child may go on with the client of its parent: it gets a queue, a thread and spool files of its own at its
    first score, and what the parent had emitted is the parent's to send. Clients that are open at the end of a process
    are closed then.

    The `_async` variants do the same without blocking the event loop while they wait for room.
    """

    def __init__(
        self, settings: Settings | None = None, *, strict: bool | None = None, on_error: OnError = tell_nobody
    ) -> None:
        """`on_error` is told of each score that is not taken. With `strict=False` (`SCORELINE_STRICT`) that is all, but
        for a count (`delivery.refused`) and a warning, once for each kind of error: nothing raises then, and the id
        that is returned is of no score.

        Raises SettingsError.
        """
        with making:
            if settings is None:
                from scoreline.settings import load_settings

                settings = load_settings()
            self.settings = settings
            self.delivery = Delivery()
            self._refuse = (Strict if (settings.strict if strict is None else strict) else Lenient)(on_error)
            self._known_origin: tuple[object | None, dict[str, str]] = None, origin_of(settings)
            self._closed = False
            self._outbox: Outbox | None = None
            warm_up()
            self._open_outbox()
            lifetime.opened(self, lifetime.Lifetime(self.close, self._start_anew))

    def emit(self, fields: Mapping[str, Any]) -> Event:
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

    async def send_async(self, key: bytes, record: bytes, on_delivered: OnDelivered | None = None) -> None:
        """As `send`, without blocking the event loop."""
        await (self._outbox or self._open_outbox()).send_async(key, record, on_delivered)

    def flush(self, timeout_s: float | None = None) -> int:
        """Wait for the broker's acknowledgements; returns how many events are still unsent (0: all acknowledged)."""
        outbox = self._outbox
        return 0 if outbox is None else outbox.flush(self.settings.flush_s if timeout_s is None else timeout_s)

    async def flush_async(self, timeout_s: float | None = None) -> int:
        """As `flush`, without blocking the event loop."""
        import asyncio

        return await asyncio.to_thread(self.flush, timeout_s)

    def close(self, timeout_s: float | None = None) -> None:
        """Flush and end. Raises KafkaUnavailable when events are left that the broker did not take within `timeout_s`
        (`SCORELINE_FLUSH_S`).

        With a spool they stay there for the next start instead, and a warning says so. In a forked child it ends what
        the child emitted, not what its parent did.
        """
        with making:
            outbox, self._outbox, self._closed = self._outbox, None, True
        lifetime.closed(self)
        left = None if outbox is None else outbox.close(self.settings.flush_s if timeout_s is None else timeout_s)
        if left is None:
            return
        if self.settings.spool_dir is None:
            self._refuse(KafkaUnavailable(f"{left}; they are lost with this process"), {})
            return
        log.warning("%s; they wait in %s for the next start", left, self.settings.spool_dir)

    def _open_outbox(self) -> Outbox:
        with making:
            if self._closed:
                raise PermanentError("this client is closed: it takes no more scores")
            if self._outbox is None:
                from scoreline.outbox import Outbox

                lifetime.watch_this_process()
                self._outbox = Outbox(self.settings, self.delivery)
            return self._outbox

    def _start_anew(self) -> None:
        """In a forked child: librdkafka's threads, the queue and the spool's files are the parent's.

        The inherited producer must never be destroyed here, not even at exit: that waits for threads that do not
        exist, and for locks that one of them may have held.
        """
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._outbox))
        self._outbox, self.delivery = None, Delivery()

    def _origin(self) -> dict[str, str]:
        """What the settings say, and for what they do not, the tracer provider that is in force now."""
        provider = current_provider()
        if provider is not self._known_origin[0]:
            self._known_origin = provider, origin_of_resource(provider) | origin_of(self.settings)
        return self._known_origin[1]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        import asyncio

        await asyncio.to_thread(self.close)


def origin_of(settings: Settings) -> dict[str, str]:
    """The fields that the settings fill in: project, service, environment, release, those that are set."""
    fields = ("project", "service", "environment", "release")
    return {field: value for field in fields if (value := getattr(settings, field)) is not None}
