"""The platform API v1 of InteractiveAI: where `interactiveai` really sends what it addresses to `/api/public`.

It asks once for the organization and the project of its key, and names both in every path; names are in snake case and
answers stand under `data`.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.concurrency import run_in_threadpool

from scoreline.errors import RequestRefused
from scoreline.web.answers import json_response
from scoreline_gateway.answers import rejection_response
from scoreline_gateway.auth import Caller
from scoreline_gateway.compat.config_calls import configs_of
from scoreline_gateway.compat.langfuse import ORGANIZATION, PageLimit, PageNumber
from scoreline_gateway.compat.mapping import score_of_langfuse
from scoreline_gateway.compat.requests import Configurer, Writer, read_object, take

router = APIRouter(prefix="/api/platform/v1", include_in_schema=False)

_PROJECT = f"/organizations/{ORGANIZATION}/projects/{{project}}"


def _own_project(project: str, caller: Caller) -> None:
    if project != caller.project:
        raise RequestRefused(404, "unknown_project", f"this key is of project {caller.project}, not {project}")


def _writer(project: str, caller: Writer) -> Caller:
    _own_project(project, caller)
    return caller


def _configurer(project: str, caller: Configurer) -> Caller:
    _own_project(project, caller)
    return caller


ProjectWriter = Annotated[Caller, Depends(_writer)]
ProjectConfigurer = Annotated[Caller, Depends(_configurer)]


@router.get("/projects")
async def projects(caller: Writer) -> Response:
    """The one project of the key."""
    return json_response({"data": [{"id": caller.project, "name": caller.project, "orgId": ORGANIZATION}]})


@router.post(f"{_PROJECT}/scores")
async def create_score(request: Request, caller: ProjectWriter) -> Response:
    """One score; answered when the broker has it."""
    [outcome] = await take(request, caller, [score_of_langfuse(await read_object(request))])
    if outcome.rejection is not None:
        return rejection_response(outcome.rejection, outcome.score_id, 400)
    return json_response({"data": {"id": outcome.score_id}}, 201)


@router.get(f"{_PROJECT}/score-configs")
async def list_configs(
    request: Request, caller: ProjectConfigurer, page: PageNumber = 1, limit: PageLimit = 50
) -> Response:
    """Score configs of the key's project, by id."""
    found = await run_in_threadpool(configs_of(request, caller).page, page, limit)
    meta = {"page": page, "limit": limit, "total_items": found.total_items, "total_pages": found.total_pages}
    return json_response({"data": {"configs": found.configs, "meta": meta}})


@router.post(f"{_PROJECT}/score-configs")
async def create_config(request: Request, caller: ProjectConfigurer) -> Response:
    """Make a score config; the same again gives the one that is there."""
    config = await run_in_threadpool(configs_of(request, caller).create, await read_object(request))
    return json_response({"data": {"config": config}}, 201)


@router.get(f"{_PROJECT}/score-configs/{{config_id}}")
async def get_config(request: Request, caller: ProjectConfigurer, config_id: str) -> Response:
    """One score config."""
    return json_response({"data": {"config": await run_in_threadpool(configs_of(request, caller).get, config_id)}})


@router.patch(f"{_PROJECT}/score-configs/{{config_id}}")
async def update_config(request: Request, caller: ProjectConfigurer, config_id: str) -> Response:
    """Change a score config; later scores are judged by it."""
    body = await read_object(request)
    return json_response(
        {"data": {"config": await run_in_threadpool(configs_of(request, caller).update, config_id, body)}}
    )
