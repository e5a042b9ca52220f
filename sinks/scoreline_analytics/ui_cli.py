"""The command `scoreline ui`."""

from __future__ import annotations

import logging

from scoreline.settings import load_settings

CONNECTIONS_MAX = 1000
HEAD_S = 10.0
STALL_S = 30.0
DRAIN_S = 5.0


def ui(*, host: str | None = None, port: int | None = None) -> None:
    """Show scores in the browser, and answer questions over HTTP, until SIGTERM or Ctrl-C.

    The page is at http://localhost:8090/ui, the API at /v1, described at /docs and /openapi.json. Both want an API key
    with the scope `read`, and show its project:

        scoreline keys create --project checkout --scope read
        curl 'http://localhost:8090/v1/summary?name=accuracy&by=evaluator_model&since=7d' -H 'X-API-Key: sk-scl-…'
        curl 'http://localhost:8090/v1/scores?since=7d&format=parquet' -H 'X-API-Key: sk-scl-…' -o scores.parquet

    With SCORELINE_UI_LOGIN=false nobody is asked, and everybody sees all projects: on loopback only. It reads
    ClickHouse and writes nothing; a database user that may only read suffices. Waits for Kafka, which holds the keys,
    answering 503 until then; ends with status 1 when a topic is missing (`scoreline topics`).

    Settings that matter here: SCORELINE_CLICKHOUSE_…, SCORELINE_KAFKA, SCORELINE_UI_…, SCORELINE_READY_FILE, and
    SCORELINE_TRACE_URL, a link to the tracing tool, as https://traces.example/trace/{trace_id}.

    Parameters
    ----------
    host
        Address to listen on; by default SCORELINE_UI_HOST, else 127.0.0.1. 0.0.0.0 is every interface.
    port
        By default SCORELINE_UI_PORT, else 8090.
    """
    from scoreline.web.serving import Bounds, serve
    from scoreline_analytics.server import create_app

    # They log every failed attempt with its URL; what matters of it is in the answer.
    for driver in ("clickhouse_connect", "urllib3"):
        logging.getLogger(driver).setLevel(logging.CRITICAL)
    given = {"ui_host": host, "ui_port": port}
    settings = load_settings(**{name: value for name, value in given.items() if value is not None})
    app = create_app(settings)
    bounds = Bounds(
        host=settings.ui_host,
        port=settings.ui_port,
        connections_max=CONNECTIONS_MAX,
        head_s=HEAD_S,
        stall_s=STALL_S,
        drain_s=DRAIN_S,
    )
    serve(app, bounds, app.state.known, "websockets-sansio")
