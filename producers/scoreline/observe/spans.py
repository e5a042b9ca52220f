"""Spans of batches, linked to the spans that emitted their scores; exported as OpenTelemetry's own environment says.

Off unless OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is set: then nothing is imported, and what
a batch pays is a look at one variable.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable
from typing import Any

from scoreline.errors import SettingsError
from scoreline.observe.catalogue import Process
from scoreline.tracing import read_traceparent

log = logging.getLogger(__name__)

LINKS_MAX = 128
"""Links of one span, the SDK's own bound; a batch of more emitting spans names the first ones."""
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")

_tracer: Any = None


def start(process: Process) -> None:
    """Export spans of this process, if the environment names where to.

    Raises SettingsError when the exporter is not installed.
    """
    global _tracer
    _tracer = None
    disabled = os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
    if disabled or os.environ.get("OTEL_TRACES_EXPORTER") == "none" or not any(map(os.environ.get, _ENDPOINTS)):
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise SettingsError(
            f"{_ENDPOINTS[1]} is set and {error.name} is not installed: pip install 'scoreline[otel]', or unset it"
        ) from error
    name = {} if os.environ.get("OTEL_SERVICE_NAME") else {"service.name": f"scoreline-{process.value}"}
    provider = TracerProvider(resource=Resource.create(name))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    _tracer = provider.get_tracer("scoreline")
    log.info("spans of batches are exported")


def are_on() -> bool:
    """Whether spans are exported."""
    return _tracer is not None


def batch(name: str, seconds: float, parents: Iterable[bytes], **attributes: int | str) -> None:
    """A span that ends now and began `seconds` ago, linked to these `traceparent`s; none without one to link to."""
    if _tracer is None:
        return
    from opentelemetry.context import Context
    from opentelemetry.trace import Link

    contexts = (read_traceparent(parent) for parent in dict.fromkeys(parents))
    links = [Link(context) for context in contexts if context is not None][:LINKS_MAX]
    if not links:
        return
    end = time.time_ns()
    span = _tracer.start_span(name, Context(), links=links, attributes=attributes, start_time=end - int(seconds * 1e9))
    span.end(end)
