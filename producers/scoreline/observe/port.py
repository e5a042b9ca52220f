"""The HTTP port of a process that has no other server: /metrics, /healthz, /readyz, off its hot path."""

from __future__ import annotations

import logging
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

from scoreline.errors import SettingsError
from scoreline.observe.answers import JSON, Answer, answers
from scoreline.observe.health import Health
from scoreline.settings import Settings

log = logging.getLogger(__name__)

CONNECTIONS_MAX = 16
"""At once; one more is closed unanswered."""
REQUEST_S = 5.0
"""How long a client may take for a request, and to take the answer."""


class Port(ThreadingHTTPServer):
    """Serves from threads of its own, a bounded number."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, host: str, port: int, health: Health) -> None:
        self.paths = answers(health)
        self._free = threading.BoundedSemaphore(CONNECTIONS_MAX)
        super().__init__((host, port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 (the base class names them)
        log.debug("a client of the metrics port went away", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    timeout: ClassVar[float | None] = REQUEST_S

    def do_GET(self) -> None:
        assert isinstance(self.server, Port)
        answer = self.server.paths.get(self.path.partition("?")[0], _not_found)()
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def version_string(self) -> str:
        return "scoreline"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the base class names it)
        log.debug(format, *args)


def _not_found() -> Answer:
    return Answer(404, JSON, b'{"status": "not found", "there are": ["/metrics", "/healthz", "/readyz"]}')


def open_port(settings: Settings, health: Health) -> Port | None:
    """Serve at SCORELINE_OBSERVE_HOST and _PORT until the process ends; None where no port is set.

    Raises SettingsError when it cannot listen there.
    """
    if not settings.observe_port:
        return None
    try:
        port = Port(settings.observe_host, settings.observe_port, health)
    except OSError as error:
        raise SettingsError(
            f"cannot listen on {settings.observe_host}:{settings.observe_port}: {error.strerror or error}; choose "
            "another SCORELINE_OBSERVE_HOST or SCORELINE_OBSERVE_PORT, 0 for none"
        ) from error
    threading.Thread(target=port.serve_forever, name="scoreline-observe", daemon=True).start()
    return port
