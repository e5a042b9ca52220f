"""The command `scoreline`: every subcommand, and where it lives. Nothing is imported before it is asked for."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys

from scoreline.errors import ScorelineError, SettingsError
from scoreline.observe.logs import LogFormat, configure_logging, fail

FAILED, USAGE = 1, 2

EXTRAS = {
    "scoreline_gateway": "gateway",
    "scoreline_local": "local",
    "scoreline_streams": "streams",
    "scoreline_sink": "sinks",
    "scoreline_analytics": "analytics",
    "ui": "ui",
    "topics": "streams",
}
"""Package of a subcommand, or the subcommand itself → the extra that installs what it needs."""

COMMANDS = {
    "up": ("scoreline_local.cli:up", "Start a local stack: real Kafka and ClickHouse, the pipeline, the page."),
    "down": ("scoreline_local.cli:down", "Stop the local stack."),
    "status": ("scoreline_local.cli:status", "Show the local stack: processes, lag, how to reach it."),
    "emit": ("scoreline.commands.emit:emit", "Emit one score, or many from standard input."),
    "import": ("scoreline.commands.importing:import_scores", "Emit the rows of a file, or another system's export."),
    "tail": ("scoreline.commands.tail:tail", "Show enriched or rejected scores as they arrive."),
    "query": ("scoreline_analytics.cli:app", "Ask about stored scores: figures, trends, comparisons, exports."),
    "configs": ("scoreline.commands.configs:app", "Score configs: put, list, history, archive, YAML for git."),
    "lookups": ("scoreline.commands.lookups:app", "Lookups: what is known of a service, a model, a judge."),
    "keys": ("scoreline.commands.keys:app", "API keys of the gateway: create, list, revoke."),
    "dlq": ("scoreline_sink.dlq.cli:app", "See why scores were rejected; mend, replay or discard them."),
    "reconcile": (
        "scoreline_sink.reconcile.cli:reconcile",
        "Prove that every raw record is stored, duplicate or rejected, once.",
    ),
    "topics": ("scoreline.commands.topics:app", "Create the topics, and check those that exist."),
    "acls": ("scoreline.commands.acls:show_acls", "Show what each component may do in Kafka, or grant it."),
    "migrate": ("scoreline_sink.migrate_cli:app", "Create or update the tables in ClickHouse."),
    "gateway": ("scoreline_gateway.cli:gateway", "Run the gateway: scores over HTTP."),
    "ui": ("scoreline_analytics.ui_cli:ui", "Run the page in the browser, and questions over HTTP."),
    "worker": ("scoreline_streams.cli:worker", "Run the worker: validate, deduplicate, enrich."),
    "sink": ("scoreline_sink.cli:sink", "Run the sink: enriched and rejected scores into ClickHouse."),
}
"""Subcommand → where it is, imported when it is called, and what the list of commands says of it."""


def main() -> None:
    """Entry point: exit status 0 done, 1 failed, 2 usage."""
    if importlib.util.find_spec("cyclopts") is None:
        sys.stderr.write("the command line needs its extra: pip install 'scoreline[cli]'\n")
        sys.exit(USAGE)
    from cyclopts import App, CycloptsError

    asked = sys.argv[1] if len(sys.argv) > 1 else None
    if asked in COMMANDS:
        configure_logging(asked, _log_format())
    app = App(
        name="scoreline",
        help="Evaluation scores from many services to exact analytics: Kafka, Faust, ClickHouse.",
        version=importlib.metadata.version("scoreline"),
        result_action="return_value",
    )
    for name, (where, summary) in COMMANDS.items():
        # the one that is asked for explains itself by its docstring; naming the others must not import them
        app.command(where, name=name, **({} if name == asked else {"help": summary}))
    try:
        app(exit_on_error=False)
    except CycloptsError:
        sys.exit(USAGE)
    except ImportError as error:
        sys.stderr.write(f"scoreline: {_missing_extra(asked, error)}\n")
        sys.exit(USAGE)
    except ScorelineError as error:
        fail(str(error))
        sys.exit(FAILED)
    except KeyboardInterrupt:
        sys.exit(130)


def _log_format() -> LogFormat | None:
    from scoreline.settings import load_settings

    try:
        return load_settings().log_format
    except SettingsError:
        # the command says it
        return None


def _missing_extra(asked: str | None, error: ImportError) -> str:
    """What to install for the command asked for. An import that fails for another reason is a bug, raised again."""
    where, _ = COMMANDS.get(asked or "", ("", ""))
    extra = EXTRAS.get(asked or "", EXTRAS.get(where.partition(".")[0], "cli"))
    missing = error.__cause__ if isinstance(error.__cause__, ModuleNotFoundError) else error
    if not isinstance(missing, ModuleNotFoundError) or (missing.name or "scoreline").startswith("scoreline"):
        raise error
    return f"{missing.name} is not installed; {asked} needs: pip install 'scoreline[{extra}]'"


if __name__ == "__main__":
    main()
