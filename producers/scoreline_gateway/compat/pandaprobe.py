"""The API of PandaProbe: `POST /evaluations/trace-scores`, and its traces, which are taken and dropped."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from scoreline.web.answers import json_response
from scoreline_gateway.answers import rejection_response
from scoreline_gateway.compat.mapping import id_of_request, score_of_pandaprobe
from scoreline_gateway.compat.requests import WRITER, Writer, object_of, parse, read_bytes, take

router = APIRouter(include_in_schema=False)

_DROPPED = {"stored": False, "message": "scoreline keeps scores, no traces"}


@router.post("/evaluations/trace-scores")
async def create_score(request: Request, caller: Writer) -> Response:
    """One score; answered when the broker has it."""
    body = await read_bytes(request)
    headers = request.headers
    fields = score_of_pandaprobe(object_of(parse(request, body)), headers.get("x-project-name"))
    request_id = headers.get("x-request-id")
    if request_id:
        fields["score_id"] = id_of_request(request_id, body)
    [outcome] = await take(request, caller, [fields])
    if outcome.rejection is not None:
        return rejection_response(outcome.rejection, outcome.score_id, 422)
    return json_response({"id": outcome.score_id}, 201)


@router.post("/traces", dependencies=[WRITER])
@router.post("/traces/{trace_id}/spans", dependencies=[WRITER])
@router.patch("/traces/{trace_id}", dependencies=[WRITER])
@router.patch("/traces/{trace_id}/spans/{span_id}", dependencies=[WRITER])
async def drop_trace(request: Request) -> Response:
    """Traces and spans, which the SDK sends along with its scores: taken, so that it reports no error, and dropped."""
    await read_bytes(request)
    return json_response(_DROPPED, 202)
