"""Traces through the pipeline: from the span that emits a score to the batches that carry it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from scoreline import Client
from scoreline.observe import spans
from scoreline.observe.catalogue import Process
from scoreline.settings import Settings
from scoreline.topics import declare_topics
from tests.running_pipeline import start
from tests.support import environment, eventually, headers_of, read_topic

Received = list[tuple[str, Span]]
"""Spans, each behind the name of its service."""


@contextmanager
def receiver(received: Received) -> Iterator[str]:
    """An OTLP endpoint that keeps what it gets; its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                [name] = [a.value.string_value for a in resource.resource.attributes if a.key == "service.name"]
                received.extend((name, span) for scope in resource.scope_spans for span in scope.spans)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def linked(received: Received, name: str) -> set[tuple[bytes, bytes]]:
    """Trace and span ids that spans of this name link to."""
    return {(link.trace_id, link.span_id) for _, span in received for link in span.links if span.name == name}


def test_batches_link_to_the_spans_that_emitted_their_scores(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the worker and of the sink, over the headers of both topics; a span that is not sampled leaves no trace."""
    received: Received = []
    tracer, silent = TracerProvider().get_tracer("t"), TracerProvider(sampler=ALWAYS_OFF).get_tracer("t")
    for command in ("topics", "migrate"):
        subprocess.run([sys.executable, "-m", "scoreline.cli", command], env=environment(settings), check=True)
    with receiver(received) as url:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
        with start(settings, tmp_path, "worker") as worker, start(settings, tmp_path, "sink") as sink:
            worker.await_ready()
            sink.await_ready()
            emitting: set[tuple[bytes, bytes]] = set()
            with Client(settings) as client:
                for number in range(20):
                    with tracer.start_as_current_span("judge") as span:
                        client.create_score(name="accuracy", value=0.5, score_id=f"s-{number}", trace_id="t")
                        context = span.get_span_context()
                        emitting.add((context.trace_id.to_bytes(16, "big"), context.span_id.to_bytes(8, "big")))
                with silent.start_as_current_span("judge"):
                    client.create_score(name="unsampled", value=0.5, trace_id="t")
                client.create_score(name="untraced", value=0.5, trace_id="t")
            for name in ("scoreline.worker.batch", "scoreline.sink.insert"):
                eventually(lambda n=name: linked(received, n) == emitting, f"{name} links to all that emitted", 30)
    topics = declare_topics(settings)
    for topic in (topics.raw.name, topics.enriched.name):
        carried = [headers_of(message).get("traceparent") for message in read_topic(settings, topic)]
        assert (len(carried), sum(parent is not None for parent in carried)) == (22, 20)
    services = {(service, span.name) for service, span in received}
    assert services == {("scoreline-worker", "scoreline.worker.batch"), ("scoreline-sink", "scoreline.sink.insert")}
    assert all(span.end_time_unix_nano >= span.start_time_unix_nano for _, span in received)


def test_without_an_endpoint_nothing_is_exported_or_loaded() -> None:
    """Off costs nothing."""
    code = (
        "import sys; from scoreline.observe import spans; from scoreline.observe.catalogue import Process; "
        "spans.start(Process.SINK); spans.batch('x', 1.0, [b'00-' + b'1'*32 + b'-' + b'1'*16 + b'-01']); "
        "print('opentelemetry.sdk' in sys.modules, spans.are_on())"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
        == "False False\n"
    )


def test_links_of_a_span_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch of many thousand emitting spans names the first ones, and each once; what is no traceparent none."""
    received: Received = []
    with receiver(received) as url:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
        spans.start(Process.SINK)
        try:
            parents = [b"00-%032x-%016x-01" % (number, number) for number in range(1, 1000)]
            spans.batch("many", 0.5, [b"nonsense", b"00-%032x-%016x-01" % (0, 0), *parents[:2], *parents])
            eventually(lambda: len(received) == 1, "the span is exported", 10)
        finally:
            monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT")
            spans.start(Process.SINK)
    [(_, span)] = received
    assert [int.from_bytes(link.span_id, "big") for link in span.links] == list(range(1, spans.LINKS_MAX + 1))
    assert trace.get_current_span().get_span_context().is_valid is False
