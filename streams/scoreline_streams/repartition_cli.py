"""`scoreline topics repartition`."""

from __future__ import annotations

import sys

from scoreline.commands.broker import reach_broker
from scoreline.commands.options import Json
from scoreline.commands.terminal import print_json
from scoreline.settings import load_settings
from scoreline_streams.repartition import repartition as run


def repartition(*, as_json: Json = False) -> None:
    """Add partitions, with the state that their ids need; `scoreline topics repartition --help` tells the procedure.

    Parameters
    ----------
    as_json
        Print {"before", "after", "seeded": {partition: entries}}.
    """
    settings = load_settings()
    reach_broker(settings)
    report = run(settings, _tell)
    if as_json:
        print_json({"before": report.before, "after": report.after, "seeded": dict(report.seeded)})
    elif report.seeded:
        sys.stdout.write(f"{report.before} partitions are {report.after}; set SCORELINE_PARTITIONS={report.after}\n")
    else:
        sys.stdout.write(f"there are {report.after} partitions already\n")


def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")
