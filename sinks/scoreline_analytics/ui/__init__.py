"""The page: scores for people who would rather look than write SQL. It asks `Analytics` and nothing else.

`mount(app)` puts it at /ui of a FastAPI app whose state has `settings`, `analytics(projects) -> Analytics`,
`keys() -> {public key: ApiKey} or None` and `lag`, whose `now()` says how many records worker and sink are behind.
Everything that can be looked at is in the URL (`state.View`); a key and its secret never are.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import RedirectResponse, Response

from scoreline_analytics.ui.state import BASE, PAGES

__all__ = ["mount"]


def mount(app: FastAPI) -> None:
    """Put the page into the app, at /ui. Once a process: NiceGUI has one set of pages."""
    from nicegui import app as pages
    from nicegui import ui as nicegui

    from scoreline_analytics.ui.login import SESSION_S, add_routes, login_url, reader_of
    from scoreline_analytics.ui.pages import BUILDERS
    from scoreline_analytics.ui.rendering import asset
    from scoreline_analytics.ui.shell import ASKING_MAX, Shell, Site

    ui: Any = nicegui  # its types are partly unknown
    site = Site(app, asyncio.Semaphore(ASKING_MAX), dict(BUILDERS))
    add_routes(app, pages)

    def page(request: Request) -> Response | None:
        reader = reader_of(app, request.session)
        if app.state.settings.ui_login and reader is None:
            return RedirectResponse(login_url(request), 303, headers={"Cache-Control": "no-store"})
        query = f"?{request.url.query}" if request.url.query else ""
        Shell(site, request.url.path + query, reader)
        return None

    for path in PAGES.values():
        ui.page(path, title="scoreline")(page)
    # The style comes with the page, so that nothing jumps when it arrives.
    ui.add_head_html(f"<style>{asset('page.css')}</style><script>{asset('page.js')}</script>", shared=True)
    ui.run_with(
        app,
        mount_path=BASE,
        title="scoreline",
        favicon=asset("mark.svg"),
        language="en-US",
        dark=None,
        tailwind=False,
        storage_secret=secrets.token_urlsafe(32),
        session_middleware_kwargs={"max_age": SESSION_S, "same_site": "lax", "session_cookie": "scoreline_ui"},
        show_welcome_message=False,
    )
