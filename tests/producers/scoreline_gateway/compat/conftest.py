"""A real gateway in front of a real broker, and something between it and an SDK that spoils answers."""

from __future__ import annotations

import http.client
import http.server
import threading
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.conftest import Stack
from tests.producers.scoreline_gateway.compat.gateways import Gateway, Spoiler, gateway_of
from tests.running_gateway import Gateway as RunningGateway
from tests.running_pipeline import Pipeline


@pytest.fixture(scope="module")
def running(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """With topics of a test module, and nothing behind them."""
    settings = stack.settings.model_copy(update={"topic_prefix": f"t{uuid.uuid4().hex[:10]}."})
    with gateway_of(settings, tmp_path_factory.mktemp("gateway")) as gateway:
        yield gateway


@pytest.fixture
def gateway(running: RunningGateway) -> Gateway:
    """A project of its own at the gateway of the module."""
    return Gateway(running, f"p{uuid.uuid4().hex[:10]}")


@pytest.fixture
def gateway_of_pipeline(pipeline: Pipeline, tmp_path: Path) -> Iterator[Gateway]:
    """Project `checkout` at a gateway in front of the whole pipeline."""
    with gateway_of(pipeline.settings, tmp_path) as gateway:
        yield Gateway(gateway, "checkout")


@pytest.fixture
def spoiler(gateway: Gateway) -> Iterator[Spoiler]:
    """Passes everything on until it is told otherwise."""
    target = ("127.0.0.1", gateway.process.port)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            scores = "scores" in self.path or "logs" in self.path
            fault = spoiler.faults.pop(0) if scores and spoiler.faults else ""
            if fault in ("refuse", "limit"):
                self._answer(503 if fault == "refuse" else 429, b"{}")
                return
            with closing(http.client.HTTPConnection(*target, timeout=30)) as connection:
                connection.request(self.command, self.path, body, dict(self.headers.items()))
                response = connection.getresponse()
                answer = response.read()
            spoiler.passed += scores
            if fault == "drop":
                self.close_connection = True
            elif fault == "lose":
                self._answer(503, b"{}")
            else:
                self._answer(response.status, answer, response.getheader("content-type", ""))

        do_GET = do_PATCH = do_DELETE = do_POST

        def _answer(self, status: int, body: bytes, content_type: str = "application/json") -> None:
            self.send_response(status)
            if status in (429, 503):
                self.send_header("Retry-After", "1")
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    spoiler = Spoiler(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield spoiler
    server.shutdown()
    thread.join()
    server.server_close()
