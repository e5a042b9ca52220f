"""`scoreline worker`."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Parameter
from faust.worker import Worker

from scoreline.settings import load_settings
from scoreline_streams.app import create_app


def worker(
    *, log_level: Annotated[Literal["debug", "info", "warning", "error"], Parameter(help="How much to log.")] = "info"
) -> None:
    """Validate, deduplicate and enrich raw scores, until Ctrl-C.

    Start as many as there are partitions at most; Kafka shares the partitions out. Each needs its own
    SCORELINE_STATE_DIR on one machine. Waits for Kafka; ends with status 1 when a topic is missing, and with 70 when
    its state is uncertain, to be started again by its supervisor.

    Example: SCORELINE_KAFKA=localhost:9092 scoreline worker
    """
    app = create_app(load_settings())
    Worker(app, loglevel=log_level, redirect_stdouts=False).execute_from_commandline()
