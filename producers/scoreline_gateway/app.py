"""The gateway as an ASGI app, wired: settings → intake, keys, limits → routers."""

from __future__ import annotations

import asyncio
import importlib.metadata
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress

from fastapi import FastAPI

from scoreline.errors import PermanentError, RetryableError, ScorelineError
from scoreline.followed import Followed
from scoreline.kafka import await_broker, require_topics
from scoreline.keys import ApiKey, decode_key
from scoreline.settings import Settings
from scoreline.topics import declare_topics
from scoreline_gateway import describing, health, scores
from scoreline_gateway.answers import add_error_answers
from scoreline_gateway.auth import KeyRing
from scoreline_gateway.compat import elsewhere, interactiveai, langfuse, otlp, pandaprobe
from scoreline_gateway.delivering import Deliveries
from scoreline_gateway.intake import Intake
from scoreline_gateway.limits import Admission, Limits

log = logging.getLogger(__name__)

CHECK_S = 5.0
"""How often it is looked after whether the keys are still heard of."""


def create_app(settings: Settings) -> FastAPI:
    """The app; what it needs of Kafka is opened and closed with its lifespan.

    `app.state.keys` is None until the keys are known; `app.state.failure` says why the gateway cannot go on.
    """
    app = FastAPI(
        title="scoreline gateway",
        version=importlib.metadata.version("scoreline"),
        summary="Evaluation scores over HTTP.",
        redoc_url=None,
        lifespan=_lifespan(settings),
    )
    app.state.settings, app.state.limits = settings, Limits.of(settings)
    app.state.keys, app.state.failure = None, None
    app.add_middleware(Admission, settings=settings)
    add_error_answers(app)
    app.include_router(scores.router)
    app.include_router(describing.router)
    app.include_router(health.router)
    for family in (langfuse, interactiveai, pandaprobe, otlp, elsewhere):
        app.include_router(family.router)
    describing.describe(app)
    return app


def _lifespan(settings: Settings) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        deliveries = Deliveries(settings)
        app.state.intake = Intake(deliveries)
        followed = Followed(settings, declare_topics(settings).keys.name, decode_key)
        following = asyncio.create_task(_follow_keys(app, settings, followed))
        try:
            yield
        finally:
            following.cancel()
            with suppress(asyncio.CancelledError):
                await following
            followed.stop()
            left = deliveries.close()
            if left:
                log.error("%d scores were not acknowledged; their senders were told so", left)

    return lifespan


async def _follow_keys(app: FastAPI, settings: Settings, followed: Followed[ApiKey]) -> None:
    """Let the app know its keys, and tell when it would no longer hear of a revoked one."""
    stopped = False
    try:
        await asyncio.to_thread(await_broker, settings, lambda: stopped)
        await _patiently(lambda: require_topics(settings))
        followed.start()
        await _patiently(followed.catch_up)
        app.state.keys = KeyRing(lambda: followed.entries, settings.gateway_rate)
        log.info("ready, %d keys", len(followed.entries))
        while True:
            await asyncio.sleep(CHECK_S)
            await asyncio.to_thread(followed.check, settings.stall_s)
    except ScorelineError as error:
        app.state.failure = error
        log.critical("%s", error)
    finally:
        stopped = True


async def _patiently(call: Callable[[], None]) -> None:
    while True:
        try:
            await asyncio.to_thread(call)
        except PermanentError:
            raise
        except RetryableError as error:
            log.warning("%s; trying again", error)
            await asyncio.sleep(1)
        else:
            return
