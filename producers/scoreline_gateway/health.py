"""Whether the gateway lives, and whether it can take scores."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from scoreline.web.answers import json_response

router = APIRouter()


@router.get("/healthz", summary="Alive", tags=["health"])
async def live() -> Response:
    """200 while the process serves requests at all."""
    return json_response({"status": "ok"})


@router.get(
    "/readyz",
    summary="Ready",
    tags=["health"],
    responses={503: {"description": "The keys are not known yet."}},
)
async def ready(request: Request) -> Response:
    """200 once the keys are known, 503 before."""
    if request.app.state.known.entries() is None:
        return json_response({"status": "starting"}, 503)
    return json_response({"status": "ready"})
