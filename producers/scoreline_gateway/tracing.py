"""The span that a request belongs to, so that its scores carry it on as if its sender had emitted them to Kafka."""

from __future__ import annotations

from contextvars import ContextVar

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from scoreline.tracing import TRACEPARENT, parent_of, traceparent

_sender: ContextVar[bytes | None] = ContextVar("sender", default=None)


def request_parent() -> bytes | None:
    """The `traceparent` for this request's scores: of the gateway's own span where it is traced, else the sender's."""
    return traceparent() or _sender.get()


class Tracing:
    """ASGI middleware that remembers the `traceparent` that a request came with, of a sampled span."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            sent = Headers(scope=scope).get(TRACEPARENT)
            _sender.set(None if sent is None else parent_of([(TRACEPARENT, sent.encode("latin-1"))]))
        await self._app(scope, receive, send)
