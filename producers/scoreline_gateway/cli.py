"""The command `scoreline gateway`."""

from __future__ import annotations

from scoreline.settings import load_settings


def gateway(*, host: str | None = None, port: int | None = None) -> None:
    """Take scores over HTTP and put them on scores.raw, until SIGTERM or Ctrl-C.

    A score is answered 202 when the broker has acknowledged it, and never before. Callers need an API key, made by
    `scoreline keys create`; it says whose project the scores are:

        curl http://localhost:8080/v1/scores -H "Authorization: Bearer sk-scl-…" \\
            --json '{"name": "accuracy", "value": 0.92, "trace_id": "t-1"}'

    GET /openapi.json and /docs describe every endpoint, GET /v1/schema a score. Waits for Kafka, answering 503 until
    then; ends with status 1 when a topic is missing (`scoreline topics`). On SIGTERM it takes no new connection and
    finishes what it has begun. It uses one core: run several behind a load balancer.

    Settings that matter here: SCORELINE_KAFKA, SCORELINE_GATEWAY_*, SCORELINE_READY_FILE.

    Parameters
    ----------
    host
        Address to listen on; by default SCORELINE_GATEWAY_HOST, else 127.0.0.1. 0.0.0.0 is every interface.
    port
        By default SCORELINE_GATEWAY_PORT, else 8080.
    """
    from scoreline_gateway.serving import run

    given = {"gateway_host": host, "gateway_port": port}
    run(load_settings(**{name: value for name, value in given.items() if value is not None}))
