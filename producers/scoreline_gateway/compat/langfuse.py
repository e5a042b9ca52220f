"""The scores API of Langfuse, at `/api/public`: what `langfuse` and relatives of it send.

Scores and score configs; what belongs to a store of traces is answered 501.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from typing import Annotated, Any, cast

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from scoreline.errors import RequestRefused
from scoreline.rejections import Rejection
from scoreline.web.answers import json_response
from scoreline_gateway.answers import rejection_response
from scoreline_gateway.auth import Caller
from scoreline_gateway.compat.config_calls import configs_of
from scoreline_gateway.compat.mapping import Fields, score_of_event, score_of_langfuse
from scoreline_gateway.compat.requests import (
    Configurer,
    Writer,
    object_of,
    read_json,
    read_object,
    refuse_too_many,
    take,
)
from scoreline_gateway.compat.score_configs import PAGE_LIMIT_MAX
from scoreline_gateway.intake import Outcome
from scoreline_gateway.reading import NO_OBJECT

router = APIRouter(prefix="/api/public", include_in_schema=False)

PageNumber = Annotated[int, Query(ge=1)]
PageLimit = Annotated[int, Query(ge=1, le=PAGE_LIMIT_MAX)]

ORGANIZATION = "scoreline"
"""The SDKs want a project to have one; it means nothing here."""
_TRACE_EVENTS = frozenset(
    {
        "trace-create",
        "span-create",
        "span-update",
        "generation-create",
        "generation-update",
        "event-create",
        "observation-create",
        "observation-update",
        "dataset-run-item-create",
        "sdk-log",
    }
)
_IGNORED = "not stored: scoreline keeps scores, no traces"


@router.get("/health")
async def health() -> Response:
    """Whether the gateway answers."""
    return json_response({"status": "OK", "version": importlib.metadata.version("scoreline")})


@router.get("/projects")
async def projects(caller: Writer) -> Response:
    """The one project of the key; the SDKs check their keys with it."""
    organization = {"id": ORGANIZATION, "name": ORGANIZATION}
    metadata: dict[str, Any] = {}
    project = {"id": caller.project, "name": caller.project, "organization": organization, "metadata": metadata}
    return json_response({"data": [project]})


@router.post("/scores")
async def create_scores(request: Request, caller: Writer) -> Response:
    """One score, or an array of them; answered when the broker has them."""
    body = await read_json(request)
    if isinstance(body, list):
        return await _create_many(request, caller, cast("list[Any]", body))
    [outcome] = await take(request, caller, [score_of_langfuse(object_of(body))])
    if outcome.rejection is not None:
        return rejection_response(outcome.rejection, outcome.score_id, 400)
    return json_response({"id": outcome.score_id})


async def _create_many(request: Request, caller: Caller, bodies: Sequence[Any]) -> Response:
    """202, or 207 with what was rejected: the SDK does not send those again."""
    outcomes = await take(request, caller, map(_score, bodies))
    errors = [{"message": _reason(outcome)} for outcome in outcomes if outcome.rejection]
    if not errors:
        return json_response({"message": "Accepted"}, 202)
    return json_response({"accepted": len(outcomes) - len(errors), "rejected": len(errors), "errors": errors}, 207)


@router.post("/ingestion")
async def ingest(request: Request, caller: Writer) -> Response:
    """A batch of events, of which scores are taken; 207 with what became of each."""
    batch = (await read_object(request)).get("batch")
    if not isinstance(batch, list):
        raise RequestRefused(400, "missing_field", "batch: required, a list of events")
    refuse_too_many(len(cast("list[Any]", batch)), request.app.state.limits)
    events = [object_of(event) for event in cast("list[Any]", batch)]
    scores = (score_of_event(event) for event in events if event.get("type") == "score-create")
    outcomes = iter(await take(request, caller, scores))
    successes: list[dict[str, Any]] = []
    errors: list[dict[str, Any]] = []
    for event in events:
        kind, event_id = event.get("type"), str(event.get("id", ""))
        if kind == "score-create":
            outcome = next(outcomes)
            if outcome.rejection is None:
                successes.append({"id": event_id, "status": 201})
            else:
                errors.append({"id": event_id, "status": 400, "message": _reason(outcome)})
        elif isinstance(kind, str) and kind in _TRACE_EVENTS:
            successes.append({"id": event_id, "status": 202, "message": _IGNORED})
        else:
            errors.append({"id": event_id, "status": 400, "message": f"type: no event is called {str(kind)[:80]!r}"})
    return json_response({"successes": successes, "errors": errors}, 207)


@router.get("/score-configs")
async def list_configs(request: Request, caller: Configurer, page: PageNumber = 1, limit: PageLimit = 50) -> Response:
    """Score configs of the key's project, by id."""
    found = await run_in_threadpool(configs_of(request, caller).page, page, limit)
    meta = {"page": page, "limit": limit, "totalItems": found.total_items, "totalPages": found.total_pages}
    return json_response({"data": found.configs, "meta": meta})


@router.post("/score-configs")
async def create_config(request: Request, caller: Configurer) -> Response:
    """Make a score config; the same again gives the one that is there."""
    return json_response(await run_in_threadpool(configs_of(request, caller).create, await read_object(request)))


@router.get("/score-configs/{config_id}")
async def get_config(request: Request, caller: Configurer, config_id: str) -> Response:
    """One score config."""
    return json_response(await run_in_threadpool(configs_of(request, caller).get, config_id))


@router.patch("/score-configs/{config_id}")
async def update_config(request: Request, caller: Configurer, config_id: str) -> Response:
    """Change a score config; later scores are judged by it."""
    body = await read_object(request)
    return json_response(await run_in_threadpool(configs_of(request, caller).update, config_id, body))


def _score(body: Any) -> Fields | Rejection:
    return score_of_langfuse(cast("dict[str, Any]", body)) if isinstance(body, dict) else NO_OBJECT


def _reason(outcome: Outcome) -> str:
    """Names the score, so that its sender can tell which one it was."""
    assert outcome.rejection is not None
    return f"score {outcome.score_id}: {outcome.rejection.reason}: {outcome.rejection.detail}"
