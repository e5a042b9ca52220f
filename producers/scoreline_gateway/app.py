"""The gateway as an ASGI app, wired: settings → intake, keys, limits → routers."""

from __future__ import annotations

import importlib.metadata
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from fastapi import FastAPI

from scoreline.access import Component
from scoreline.following_keys import KnownKeys
from scoreline.observe.catalogue import Process
from scoreline.observe.probing import kafka_probe
from scoreline.settings import Settings
from scoreline.web.answers import add_error_answers
from scoreline.web.documentation import add_documentation
from scoreline.web.observing import add_observing, observing
from scoreline_gateway import describing, scores
from scoreline_gateway.answers import add_outage_answer
from scoreline_gateway.auth import KeyRing
from scoreline_gateway.compat import elsewhere, interactiveai, langfuse, otlp, pandaprobe
from scoreline_gateway.delivering import Deliveries
from scoreline_gateway.intake import Intake
from scoreline_gateway.limits import Admission, Limits
from scoreline_gateway.tracing import Tracing

log = logging.getLogger(__name__)


def create_app(settings: Settings) -> FastAPI:
    """The app; what it needs of Kafka is opened and closed with its lifespan.

    `app.state.known` are the keys that it knows; `app.state.ring` identifies callers by them.
    """
    known = KnownKeys()
    app = FastAPI(
        title="scoreline gateway",
        version=importlib.metadata.version("scoreline"),
        summary="Evaluation scores over HTTP.",
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan(settings, known),
    )
    app.state.settings, app.state.limits = settings, Limits.of(settings)
    app.state.known, app.state.ring = known, KeyRing(known.entries, settings.gateway_rate)
    app.add_middleware(Tracing)
    app.add_middleware(Admission, settings=settings)
    add_error_answers(app)
    add_outage_answer(app)
    app.include_router(scores.router)
    app.include_router(describing.router)
    add_observing(app)
    add_documentation(app)
    for family in (langfuse, interactiveai, pandaprobe, otlp, elsewhere):
        app.include_router(family.router)
    describing.describe(app)
    return app


def _lifespan(settings: Settings, known: KnownKeys) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        async with observing(Process.GATEWAY, settings, {"kafka": lambda: kafka_probe(settings)}):
            deliveries = Deliveries(settings)
            app.state.intake = Intake(deliveries)
            try:
                async with known.following(settings, Component.GATEWAY):
                    yield
            finally:
                left = deliveries.close()
                if left:
                    log.error("%d scores were not acknowledged; their senders were told so", left)

    return lifespan
