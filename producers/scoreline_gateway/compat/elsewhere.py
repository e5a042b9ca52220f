"""What the SDKs can ask of their own servers and not of this one: 501, and why."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from scoreline_gateway.compat.requests import not_supported

router = APIRouter(include_in_schema=False)

_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


@router.api_route("/api/public/{path:path}", methods=_METHODS)
@router.api_route("/api/platform/v1/{path:path}", methods=_METHODS)
@router.api_route("/evaluations/{path:path}", methods=_METHODS)
@router.api_route("/traces/{path:path}", methods=_METHODS)
@router.api_route("/traces", methods=_METHODS)
async def elsewhere(request: Request) -> Response:
    """501 for what no router before this one takes."""
    raise not_supported(f"{request.method} {request.url.path}")
