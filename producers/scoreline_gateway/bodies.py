"""A request's body, bounded: in bytes on the wire and inflated, in time, in depth, and in all requests together."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from typing import Any, NoReturn, cast

import orjson
from fastapi import Request

from scoreline.errors import RequestRefused
from scoreline_gateway.inflating import inflater
from scoreline_gateway.limits import Bound, Held, Limits

RATE_MIN = 16 * 1024
"""Bytes a second below which a client falls behind."""
BATCH_LINES_MAX = 1000
BATCH_BYTES_MAX = 512 * 1024


def content_type(request: Request) -> str:
    """What the request says that its body is, in lower case, without parameters; empty where it says nothing."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def read_body(request: Request, limits: Limits) -> bytes:
    """The whole body, inflated.

    Raises RequestRefused: 413 above `body_bytes` or `inflated_bytes`, 415 and 400 for an encoding that is not
    taken or broken, 408 when the client is too slow, 503 when there is no room for it now.
    """
    pieces = [piece async for piece in _pieces(request, limits, limits.body_bytes, limits.inflated_bytes)]
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


async def read_lines(request: Request, limits: Limits) -> AsyncIterator[list[bytes]]:
    """The body's lines in batches of bounded size, while it arrives; without line ends and without empty lines.

    A batch is let go when the next one is asked for. Raises RequestRefused as `read_body`, by `stream_bytes`; 413
    for a line above `body_bytes`.
    """
    held = _held(request)
    rest: list[bytes] = []
    rest_bytes = 0
    lines: list[bytes] = []
    lines_bytes = 0
    async for piece in _pieces(request, limits, limits.stream_bytes, limits.stream_bytes):
        first, *others = piece.split(b"\n")
        rest.append(first)
        rest_bytes += len(first)
        if rest_bytes > limits.body_bytes.most:
            _refuse_size("a line", limits.body_bytes)
        if not others:
            continue
        whole, rest, rest_bytes = b"".join(rest), [others[-1]], len(others[-1])
        for line in (whole, *others[:-1]):
            if line and not line.isspace():
                lines.append(line)
                lines_bytes += len(line)
            if len(lines) >= BATCH_LINES_MAX or lines_bytes >= BATCH_BYTES_MAX:
                yield lines
                lines, lines_bytes = [], 0
        held.keep(rest_bytes + lines_bytes)
    last = b"".join(rest)
    if last and not last.isspace():
        lines.append(last)
    if lines:
        yield lines


def parse_json(body: bytes, limits: Limits) -> Any:
    """The JSON value of a body. Raises RequestRefused: 400 when it is none, or nested too deep."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise malformed(str(error)) from error
    if body.count(b"[") + body.count(b"{") > limits.depth.most:
        _check_depth(value, limits.depth)
    return value


def malformed(message: str) -> RequestRefused:
    """The answer to a body that is no JSON."""
    return RequestRefused(400, "malformed_json", f"the body is no JSON: {message}", "Write it with a JSON library.")


def _check_depth(value: Any, bound: Bound) -> None:
    level, depth = [value], 0
    while level:
        level = [item for outer in level for item in _items(outer)]
        depth += 1
        if depth > bound.most:
            raise RequestRefused(
                400, "too_deep", f"the body is nested deeper than {bound.most}", f"Flatten it; {bound.setting}."
            )


def _items(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return cast("dict[str, Any]", value).values()
    return cast("list[Any]", value) if isinstance(value, list) else ()


async def _pieces(request: Request, limits: Limits, on_wire: Bound, in_all: Bound) -> AsyncIterator[bytes]:
    """The body as it arrives and is inflated, no piece empty."""
    held = _held(request)
    headers = request.headers
    inflate = inflater(headers.get("content-encoding", ""))
    declared = headers.get("content-length")
    if declared is not None and declared.isdecimal() and int(declared) > on_wire.most:
        _refuse_size("the body", on_wire)
    received = inflated = 0
    deadline = time.monotonic() + limits.body_s
    more = True
    while more:
        message = await _receive(request, deadline + received / RATE_MIN)
        if message["type"] == "http.disconnect":
            raise RequestRefused(400, "disconnected", "the client went away before its body was complete")
        data, more = message.get("body", b""), message.get("more_body", False)
        received += len(data)
        if received > on_wire.most:
            _refuse_size("the body", on_wire)
        for piece in inflate.feed(data) if data else ():
            inflated += len(piece)
            if inflated > in_all.most:
                _refuse_size("the body, decompressed,", in_all)
            held.take(len(piece))
            yield piece
            # much can come of little: others get their turn in between
            await asyncio.sleep(0)
    inflate.end()


async def _receive(request: Request, deadline: float) -> Any:
    try:
        async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
            return await request.receive()
    except TimeoutError:
        raise RequestRefused(
            408,
            "too_slow",
            f"the body comes slower than {RATE_MIN} bytes a second",
            "Send it faster, compressed, or in smaller requests; SCORELINE_GATEWAY_BODY_S.",
        ) from None


def _held(request: Request) -> Held:
    return request.scope["held"]


def _refuse_size(what: str, bound: Bound) -> NoReturn:
    raise RequestRefused(
        413,
        "body_too_large",
        f"{what} is longer than {bound.most} bytes",
        f"Send less at once, or NDJSON; {bound.setting}.",
    )
