"""What the routers of all families do with a request: read its JSON, take its scores, refuse what is not ours."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import Annotated, Any, cast

from fastapi import Depends, Request

from scoreline.errors import RequestRefused
from scoreline.keys import Scope
from scoreline.rejections import Rejection
from scoreline_gateway.auth import Caller, authorize
from scoreline_gateway.bodies import parse_json, read_body
from scoreline_gateway.compat.mapping import Fields
from scoreline_gateway.intake import Intake, Outcome
from scoreline_gateway.limits import Held, Limits, too_many
from scoreline_gateway.reading import NO_OBJECT

WRITER = Depends(authorize(Scope.WRITE))
Writer = Annotated[Caller, WRITER]
Configurer = Annotated[Caller, Depends(authorize(Scope.CONFIGS))]

VALUES_MAX = 500_000
VALUE_BYTES = 100
"""About what one JSON value takes once it is parsed."""
TURN_S = 0.02
"""How long scores of one request are mapped before other requests get a turn."""


async def read_bytes(request: Request) -> bytes:
    """The body. Raises RequestRefused."""
    return await read_body(request, request.app.state.limits)


async def read_json(request: Request) -> Any:
    """The body as JSON. Raises RequestRefused."""
    return parse(request, await read_bytes(request))


def parse(request: Request, body: bytes) -> Any:
    """A body as JSON; what it takes in memory counts as held by the request. Raises RequestRefused."""
    values = body.count(b",") + body.count(b"{") + body.count(b"[")
    if values > VALUES_MAX:
        raise RequestRefused(
            413, "too_many_values", f"more than {VALUES_MAX} JSON values in one request", "Send them in parts."
        )
    held: Held = request.scope["held"]
    held.take(values * VALUE_BYTES)
    return parse_json(body, request.app.state.limits)


async def read_object(request: Request) -> dict[str, Any]:
    """The body as a JSON object. Raises RequestRefused."""
    return object_of(await read_json(request))


def object_of(value: Any) -> dict[str, Any]:
    """`value`, when it is an object. Raises RequestRefused."""
    if not isinstance(value, dict):
        raise RequestRefused(400, NO_OBJECT.reason, NO_OBJECT.detail)
    return cast("dict[str, Any]", value)


async def take(request: Request, caller: Caller, scores: Iterable[Fields | Rejection | None]) -> list[Outcome]:
    """What becomes of each score; one that has no fields has been rejected already, None is passed over.

    Raises RequestRefused when there are too many, and what `Intake.accept` raises.
    """
    limits: Limits = request.app.state.limits
    intake: Intake = request.app.state.intake
    found: list[Fields | Rejection] = []
    turn_ends = time.monotonic() + TURN_S
    for score in scores:
        if score is not None:
            found.append(score)
            refuse_too_many(len(found), limits)
        if time.monotonic() > turn_ends:
            await asyncio.sleep(0)
            turn_ends = time.monotonic() + TURN_S
    taken = iter(await intake.accept(caller.project, [score for score in found if not isinstance(score, Rejection)]))
    caller.spend(max(0, len(found) - 1))
    return [Outcome(None, score) if isinstance(score, Rejection) else next(taken) for score in found]


def refuse_too_many(items: int, limits: Limits) -> None:
    """Raises RequestRefused."""
    if items > limits.items.most:
        raise too_many("items", limits.items)


def not_supported(what: str) -> RequestRefused:
    """The answer where an SDK asks for what scoreline has not."""
    return RequestRefused(
        501,
        "not_supported",
        f"{what}: not supported by scoreline, which takes scores and score configs",
        "Scores are read in ClickHouse: scoreline query, or SQL on the table scores.",
    )
