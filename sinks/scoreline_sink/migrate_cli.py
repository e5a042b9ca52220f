"""The command `scoreline migrate`: what is applied, what would run, bring it up to date, who may do what."""

from __future__ import annotations

import sys
import threading
from dataclasses import asdict
from typing import Annotated

from cyclopts import App, Parameter

from scoreline.commands.options import Flag, Json
from scoreline.commands.terminal import FAILED, print_json, print_table, refuse
from scoreline.settings import Settings, load_settings

app = App(name="migrate")

Cluster = Annotated[str | None, Parameter(name="--cluster")]


@app.default
def migrate(
    *,
    status: Flag = False,
    dry_run: Flag = False,
    render: Flag = False,
    cluster: Cluster = None,
    as_json: Json = False,
) -> None:
    """Create the ClickHouse database, and bring its tables up to this release.

    Waits for ClickHouse, and for another migration that runs. Run it before the sink and before every upgrade, also
    while a sink runs; where nothing is missing it changes nothing. It also sets how long rows are kept:
    SCORELINE_RETENTION_DAYS, for ever where that is not set.

    Parameters
    ----------
    status
        Only show each migration: applied, pending, altered (applied from another release's text) or unknown (applied
        by a later release). Exit status 1 when one is pending or altered.
    dry_run
        Only print the SQL that would run now.
    render
        Only print the SQL of all migrations; asks no server.
    cluster
        A cluster of the server's remote_servers: replicated tables on every server of it, and Distributed ones over
        its shards. It needs Keeper and the macros {shard} and {replica}.
    as_json
        Print {"server", "database", "version", "applied", "retention"}: the version of the schema now, and what this
        run changed. With --status {"server", "database", "migrations"}.
    """
    if status + dry_run + render > 1:
        refuse("--status, --dry-run and --render exclude each other")
    settings = load_settings()
    if status:
        _show_status(settings, as_json)
    elif dry_run:
        _print_pending(settings, cluster)
    elif render:
        _print_all(settings, cluster)
    else:
        _apply(settings, cluster, as_json)


@app.command
def roles(
    *,
    project: Annotated[list[str] | None, Parameter(negative="", consume_multiple=True)] = None,
    cluster: Cluster = None,
    apply: Flag = False,
) -> None:
    """Print the SQL of the roles for migrating, writing and reading, or run it.

    Whoever runs it needs access_management. Users are yours to make: CREATE USER … ; GRANT scoreline_read TO ….

    Parameters
    ----------
    project
        Projects for which to make a role that reads nothing else: DATABASE_read_PROJECT.
    cluster
        As of scoreline migrate.
    apply
        Run it instead. The tables must be there. Safe to repeat.
    """
    from scoreline_sink.layout import Layout
    from scoreline_sink.roles import apply as run
    from scoreline_sink.roles import statements

    settings, layout = load_settings(), Layout(cluster)
    if apply:
        run(settings, project or (), layout)
        return
    for statement in statements(settings.clickhouse_database, project or (), layout):
        sys.stdout.write(f"{statement};\n")


def _show_status(settings: Settings, as_json: bool) -> None:
    from scoreline_sink.schema import status

    found = status(settings)
    if as_json:
        made = asdict(found)
        for migration in made["migrations"]:
            at = migration["applied_at"]
            migration["applied_at"] = at and at.isoformat()
        print_json(made)
    else:
        sys.stdout.write(f"{found.database} at {found.server}\n")
        rows = [
            (f"{m.version:04}", m.name, m.state, f"{m.applied_at:%Y-%m-%d %H:%M:%S}" if m.applied_at else "")
            for m in found.migrations
        ]
        print_table(("version", "migration", "state", "applied (UTC)"), rows)
    if not found.is_current:
        sys.exit(FAILED)


def _print_pending(settings: Settings, cluster: str | None) -> None:
    from scoreline_sink.layout import Layout
    from scoreline_sink.schema import pending_script

    sys.stdout.write(pending_script(settings, Layout(cluster)) or "-- nothing to do\n")


def _print_all(settings: Settings, cluster: str | None) -> None:
    from scoreline_sink.layout import Layout, names, script

    sys.stdout.write(script([*names()], settings.clickhouse_database, Layout(cluster)))


def _apply(settings: Settings, cluster: str | None, as_json: bool) -> None:
    from scoreline_sink.layout import Layout
    from scoreline_sink.schema import migrate as apply

    done = apply(settings, threading.Event(), Layout(cluster))
    if as_json:
        print_json(asdict(done))
        return
    days = settings.retention_days
    kept = "for ever" if days is None else f"for {days} days"
    changes = [f"applied {', '.join(done.applied)}"] if done.applied else []
    changes += [f"rows of {', '.join(done.retention)} are kept {kept} now"] if done.retention else []
    what = "; ".join(changes) or "nothing to do"
    sys.stdout.write(f"{done.database} at {done.server}: {what}; schema version {done.version}\n")
