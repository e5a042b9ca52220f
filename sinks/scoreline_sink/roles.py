"""Who may do what in ClickHouse: three roles, as data, and the SQL that makes them.

- `<database>_migrate` makes and changes the tables; nobody needs it while nothing is released.
- `<database>_write` is the sink's, and of `scoreline dlq` and `scoreline reconcile`: it inserts and reads, and changes
  no table.
- `<database>_read` asks questions, within limits, of all projects; `<database>_read_<project>` of one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Event

from scoreline.errors import SettingsError
from scoreline.settings import Settings
from scoreline_sink.clickhouse import await_clickhouse
from scoreline_sink.layout import SHARDED, Layout

VIEWS = (
    "scores_by_minute",
    "scores_by_hour",
    "scores_by_day",
    "scores_by_origin",
    "scores_series",
    "scores_shares",
    "scores_of_id",
    "scores_of_trace",
    "scores_of_session",
    "scores_of_dataset_run",
    "rejections_by_hour",
)
_PROJECT = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
OF_PROJECTS = ("scores", "rejected_scores")
"""Tables whose rows belong to a project."""
_SYSTEM = ("tables", "columns", "settings", "merge_tree_settings", "processes")
"""What the driver, `scoreline_sink.guarantee` and the migrations' lock read of the server."""


@dataclass(frozen=True, slots=True)
class Limit:
    """A setting of every statement, which a statement may set lower but not higher, nor to 0: that is without limit."""

    setting: str
    value: int


@dataclass(frozen=True, slots=True)
class Role:
    """What a user with this role may do."""

    name: str
    grants: tuple[str, ...]
    """What stands between GRANT and TO."""
    row_filter: str = "1"
    """Condition on the rows of `OF_PROJECTS` that it sees."""
    limits: tuple[Limit, ...] = ()
    is_read_only: bool = False
    queries_per_hour: int | None = None


FIND_BY_ID = "min_table_rows_to_use_projection_index"
"""At 0, the projections of offsets find an id in small parts too."""
READ_LIMITS = (
    Limit("max_execution_time", 60),
    Limit("max_memory_usage", 4_000_000_000),
    Limit("max_rows_to_read", 20_000_000_000),
    Limit("max_threads", 8),
)
READ_QUERIES_PER_HOUR = 36_000


def roles(database: str, projects: Sequence[str], layout: Layout) -> tuple[Role, ...]:
    """Every role of a database. Raises SettingsError for a project that can be none."""
    for project in projects:
        if _PROJECT.fullmatch(project) is None:
            raise SettingsError(f"--project {project!r}: a project is {_PROJECT.pattern}")
    tables = sorted({*SHARDED, *map(layout.local, SHARDED)})
    write = tuple(f"SELECT, INSERT ON {database}.{table}" for table in tables)
    read = tuple(f"SELECT ON {database}.{name}" for name in (*_of_projects(layout), *VIEWS))
    system = tuple(f"SELECT ON system.{table}" for table in _SYSTEM)
    replicated = layout.variables["REPLICATED"]
    engines = [f"{replicated}{kind}" for kind in ("MergeTree", "ReplacingMergeTree")]
    engines += ["Distributed"] if layout.cluster else []
    remote = ("REMOTE ON *.*",) if layout.cluster else ()

    def reader(name: str, row_filter: str) -> Role:
        return Role(name, (*read, *remote), row_filter, READ_LIMITS, True, READ_QUERIES_PER_HOUR)

    return (
        Role(
            f"{database}_migrate",
            (
                f"SELECT, INSERT, ALTER, CREATE, DROP, OPTIMIZE, TRUNCATE ON {database}.*",
                *system,
                *(f"TABLE ENGINE ON {engine}" for engine in engines),
                *(("CLUSTER ON *.*", *remote) if layout.cluster else ()),
            ),
        ),
        Role(
            f"{database}_write",
            (*write, f"SELECT ON {database}.schema_versions", *system, "CREATE TEMPORARY TABLE ON *.*", *remote),
        ),
        reader(f"{database}_read", "1"),
        *(reader(f"{database}_read_{project}", f"project = '{project}'") for project in projects),
    )


def statements(database: str, projects: Sequence[str], layout: Layout) -> list[str]:
    """The SQL of `roles`, safe to repeat. Raises as that does."""
    on = layout.variables["ON_CLUSTER"]
    return [
        statement
        for role in roles(database, projects, layout)
        for statement in (
            f"CREATE ROLE IF NOT EXISTS `{role.name}`{on}",
            *(f"GRANT{on} {grant} TO `{role.name}`" for grant in role.grants),
            *_policies(role, database, layout, on),
            *_bounds(role, on),
        )
    ]


def apply(settings: Settings, projects: Sequence[str], layout: Layout) -> None:
    """Make the roles on the server. The tables must exist.

    Raises SettingsError when the user may not (it needs `access_management`), as `translate` says otherwise.
    """
    clickhouse = await_clickhouse(settings, Event())
    try:
        for statement in statements(settings.clickhouse_database, projects, layout):
            clickhouse.query(statement)
    finally:
        clickhouse.close()


def _of_projects(layout: Layout) -> list[str]:
    return sorted({*OF_PROJECTS, *map(layout.local, OF_PROJECTS)})


def _policies(role: Role, database: str, layout: Layout, on: str) -> list[str]:
    return [
        f"CREATE ROW POLICY OR REPLACE `{role.name}`{on} ON {database}.{table} FOR SELECT USING {role.row_filter} "
        f"TO `{role.name}`"
        for table in _of_projects(layout)
    ]


def _bounds(role: Role, on: str) -> list[str]:
    made: list[str] = []
    if role.limits:
        limits = ", ".join(f"{limit.setting} = {limit.value} MIN 1 MAX {limit.value}" for limit in role.limits)
        read_only = f"readonly = 2, {FIND_BY_ID} = 0, " if role.is_read_only else ""
        made.append(
            f"CREATE SETTINGS PROFILE OR REPLACE `{role.name}`{on} SETTINGS {read_only}{limits} TO `{role.name}`"
        )
    if role.queries_per_hour is not None:
        made.append(
            f"CREATE QUOTA OR REPLACE `{role.name}`{on} KEYED BY user_name FOR INTERVAL 1 HOUR "
            f"MAX queries = {role.queries_per_hour} TO `{role.name}`"
        )
    return made
