"""What OpenTelemetry knows of the work at hand: the active span, its baggage, the resource. A service that does not
use OpenTelemetry has not imported it, and then it is not imported here."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

log = logging.getLogger(__name__)

TEXT_CHARS_MAX = 200
"""Longest value that is taken over: no field that it could go into takes more."""

RESOURCE = {
    "service": ("service.name",),
    "environment": ("deployment.environment.name", "deployment.environment"),
    "release": ("service.version",),
}
"""Fields of a score, and the resource attributes that say them, the first that is there."""


class Span(NamedTuple):
    """The ids of the active span."""

    trace_id: str
    """32 hexadecimal digits."""
    span_id: str
    """16 hexadecimal digits."""


class Baggage(NamedTuple):
    """Whose work this is, as an earlier service said it."""

    session_id: str | None
    """`session.id`"""
    user_id: str | None
    """`user.id`"""


def current_span() -> Span | None:
    """The active span; None without one."""
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return None
    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return None
    return Span(f"{context.trace_id:032x}", f"{context.span_id:016x}")


TRACEPARENT = "traceparent"
"""Header of a Kafka record: the span that emitted it, as W3C Trace Context writes it; only of a sampled one."""
_TRACEPARENT = re.compile(rb"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_SAMPLED = 1


def traceparent() -> bytes | None:
    """The active span as a `traceparent`; None without one, or when it is not sampled: nobody could look at it."""
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return None
    context = trace.get_current_span().get_span_context()
    if not context.trace_flags & _SAMPLED or not context.is_valid:
        return None
    return b"00-%032x-%016x-01" % (context.trace_id, context.span_id)


def parent_of(headers: Sequence[tuple[str, bytes | None]]) -> bytes | None:
    """The `traceparent` among a record's headers, the last one; None without one, or of a span that is not sampled."""
    for name, value in reversed(headers):
        if name == TRACEPARENT:
            match = _TRACEPARENT.fullmatch(value or b"")
            return value if match is not None and int(match[3], 16) & _SAMPLED else None
    return None


def read_traceparent(text: bytes) -> Any:
    """The SpanContext that `traceparent` wrote; None for what it never writes. Needs opentelemetry-api."""
    from opentelemetry.trace import SpanContext, TraceFlags

    match = _TRACEPARENT.fullmatch(text)
    if match is None:
        return None
    context = SpanContext(int(match[1], 16), int(match[2], 16), True, TraceFlags(int(match[3], 16)))
    return context if context.is_valid else None


def current_baggage() -> Baggage | None:
    """Session and user that are in the current context; None when neither is. It comes with requests from outside:
    what no score could carry is left out."""
    baggage_api = sys.modules.get("opentelemetry.baggage")
    if baggage_api is None or not (entries := baggage_api.get_all()):
        return None
    baggage = Baggage(_text(entries.get("session.id")), _text(entries.get("user.id")))
    return baggage if any(baggage) else None


def current_provider() -> object | None:
    """The tracer provider in force, when it is one of OpenTelemetry's SDK, which alone has a resource."""
    if "opentelemetry.sdk.trace" not in sys.modules:
        return None
    return sys.modules["opentelemetry.trace"].get_tracer_provider()


def origin_of_resource(provider: object | None) -> dict[str, str]:
    """service, environment and release as the provider's resource says them, those that are there."""
    attributes: Mapping[str, Any] = getattr(getattr(provider, "resource", None), "attributes", None) or {}
    origin: dict[str, str] = {}
    for field, names in RESOURCE.items():
        found = next((text for name in names if (text := _text(attributes.get(name))) is not None), None)
        # the SDK's own word for a service without a name
        if found is not None and not found.startswith("unknown_service"):
            origin[field] = found
    return origin


def span_or_warn() -> Span | None:
    """As `current_span`; the first time in a process that there is none, the log says so."""
    span = current_span()
    if span is None:
        _warn_of_no_span()
    return span


@cache
def _warn_of_no_span() -> None:
    log.warning(
        "no active OpenTelemetry span: score_current_span and score_current_trace emit nothing outside of one; name "
        "the trace with create_score(trace_id=…)"
    )


def _text(value: object) -> str | None:
    if isinstance(value, str) and 0 < len(value) <= TEXT_CHARS_MAX and value.isprintable():
        return value
    return None
