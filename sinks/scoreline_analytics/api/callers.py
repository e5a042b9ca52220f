"""Whose questions these are: the projects that a request may see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from scoreline.errors import QueryError, RequestRefused
from scoreline.keyring import identify, require_scope
from scoreline.keys import Scope
from scoreline_analytics.analytics import Analytics


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks."""

    projects: tuple[str, ...] | None
    """What may be seen; None: everything."""
    analytics: Analytics
    """Restricted to that."""

    def project_of(self, said: str | None) -> str:
        """The one project that a score is looked for in. Raises QueryError when nobody says which."""
        if said is not None:
            return said
        if self.projects is None:
            raise QueryError("an id is known inside a project only: say project=")
        return self.projects[0]


async def reader(request: Request) -> Caller:
    """A dependency that gives the `Caller`. Raises RequestRefused: 401, 403 without the scope `read`, 503 while the
    keys are not known."""
    state = request.app.state
    if not state.settings.ui_login:
        return Caller(None, state.analytics(None))
    entries = state.keys()
    if entries is None:
        raise RequestRefused(503, "starting", "the server is reading its keys", "Ask again.", 1)
    key = identify(entries, request.headers.get("authorization"), request.headers.get("x-api-key"))
    require_scope(key.scopes, Scope.READ)
    return Caller((key.project,), state.analytics((key.project,)))


Reading = Annotated[Caller, Depends(reader)]
