"""Who looks: a reader's API key, shown once to log in; then a signed cookie that names it, never its secret."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from scoreline.errors import RequestRefused
from scoreline.keyring import identify
from scoreline.keys import ApiKey, Scope
from scoreline_analytics.ui.rendering import asset, render
from scoreline_analytics.ui.state import BASE, PAGES

SESSION_S = 12 * 3600
"""How long a login holds."""
_BODY_BYTES_MAX = 4096
_READER = "reader"
_HEADERS = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY"}
_log = logging.getLogger("scoreline.ui")


def projects_of(reader: ApiKey | None) -> tuple[str, ...] | None:
    """What a reader may see; None: everything, where nobody has to log in."""
    return None if reader is None else (reader.project,)


def reader_of(app: FastAPI, session: Mapping[str, Any]) -> ApiKey | None:
    """The key that is logged in, if it still is one that may read; None without, or where nobody has to log in."""
    keys: Mapping[bytes, ApiKey] | None = app.state.keys() if app.state.settings.ui_login else None
    found = None if keys is None else keys.get(str(session.get(_READER, "")).encode())
    return found if found is not None and Scope.READ in found.scopes else None


def login_url(request: Request) -> str:
    """Where to log in, and come back from."""
    query = f"?{request.url.query}" if request.url.query else ""
    return f"{BASE}/login?next={quote(_own(request.url.path + query), safe='')}"


def add_routes(app: FastAPI, pages: FastAPI) -> None:
    """The form, logging in and logging out; `pages` is the app that is mounted at BASE."""

    @pages.get("/login", include_in_schema=False)
    def form(request: Request) -> Response:  # pyright: ignore[reportUnusedFunction]
        return _form(str(request.query_params.get("next", "")), "", 200)

    @pages.post("/login", include_in_schema=False)
    async def login(request: Request) -> Response:  # pyright: ignore[reportUnusedFunction]
        fields = await _fields(request)
        following = fields.get("next", "")
        keys: Mapping[bytes, ApiKey] | None = app.state.keys()
        if keys is None:
            return _form(following, "The keys could not be read from Kafka yet. Try again in a moment.", 503)
        try:
            entry = identify(keys, None, fields.get("key", "").strip() or None)
        except RequestRefused as error:
            _log.warning("a login failed: %s", error.message)
            return _form(following, "This key is not known here, or was revoked. Check that it is the secret key.", 401)
        if Scope.READ not in entry.scopes:
            return _form(following, "This key may not read. Use one made with: scoreline keys create --scope read", 403)
        request.session.clear()
        request.session[_READER] = entry.public_key
        return RedirectResponse(_own(following), 303, headers=_HEADERS)

    @pages.post("/logout", include_in_schema=False)
    def logout(request: Request) -> Response:  # pyright: ignore[reportUnusedFunction]
        request.session.clear()
        return RedirectResponse(f"{BASE}/login", 303, headers=_HEADERS)


def _form(following: str, message: str, status: int) -> Response:
    page = render("login", css=asset("page.css"), base=BASE, message=message, next=_own(following))
    return HTMLResponse(page, status, headers=_HEADERS)


async def _fields(request: Request) -> dict[str, str]:
    """Fields of a short form; of a longer body, none."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > _BODY_BYTES_MAX:
            return {}
    return {name: values[0] for name, values in parse_qs(body.decode("utf-8", "replace")).items()}


def _own(url: str) -> str:
    """The path and query of a page of ours; the overview for anything else."""
    parts = urlsplit(url)
    page = "/" + parts.path.removeprefix(BASE).strip("/")
    is_own = not parts.scheme and not parts.netloc and parts.path.startswith(BASE) and page in PAGES.values()
    if not is_own:
        return f"{BASE}/"
    return parts.path + (f"?{parts.query}" if parts.query else "")
