"""OTLP over HTTP: evaluation results out of log records; spans are taken and dropped, and the answer says so.

Answers are in the format of the request, Protobuf or JSON, errors too.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from google.protobuf.json_format import MessageToDict, ParseError
from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsPartialSuccess,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceResponse,
)

from scoreline.errors import RequestRefused, RetryableError
from scoreline.keys import Scope
from scoreline.web.answers import error_response, json_response
from scoreline_gateway.answers import unavailable
from scoreline_gateway.auth import Caller, authorize
from scoreline_gateway.bodies import content_type
from scoreline_gateway.compat.evaluations import EVENT, logs_of_json, scores_of
from scoreline_gateway.compat.requests import object_of, parse, read_bytes, take
from scoreline_gateway.compat.wire import logged_of, logged_of_wire

router = APIRouter(include_in_schema=False)

PROTOBUF, JSON = "application/x-protobuf", "application/json"
REASONS_SHOWN = 5
"""Rejections that an answer explains."""


@router.post("/v1/logs")
async def export_logs(request: Request) -> Response:
    """Take the `gen_ai.evaluation.result` events among log records; all others are passed over."""
    return await _answer(request, _take_logs)


@router.post("/v1/traces")
@router.post("/api/public/otel/v1/traces")
async def export_traces(request: Request) -> Response:
    """Drop spans: SDKs send them along with their scores, and would report an error if they were refused."""
    return await _answer(request, _drop_traces)


async def _take_logs(request: Request, caller: Caller, sent: str) -> Message:
    body = await read_bytes(request)
    try:
        if sent == PROTOBUF:
            records = logged_of_wire(body, EVENT.encode())
        else:
            records = logged_of(await run_in_threadpool(logs_of_json, object_of(parse(request, body))))
        outcomes = await take(request, caller, scores_of(records))
    except (DecodeError, ParseError) as error:
        raise RequestRefused(400, "malformed_otlp", f"the body is no OTLP export request: {error}") from error
    rejections = [outcome.rejection for outcome in outcomes if outcome.rejection is not None]
    if not rejections:
        return ExportLogsServiceResponse()
    reasons = "; ".join(f"{rejection.reason}: {rejection.detail}" for rejection in rejections[:REASONS_SHOWN])
    more = f"; and {len(rejections) - REASONS_SHOWN} more" if len(rejections) > REASONS_SHOWN else ""
    return ExportLogsServiceResponse(
        partial_success=ExportLogsPartialSuccess(rejected_log_records=len(rejections), error_message=reasons + more)
    )


async def _drop_traces(request: Request, _caller: Caller, _sent: str) -> Message:
    """A partial success with a message and no number is a warning: the spans are not even counted."""
    await read_bytes(request)
    dropped = "scoreline keeps scores and drops spans; send those to your trace store"
    return ExportTraceServiceResponse(partial_success=ExportTracePartialSuccess(error_message=dropped))


async def _answer(request: Request, work: Callable[[Request, Caller, str], Awaitable[Message]]) -> Response:
    """The key is checked in here, so that its errors too are answered as OTLP asks for."""
    sent = content_type(request)
    try:
        if sent not in (PROTOBUF, JSON):
            raise RequestRefused(415, "unsupported_media_type", f"Content-Type takes {PROTOBUF} or {JSON}")
        return _response(await work(request, await authorize(Scope.WRITE)(request), sent), sent)
    except RequestRefused as refused:
        return _refusal(refused, sent)
    except RetryableError as error:
        return _refusal(unavailable(error), sent)


def _refusal(refused: RequestRefused, sent: str) -> Response:
    """A `google.rpc.Status` under the status and headers that any endpoint answers with."""
    plain = error_response(refused)
    if sent == PROTOBUF:
        # On the wire a Status with a message alone is this: field 2, a string. Its own class is in another package.
        answer = _response(ExportLogsPartialSuccess(error_message=refused.message), sent)
    else:
        answer = json_response({"message": refused.message})
    answer.status_code = plain.status_code
    for name in ("retry-after", "www-authenticate"):
        if name in plain.headers:
            answer.headers[name] = plain.headers[name]
    return answer


def _response(message: Message, sent: str) -> Response:
    if sent == PROTOBUF:
        return Response(message.SerializeToString(), media_type=PROTOBUF)
    return json_response(MessageToDict(message))
