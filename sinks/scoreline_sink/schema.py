"""The ClickHouse schema: numbered migrations, applied by `scoreline migrate`, required by the sink."""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from datetime import datetime
from threading import Event
from typing import Any, Literal, cast

from clickhouse_connect.driver.exceptions import ClickHouseError
from clickhouse_migrations.clickhouse_cluster import ClickhouseCluster
from clickhouse_migrations.exceptions import MigrationException

from scoreline.errors import SchemaError
from scoreline.security import ca_of
from scoreline.settings import Settings
from scoreline_sink import retention
from scoreline_sink.clickhouse import ClickHouse, await_clickhouse, server_of
from scoreline_sink.layout import MIGRATIONS, Layout, names, script
from scoreline_sink.mutex import WAIT_S_MAX, held
from scoreline_sink.server_errors import translate

State = Literal["applied", "pending", "altered", "unknown"]
_STATES: dict[str, State] = {
    "applied": "applied",
    "pending": "pending",
    "md5-mismatch": "altered",
    "unknown": "unknown",
}
"""The library's words → ours."""
ONE_SERVER = Layout()


@dataclass(frozen=True, slots=True)
class Migrated:
    """What `migrate` found and did."""

    server: str
    database: str
    version: int
    """Version of the schema now."""
    applied: tuple[str, ...]
    """Names of the migrations that were missing, oldest first."""
    retention: tuple[str, ...]
    """Tables whose retention was changed to SCORELINE_RETENTION_DAYS."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One migration, of this release or of a later one."""

    version: int
    name: str
    """Empty: this release does not know it."""
    state: State
    """altered: applied from another release's text; unknown: applied by a later release."""
    applied_at: datetime | None


@dataclass(frozen=True, slots=True)
class Status:
    """How a database stands to this release."""

    server: str
    database: str
    migrations: tuple[Migration, ...]

    @property
    def is_current(self) -> bool:
        """Whether the sink of this release can run on it."""
        return all(migration.state in ("applied", "unknown") for migration in self.migrations)

    def named(self, state: State) -> list[str]:
        return [migration.name for migration in self.migrations if migration.state == state]


def migrate(settings: Settings, cancelled: Event, layout: Layout = ONE_SERVER) -> Migrated:
    """Wait for ClickHouse, create the database, apply what is missing, set the retention. One at a time.

    Raises SchemaError when an applied migration is not this release's or another run does not end, SettingsError when
    the user may not do this, ClickHouseUnavailable when cancelled.
    """
    await_clickhouse(settings, cancelled).close()
    # The library logs each statement on the root logger; what it did is in the result.
    logging.getLogger().addFilter(_not_from_library)
    database, known = settings.clickhouse_database, names()
    try:
        with _alone(settings, layout):
            applied = _cluster(settings).migrate(
                database,
                MIGRATIONS,
                cluster_name=layout.cluster,
                migration_log_format="compact",
                variables=dict(layout.variables),
                lock=layout.cluster is not None,
                lock_timeout=round(WAIT_S_MAX),
            )
            with closing(ClickHouse(settings)) as clickhouse:
                changed = retention.keep(clickhouse, layout, settings.retention_days)
    except MigrationException as error:
        raise SchemaError(f"{server_of(settings)} database {database}: {error}") from error
    except ClickHouseError as error:
        raise translate(error, server_of(settings)) from error
    finally:
        logging.getLogger().removeFilter(_not_from_library)
    versions = [int(migration.version) for migration in cast("list[Any]", applied)]
    done = tuple(known[version] for version in versions)
    return Migrated(server_of(settings), database, max(known), done, changed)


def status(settings: Settings) -> Status:
    """How the database stands to this release; reads only. Raises as `translate`."""
    try:
        rows = cast("list[Any]", _cluster(settings).status(settings.clickhouse_database, MIGRATIONS))
    except ClickHouseError as error:
        raise translate(error, server_of(settings)) from error
    known = names()
    return Status(
        server_of(settings),
        settings.clickhouse_database,
        tuple(Migration(row.version, known.get(row.version, ""), _STATES[row.state], row.applied_at) for row in rows),
    )


def pending_script(settings: Settings, layout: Layout = ONE_SERVER) -> str:
    """The SQL that `migrate` would run now; empty: none. Raises as `translate`, and SchemaError as `migrate`."""
    found = status(settings)
    _require_unaltered(found)
    versions = [migration.version for migration in found.migrations if migration.state == "pending"]
    with closing(ClickHouse(settings)) as clickhouse:
        changes = retention.changes(clickhouse, layout, settings.retention_days)
    lines = "".join(f"{statement};\n" for statement in changes.values())
    return (script(versions, settings.clickhouse_database, layout) if versions else "") + lines


def require_schema(settings: Settings) -> None:
    """Return if every migration of this release is applied; later ones may be too.

    Raises SchemaError naming what is missing or altered, and the remedy; else as `translate`.
    """
    found = status(settings)
    if missing := found.named("pending"):
        raise SchemaError(f"{_where(found)} lacks {', '.join(missing)}; apply with: scoreline migrate")
    _require_unaltered(found)


def _require_unaltered(found: Status) -> None:
    if altered := found.named("altered"):
        raise SchemaError(f"{_where(found)} was made by another release: {', '.join(altered)} differ; use that release")


def _where(found: Status) -> str:
    return f"ClickHouse at {found.server} database {found.database}"


def _alone(settings: Settings, layout: Layout) -> AbstractContextManager[None]:
    """On a cluster the library takes its lock in Keeper, which is there then."""
    return nullcontext() if layout.cluster else held(settings, f"{settings.clickhouse_database}:migrate")


def _not_from_library(record: logging.LogRecord) -> bool:
    return "clickhouse_migrations" not in record.pathname


def _cluster(settings: Settings) -> ClickhouseCluster:
    return ClickhouseCluster(
        db_host=settings.clickhouse_host,
        db_port=str(settings.clickhouse_port),
        db_user=settings.clickhouse_user,
        db_password=settings.clickhouse_password.get_secret_value(),
        db_name=settings.clickhouse_database,
        secure=settings.clickhouse_secure,
        ca_cert=ca_of(settings),
        driver="clickhouse-connect",
        query_timeout=settings.insert_timeout_s,
    )
