"""`scoreline worker`."""

from __future__ import annotations

import importlib
import sys
from typing import Annotated, Literal

from cyclopts import Parameter

from scoreline.commands.terminal import refuse
from scoreline.settings import load_settings
from scoreline_streams import processes as crew


def worker(
    *,
    processes: int | Literal["auto"] = 1,
    log_level: Annotated[Literal["debug", "info", "warning", "error"], Parameter(help="How much to log.")] = "info",
) -> None:
    """Validate, deduplicate and enrich raw scores, until Ctrl-C.

    Start as many as there are partitions at most; Kafka shares the partitions out. Each that you start needs its own
    SCORELINE_STATE_DIR on one machine; those of --processes share one, in which each has a folder. Waits for Kafka;
    ends with status 1 when a topic is missing, and with 70 when its state is uncertain, to be started again by its
    supervisor.

    Example: SCORELINE_KAFKA=localhost:9092 scoreline worker --processes auto

    Parameters
    ----------
    processes
        Worker processes to run under this one, which starts again those that die; auto: one for each core, and no more
        than there are partitions. Each after the first observes one port further than SCORELINE_OBSERVE_PORT.
    """
    settings = load_settings()
    number = min(crew.cores(), settings.partitions) if processes == "auto" else processes
    if not 1 <= number <= crew.PROCESSES_MAX:
        refuse(f"--processes {number}: give a number from 1 to {crew.PROCESSES_MAX}, or auto")
    if number > 1:
        # what a process needs is missed here, not in each of them
        importlib.import_module("faust")
        sys.exit(crew.run(settings, number, log_level))
    from scoreline_streams.working import work

    work(settings, log_level)
