"""A server as a process: uvicorn with bounds on connections, heads and slow readers, and an orderly end."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import socket
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, cast

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from scoreline.errors import RequestRefused
from scoreline.following_keys import KnownKeys
from scoreline.observe import catalogue, meter
from scoreline.observe.health import health
from scoreline.web.answers import error_response
from scoreline.web.observing import KEYS

log = logging.getLogger(__name__)

HEAD_BYTES_MAX = 64 * 1024
"""Longest request line and headers together."""
GC_THRESHOLD = 100_000
TICKS = 10
"""Between two looks at what changes slowly; uvicorn ticks ten times a second."""

Websockets = Literal["none", "websockets-sansio"]
"""How uvicorn speaks WebSocket, if at all."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Where a server listens, what it waits for, and how long."""

    host: str
    port: int
    connections_max: int
    """More are cut off at once."""
    head_s: float
    """How long a client may take to send the head of a request, or to begin the next one."""
    stall_s: float
    """How long it may take nothing of an answer."""
    drain_s: float
    """How long requests may take to end after SIGTERM."""


def serve(app: FastAPI, bounds: Bounds, keys: KnownKeys, websockets: Websockets = "none") -> None:
    """Serve until SIGTERM or SIGINT, then end what was begun; call it from the main thread.

    It is ready once the keys are known. Raises whatever ends `keys`, as TopicError when a topic is missing.
    """
    app.state.bounds = bounds
    server = _Server(app, bounds, keys, websockets)
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)
    try:
        server.run()
    finally:
        health.end()
    if keys.failure is not None:
        raise keys.failure


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol with the bounds it lacks, for an app that `serve` serves."""

    _head = True
    """A request's head is awaited, and none is being answered."""
    _head_bytes = 0
    _upgraded = False
    """The connection is a WebSocket now, which another protocol serves."""
    _head_timer: asyncio.TimerHandle | None = None
    _stall_timer: asyncio.TimerHandle | None = None

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        bounds: Bounds = cast(FastAPI, config.app).state.bounds
        self._head_s, self._stall_s = bounds.head_s, bounds.stall_s
        self._connections_max = bounds.connections_max

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self._connections_max:
            transport.abort()
            return
        self._head_timer = self.loop.call_later(self._head_s, self._head_is_late)

    def connection_lost(self, exc: Exception | None) -> None:
        self._unset_head_timer()
        self._unset_stall_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._upgraded:
            return
        if self._head:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES_MAX:
                too_long = f"the head is longer than {HEAD_BYTES_MAX} bytes"
                self._refuse(RequestRefused(431, "head_too_large", too_long))
                return
        if self._head_timer is None and (self._head or not self._is_answering()):
            # also for what comes behind an answer and begins no request
            self._head_timer = self.loop.call_later(self._head_s, self._head_is_late)

    def on_message_begin(self) -> None:
        self._head, self._head_bytes = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._head = False
        self._unset_head_timer()
        super().on_headers_complete()

    def handle_websocket_upgrade(self) -> None:
        self._upgraded = True
        self._unset_head_timer()
        super().handle_websocket_upgrade()

    def on_response_complete(self) -> None:
        self._unset_head_timer()
        super().on_response_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._stall_timer is None:
            self._stall_timer = self.loop.call_later(self._stall_s, self.transport.abort)

    def resume_writing(self) -> None:
        self._unset_stall_timer()
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        self._refuse(RequestRefused(400, "bad_request", msg))

    def _is_answering(self) -> bool:
        cycle = cast("RequestResponseCycle | None", self.cycle)
        return cycle is not None and not cycle.response_complete

    def _head_is_late(self) -> None:
        self._head_timer = None
        if self._is_answering():
            # a head that came behind a request: its time begins with the answer
            self._head_timer = self.loop.call_later(self._head_s, self._head_is_late)
        elif self._head_bytes:
            self._refuse(RequestRefused(408, "too_slow", f"the head took longer than {self._head_s:g} s"))
        else:
            self.transport.close()

    def _refuse(self, refused: RequestRefused) -> None:
        if self.transport.is_closing():
            return
        if self._is_answering() and self.cycle.response_started:
            self.transport.close()
            return
        answer = error_response(refused)
        head = b"".join(b"%b: %b\r\n" % header for header in answer.raw_headers)
        self.transport.write(
            b"HTTP/1.1 %d Refused\r\n%bconnection: close\r\n\r\n%b" % (refused.status, head, bytes(answer.body))
        )
        self.transport.close()

    def _unset_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _unset_stall_timer(self) -> None:
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None


class _Server(uvicorn.Server):
    """Ends with its keys, and with status 0 when it was asked to."""

    def __init__(self, app: FastAPI, bounds: Bounds, keys: KnownKeys, websockets: Websockets) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                host=bounds.host,
                port=bounds.port,
                http=BoundedProtocol,
                ws=websockets,
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=max(1, round(bounds.head_s)),
                timeout_graceful_shutdown=max(1, round(bounds.drain_s)),
            )
        )
        self._keys = keys
        self._told = False

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """uvicorn's own ends the process by the signal it caught, once all is done."""
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def on_tick(self, counter: int) -> bool:
        """Look ten times a second whether the server is ready, or cannot go on."""
        health.turn("event loop")
        known = self._keys.entries() if counter % TICKS == 0 or not self._told else None
        if known is not None:
            meter.put(catalogue.KEYS, len(known))
            if not self._told:
                self._told = True
                health.say(KEYS, None)
        return await super().on_tick(counter) or self._keys.failure is not None

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no new connection, finish what was begun."""
        log.info("draining")
        health.end()
        await super().shutdown(sockets)
