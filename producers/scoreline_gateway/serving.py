"""The gateway as a process."""

from __future__ import annotations

from scoreline.settings import Settings
from scoreline.web.serving import Bounds, serve
from scoreline_gateway.app import create_app


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then end what was begun; call it from the main thread.

    Raises TopicError when a topic is missing, and whatever else ends the gateway.
    """
    app = create_app(settings)
    bounds = Bounds(
        host=settings.gateway_host,
        port=settings.gateway_port,
        connections_max=2 * settings.gateway_requests_max,
        head_s=settings.gateway_header_s,
        stall_s=settings.gateway_body_s,
        drain_s=settings.gateway_drain_s,
    )
    serve(app, bounds, app.state.known)
