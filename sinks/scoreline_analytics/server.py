"""The read side as an ASGI app: keys, questions over HTTP, and the page."""

from __future__ import annotations

import importlib.metadata
import ipaddress
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from threading import Lock

from fastapi import FastAPI, Response
from fastapi.responses import RedirectResponse
from starlette.middleware.trustedhost import TrustedHostMiddleware

from scoreline.access import Component
from scoreline.errors import SettingsError
from scoreline.following_keys import KnownKeys
from scoreline.observe.catalogue import Process
from scoreline.settings import Settings
from scoreline.web.answers import add_error_answers
from scoreline.web.documentation import add_documentation
from scoreline.web.observing import add_observing, observing
from scoreline_analytics.analytics import Analytics
from scoreline_analytics.api.answering import add_question_errors
from scoreline_analytics.api.describing import describe
from scoreline_analytics.api.desk import Desk
from scoreline_analytics.api.lag import Lag
from scoreline_analytics.api.routes import router
from scoreline_analytics.clickhouse import clickhouse_probe

HANDLES_MAX = 32
"""Handles that are kept open, one for each set of projects."""
EXPORTS_MAX = 4
"""Exports at once; more are refused, since each may take an hour."""


def create_app(settings: Settings) -> FastAPI:
    """The app; what it needs is opened and closed with its lifespan.

    `app.state`: `settings`; `keys()`, the keys by public key, None until they are known; `analytics(projects)`, a
    handle that sees these projects, None: all; `known`, the keys and why they can no longer be heard of.

    Raises SettingsError when everybody would see everything from other machines too.
    """
    require_login_or_loopback(settings)
    known, handles = KnownKeys(), Handles(settings)
    app = FastAPI(
        title="scoreline read side",
        version=importlib.metadata.version("scoreline"),
        summary="Questions about evaluation scores over HTTP.",
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan(settings, known, handles),
    )
    app.state.settings, app.state.known = settings, known
    app.state.keys, app.state.analytics = known.entries, handles.of
    app.state.desk, app.state.exports, app.state.lag = Desk(), Desk(EXPORTS_MAX, 0), Lag(settings)
    if not settings.ui_login:
        # Without a login a page of somebody else must not get here under a name of its own.
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=[settings.ui_host, "localhost", "127.0.0.1", "::1"])
    add_error_answers(app)
    add_question_errors(app)
    app.include_router(router)
    add_observing(app)
    add_documentation(app)
    _add_home(app)
    describe(app)
    _mount_page(app)
    return app


def require_login_or_loopback(settings: Settings) -> None:
    """Raise SettingsError when the server would show everything to other machines without a login."""
    if settings.ui_login or _is_loopback(settings.ui_host):
        return
    raise SettingsError(
        f"SCORELINE_UI_LOGIN=false shows all projects to whoever reaches {settings.ui_host} (SCORELINE_UI_HOST); "
        "listen on 127.0.0.1, or leave the login on"
    )


class Handles:
    """An `Analytics` for each set of projects; of too many, the one that was used longest ago is closed."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._open: OrderedDict[tuple[str, ...] | None, Analytics] = OrderedDict()
        self._lock = Lock()

    def of(self, projects: tuple[str, ...] | None) -> Analytics:
        """The handle that sees these projects; None: all."""
        with self._lock:
            handle = self._open.pop(projects, None) or Analytics(self._settings, projects)
            self._open[projects] = handle
            oldest = self._open.popitem(last=False)[1] if len(self._open) > HANDLES_MAX else None
        if oldest is not None:
            # Whoever still asks with it connects again.
            oldest.close()
        return handle

    def close(self) -> None:
        """Close all."""
        with self._lock:
            handles = list(self._open.values())
            self._open.clear()
        for handle in handles:
            handle.close()


def _lifespan(
    settings: Settings, known: KnownKeys, handles: Handles
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        probes = {"clickhouse": lambda: clickhouse_probe(settings)}
        try:
            async with observing(Process.UI, settings, probes):
                if settings.ui_login:
                    async with known.following(settings, Component.UI):
                        yield
                else:
                    known.want_none()
                    yield
        finally:
            app.state.desk.close()
            app.state.exports.close()
            handles.close()

    return lifespan


def _add_home(app: FastAPI) -> None:
    async def home() -> Response:
        return RedirectResponse("/ui")

    app.add_api_route("/", home, include_in_schema=False)


def _mount_page(app: FastAPI) -> None:
    # NiceGUI takes seconds to import.
    from scoreline_analytics.ui import mount

    mount(app)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
