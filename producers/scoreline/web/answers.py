"""Answers as JSON: `{"error": {"code", "message", "remedy"?, …}}` for whatever went wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from scoreline.errors import RequestRefused

_CODES = {404: "not_found", 405: "method_not_allowed"}


def json_response(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A response with a JSON body."""
    return Response(orjson.dumps(content), status, headers, "application/json")


def error_response(refused: RequestRefused, **more: Any) -> Response:
    """The answer to a request that was refused; `more` stands beside the code."""
    error = {"code": refused.code, "message": refused.message}
    if refused.remedy is not None:
        error["remedy"] = refused.remedy
    headers: dict[str, str] = {}
    if refused.retry_after_s is not None:
        headers["Retry-After"] = str(refused.retry_after_s)
    if refused.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="scoreline", Basic realm="scoreline"'
    return json_response({"error": {**error, **more}}, refused.status, headers)


def add_error_answers(app: FastAPI) -> None:
    """Let every error that is no server's own be answered as JSON: refused, invalid, not found."""

    async def refused(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestRefused)
        return error_response(error)

    async def invalid(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return error_response(RequestRefused(422, "invalid_request", f"{where}: {first['msg']}"))

    async def plain(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        answer = error_response(
            RequestRefused(error.status_code, _CODES.get(error.status_code, "http_error"), error.detail)
        )
        answer.headers.update(error.headers or {})
        return answer

    app.add_exception_handler(RequestRefused, refused)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, plain)
