"""What a server of ours tells about itself at its own port: metrics, health, and how it answers requests."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from scoreline.observe import catalogue, meter
from scoreline.observe.answers import answers
from scoreline.observe.catalogue import Process
from scoreline.observe.health import health
from scoreline.observe.probing import Probe, Prober
from scoreline.settings import Settings

PATHS = ("/metrics", "/healthz", "/readyz")
KEYS = "keys"
"""The condition that the API keys are known."""
NO_ROUTE = "other"
_SUMMARIES = {"/metrics": "Metrics, as Prometheus reads them", "/healthz": "Alive", "/readyz": "Ready"}
_UNREADY: dict[int | str, dict[str, Any]] = {503: {"description": "Not now; the body says what is lacking."}}


def add_observing(app: FastAPI) -> None:
    """Serve `PATHS`, and count every other request."""
    for path, answer in answers(health).items():
        is_text = path == "/metrics"
        app.add_api_route(
            path,
            _endpoint(answer),
            summary=_SUMMARIES[path],
            tags=["health"],
            responses=None if is_text else _UNREADY,
            response_class=PlainTextResponse if is_text else JSONResponse,
        )
    app.add_middleware(Counting)


def _endpoint(answer: Callable[[], Any]) -> Callable[[], Any]:
    async def endpoint() -> Response:
        status, content_type, body = answer()
        return Response(body, status, media_type=content_type)

    return endpoint


@asynccontextmanager
async def observing(
    process: Process, settings: Settings, probes: Mapping[str, Callable[[], Probe]]
) -> AsyncGenerator[None]:
    """Count as this process and ask what it needs whether it answers, for as long as it serves."""
    meter.start(process)
    health.begin(settings.ready_file, settings.stall_s, KEYS)
    prober = Prober(health, probes)
    try:
        yield
    finally:
        prober.stop()


class Counting:
    """ASGI middleware that counts answers and their time, by route."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._open = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in PATHS:
            await self._app(scope, receive, send)
            return
        begun, status = time.monotonic(), 500

        async def note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        self._open += 1
        meter.put(catalogue.HTTP_OPEN, self._open)
        try:
            await self._app(scope, receive, note)
        finally:
            self._open -= 1
            route = getattr(scope.get("route"), "path", NO_ROUTE)
            meter.put(catalogue.HTTP_OPEN, self._open)
            meter.add(catalogue.HTTP_REQUESTS, 1, route, status)
            meter.observe(catalogue.HTTP_SECONDS, time.monotonic() - begun, route)
