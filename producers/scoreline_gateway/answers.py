"""What the gateway answers about a rejected score, and while the broker is away."""

from __future__ import annotations

from fastapi import FastAPI, Request, Response

from scoreline.errors import RequestRefused, RetryableError
from scoreline.rejections import Reason, Rejection
from scoreline.remedies import field_of, sender_remedy_of
from scoreline.web.answers import error_response, json_response

UNAVAILABLE_RETRY_S = 5
"""When to come back after an outage of the broker."""
_STATUS = {Reason.MALFORMED_JSON: 400, Reason.TOO_LARGE: 413}


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


def add_outage_answer(app: FastAPI) -> None:
    """Let a request that the broker's absence ended be answered so."""

    async def not_now(_: Request, error: Exception) -> Response:
        assert isinstance(error, RetryableError)
        return error_response(unavailable(error))

    app.add_exception_handler(RetryableError, not_now)
