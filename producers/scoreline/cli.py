"""The command `scoreline`: every subcommand, and where it lives. Nothing is imported before it is asked for."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import logging
import sys

from scoreline.errors import ScorelineError

FAILED, USAGE = 1, 2

COMMANDS = {
    "up": "scoreline_local.cli:up",
    "down": "scoreline_local.cli:down",
    "status": "scoreline_local.cli:status",
    "emit": "scoreline.commands.emit:emit",
    "import": "scoreline.commands.importing:import_scores",
    "tail": "scoreline.commands.tail:tail",
    "worker": "scoreline_streams.cli:worker",
    "sink": "scoreline_sink.cli:sink",
    "query": "scoreline_analytics.cli:query",
    "configs": "scoreline.commands.configs:app",
    "topics": "scoreline.commands.topics:topics",
    "migrate": "scoreline_sink.cli:migrate",
}
"""Subcommand → where it is, imported when it is called."""


def main() -> None:
    """Entry point: exit status 0 done, 1 failed, 2 usage."""
    if importlib.util.find_spec("cyclopts") is None:
        sys.stderr.write("the command line needs its extra: pip install 'scoreline[cli]'\n")
        sys.exit(USAGE)
    from cyclopts import App, CycloptsError

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    app = App(
        name="scoreline",
        help="Evaluation scores from many services to exact analytics: Kafka, Faust, ClickHouse.",
        version=importlib.metadata.version("scoreline"),
        result_action="return_value",
    )
    for name, where in COMMANDS.items():
        app.command(where, name=name)
    try:
        app(exit_on_error=False)
    except CycloptsError:
        sys.exit(USAGE)
    except ScorelineError as error:
        sys.stderr.write(f"scoreline: {error}\n")
        sys.exit(FAILED)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
