"""What one request, one key and all requests together may take."""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import dataclass
from typing import NamedTuple

from starlette.types import ASGIApp, Receive, Scope, Send

from scoreline.errors import RequestRefused
from scoreline.settings import Settings
from scoreline.web.answers import error_response
from scoreline.web.observing import PATHS

RETRY_AFTER_S = 2
"""When to come back after an answer that the gateway cannot work now."""


class Bound(NamedTuple):
    """A limit, and the setting to name where it is passed."""

    most: int
    setting: str


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one request."""

    body_bytes: Bound
    inflated_bytes: Bound
    stream_bytes: Bound
    items: Bound
    stream_items: Bound
    depth: Bound
    body_s: float
    """How long a client may fall behind `bodies.RATE_MIN` while it sends a body."""

    @staticmethod
    def of(settings: Settings) -> Limits:
        """As the settings say."""
        return Limits(
            Bound(settings.gateway_body_bytes_max, "SCORELINE_GATEWAY_BODY_BYTES_MAX"),
            Bound(settings.gateway_inflated_bytes_max, "SCORELINE_GATEWAY_INFLATED_BYTES_MAX"),
            Bound(settings.gateway_stream_bytes_max, "SCORELINE_GATEWAY_STREAM_BYTES_MAX"),
            Bound(settings.gateway_items_max, "SCORELINE_GATEWAY_ITEMS_MAX"),
            Bound(settings.gateway_stream_items_max, "SCORELINE_GATEWAY_STREAM_ITEMS_MAX"),
            Bound(settings.gateway_depth_max, "SCORELINE_GATEWAY_DEPTH_MAX"),
            settings.gateway_body_s,
        )


class TokenBucket:
    """`rate` scores a second, a second's worth at once. A request may leave it in debt, which the next ones wait out:
    so a bulk of any size passes, and the rate holds all the same."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self._burst = max(rate, 1.0)
        self._tokens, self._at = self._burst, time.monotonic()

    def spend(self, scores: int) -> None:
        """Take so many tokens."""
        self._fill()
        self._tokens -= scores

    def wait_s(self) -> int:
        """Whole seconds until the bucket is out of debt; 0 when it is."""
        self._fill()
        return 0 if self._tokens >= 1 else math.ceil((1 - self._tokens) / self.rate)

    def _fill(self) -> None:
        now = time.monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self.rate)
        self._at = now


class Held:
    """Bytes that one request holds in memory."""

    __slots__ = ("_admission", "bytes")

    def __init__(self, admission: Admission) -> None:
        self._admission, self.bytes = admission, 0

    def take(self, size: int) -> None:
        """Hold `size` bytes more until the request is answered. Raises RequestRefused when there is no room."""
        admission = self._admission
        if admission.bytes + size > admission.bytes_max:
            raise overloaded("SCORELINE_GATEWAY_BUFFER_BYTES_MAX")
        self.bytes += size
        admission.bytes += size

    def keep(self, size: int) -> None:
        """Hold `size` bytes and no more."""
        self._admission.bytes -= self.bytes - size
        self.bytes = size


def too_many(what: str, bound: Bound) -> RequestRefused:
    """The answer to a request that holds more of something than it may."""
    return RequestRefused(
        413, "too_many_items", f"more than {bound.most} {what} in one request", f"Send them in parts; {bound.setting}."
    )


def overloaded(setting: str) -> RequestRefused:
    """The answer to a request that finds no room."""
    return RequestRefused(
        503,
        "overloaded",
        "the gateway works on as much as it may hold",
        f"Send it again after Retry-After; an operator can run more gateways or raise {setting}.",
        RETRY_AFTER_S,
    )


ENDING = RequestRefused(503, "ending", "the gateway ends before this request", "Send it again.", 1)


class Admission:
    """ASGI middleware that bounds how many requests are worked on, and how many bytes they hold together."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._requests_max, self.bytes_max = settings.gateway_requests_max, settings.gateway_buffer_bytes_max
        self.requests, self.bytes = 0, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in PATHS:
            await self._app(scope, receive, send)
            return
        if self.requests >= self._requests_max:
            await error_response(overloaded("SCORELINE_GATEWAY_REQUESTS_MAX"))(scope, receive, send)
            return
        held = scope["held"] = Held(self)
        self.requests += 1
        try:
            await self._app(scope, receive, send)
        except asyncio.CancelledError:
            await error_response(ENDING)(scope, receive, send)
        finally:
            self.requests -= 1
            self.bytes -= held.bytes
