"""Answers as JSON: `{"error": {"code", "message", "remedy"?, …}}` for whatever went wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from scoreline.errors import RequestRefused, RetryableError
from scoreline.rejections import Reason, Rejection
from scoreline.remedies import field_of, sender_remedy_of

UNAVAILABLE_RETRY_S = 5
"""When to come back after an outage of the broker."""
_STATUS = {Reason.MALFORMED_JSON: 400, Reason.TOO_LARGE: 413}
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


def rejection_fields(rejection: Rejection) -> dict[str, str]:
    """Reason, detail, the field where one is wrong, and what the sender can do."""
    fields = {"reason": rejection.reason.value, "detail": rejection.detail}
    field = field_of(rejection.reason, rejection.detail)
    if field is not None:
        fields["field"] = field
    return {**fields, "remedy": sender_remedy_of(rejection.reason)}


def rejection_response(rejection: Rejection, score_id: str | None, status: int) -> Response:
    """The answer to a request whose one score was rejected."""
    fields = rejection_fields(rejection)
    error = {"code": fields.pop("reason"), "message": fields.pop("detail"), **fields}
    if score_id is not None:
        error["score_id"] = score_id
    return json_response({"error": error}, status)


def status_of(rejection: Rejection) -> int:
    """Of the answer to one rejected score: 422, 400 for what is no JSON, 413 for too much."""
    return _STATUS.get(rejection.reason, 422)


def unavailable(error: RetryableError) -> RequestRefused:
    """The answer when the broker has not acknowledged everything of a request."""
    return RequestRefused(
        503,
        "unavailable",
        str(error),
        "Send the whole request again after Retry-After. With ids of your own, or the same Idempotency-Key, what did "
        "arrive is not stored twice.",
        UNAVAILABLE_RETRY_S,
    )


def add_error_answers(app: FastAPI) -> None:
    """Let every error of a request be answered as JSON."""

    async def refused(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestRefused)
        return error_response(error)

    async def not_now(_: Request, error: Exception) -> Response:
        assert isinstance(error, RetryableError)
        return error_response(unavailable(error))

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
    app.add_exception_handler(RetryableError, not_now)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, plain)
