"""`POST /v1/scores`: one score, an array of them, or a stream of lines."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Request, Response

from scoreline.errors import RequestRefused, RetryableError
from scoreline.keys import Scope
from scoreline.rejections import found
from scoreline.web.answers import error_response, json_response
from scoreline_gateway.answers import rejection_fields, rejection_response, status_of, unavailable
from scoreline_gateway.auth import Caller, authorize
from scoreline_gateway.bodies import content_type, malformed, read_body, read_lines
from scoreline_gateway.describing import CREATE_SCORES
from scoreline_gateway.intake import Intake, Outcome
from scoreline_gateway.limits import Bound, Limits, too_many
from scoreline_gateway.reading import Item, ids_of, is_array, random_ids, read_item, split_array

router = APIRouter()

NDJSON = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"})
JSON = frozenset({"", "application/json", "text/json", "application/x-www-form-urlencoded"})
"""`application/x-www-form-urlencoded` is what curl says of any body where it is not told."""
_IDEMPOTENCY_KEY = re.compile(r"[!-~]{1,255}")


@router.post("/v1/scores", status_code=202, summary="Send scores", tags=["scores"], openapi_extra=CREATE_SCORES)
async def create_scores(request: Request, caller: Annotated[Caller, Depends(authorize(Scope.WRITE))]) -> Response:
    """Take one score, an array of them, or NDJSON, and answer when the broker has them.

    One score: 202, or 400, 413 or 422 with the reason. An array or NDJSON: 202 when all were accepted, 207 when some
    or all were rejected; the results are in order.
    """
    intake: Intake = request.app.state.intake
    limits: Limits = request.app.state.limits
    new_id = _ids(request, caller.project)
    sent = content_type(request)
    if sent in NDJSON:
        return await _take_lines(request, caller, intake, limits, new_id)
    if sent not in JSON and not sent.endswith("+json"):
        raise RequestRefused(
            415,
            "unsupported_media_type",
            f"Content-Type {sent[:80]!r} is not taken",
            "Send application/json, or application/x-ndjson for a score on each line.",
        )
    body = await read_body(request, limits)
    if is_array(body):
        return await _take_array(body, caller, intake, limits, new_id)
    [outcome] = await intake.accept_texts(caller.project, [read_item(body)], new_id)
    if outcome.rejection is not None:
        return rejection_response(outcome.rejection, outcome.score_id, status_of(outcome.rejection))
    return json_response({"score_id": outcome.score_id, "status": "accepted"}, 202)


async def _take_array(
    body: bytes, caller: Caller, intake: Intake, limits: Limits, new_id: Callable[[], str]
) -> Response:
    try:
        outcomes = await intake.accept_texts(caller.project, _bounded(split_array(body), limits.items), new_id)
    except ValueError as error:
        raise malformed(str(error)) from error
    caller.spend(len(outcomes) - 1)
    return _answer(len(outcomes), [_result(outcome) for outcome in outcomes], _rejected(outcomes))


async def _take_lines(
    request: Request, caller: Caller, intake: Intake, limits: Limits, new_id: Callable[[], str]
) -> Response:
    """Each batch of lines is acknowledged before the next one is read; an error says how many scores were."""
    total = rejected = 0
    results: list[bytes] = []
    try:
        async for lines in read_lines(request, limits):
            if total + len(lines) > limits.stream_items.most:
                raise too_many("scores", limits.stream_items)
            outcomes = await intake.accept_texts(caller.project, map(read_item, lines), new_id)
            caller.spend(len(outcomes))
            total += len(outcomes)
            rejected += _rejected(outcomes)
            results.append(b",".join(orjson.dumps(_result(outcome)) for outcome in outcomes))
    except RetryableError as error:
        return error_response(unavailable(error), acknowledged=total - rejected)
    except RequestRefused as refused:
        return error_response(refused, acknowledged=total - rejected)
    return _answer(total, orjson.Fragment(b"[%b]" % b",".join(results)), rejected)


def _ids(request: Request, project: str) -> Callable[[], str]:
    key = request.headers.get("idempotency-key")
    if key is None:
        return random_ids()
    if _IDEMPOTENCY_KEY.fullmatch(key) is None:
        raise RequestRefused(
            400,
            "bad_idempotency_key",
            f"Idempotency-Key is {found(key)}",
            "Use 1–255 visible ASCII characters, as a UUID that stays the same when the request is sent again.",
        )
    return ids_of(key, project)


def _bounded(items: Iterator[Item], bound: Bound) -> Iterator[Item]:
    for number, item in enumerate(items, 1):
        if number > bound.most:
            raise too_many("scores", bound)
        yield item


def _result(outcome: Outcome) -> dict[str, Any]:
    if outcome.rejection is None:
        return {"score_id": outcome.score_id, "status": "accepted"}
    return {"score_id": outcome.score_id, "status": "rejected", **rejection_fields(outcome.rejection)}


def _rejected(outcomes: list[Outcome]) -> int:
    return sum(outcome.rejection is not None for outcome in outcomes)


def _answer(total: int, results: Any, rejected: int) -> Response:
    body = {"accepted": total - rejected, "rejected": rejected, "results": results}
    return json_response(body, 207 if rejected else 202)
