"""The ClickHouse schema: numbered migrations, applied by `scoreline migrate`, required by the sink."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any, cast

from clickhouse_connect.driver.exceptions import ClickHouseError
from clickhouse_migrations.clickhouse_cluster import ClickhouseCluster
from clickhouse_migrations.exceptions import MigrationException

from scoreline.errors import SchemaError
from scoreline.settings import Settings
from scoreline_sink.clickhouse import await_clickhouse, server_of
from scoreline_sink.server_errors import translate

MIGRATIONS = Path(__file__).parent / "migrations"


@dataclass(frozen=True, slots=True)
class Migrated:
    """What `migrate` found and did."""

    server: str
    database: str
    version: int
    """Version of the schema now."""
    applied: tuple[str, ...]
    """Names of the migrations that were missing, oldest first."""


def migrate(settings: Settings, cancelled: Event) -> Migrated:
    """Wait for ClickHouse, create the database, apply what is missing.

    Raises SchemaError when an applied migration is not this release's, SettingsError when the user may not do this,
    ClickHouseUnavailable when cancelled.
    """
    await_clickhouse(settings, cancelled).close()
    # The library logs each statement on the root logger; what it did is in the result.
    logging.getLogger().addFilter(_not_from_library)
    database, names = settings.clickhouse_database, _names()
    try:
        applied = _cluster(settings).migrate(database, MIGRATIONS, migration_log_format="compact")
    except MigrationException as error:
        raise SchemaError(f"{server_of(settings)} database {database}: {error}") from error
    except ClickHouseError as error:
        raise translate(error, server_of(settings)) from error
    finally:
        logging.getLogger().removeFilter(_not_from_library)
    versions = [int(migration.version) for migration in cast("list[Any]", applied)]
    return Migrated(server_of(settings), database, max(names), tuple(names[version] for version in versions))


def require_schema(settings: Settings) -> None:
    """Return if every migration of this release is applied; later ones may be too.

    Raises SchemaError naming what is missing or altered, and the remedy; else as `translate`.
    """
    try:
        rows = cast("list[Any]", _cluster(settings).status(settings.clickhouse_database, MIGRATIONS))
    except ClickHouseError as error:
        raise translate(error, server_of(settings)) from error
    names = _names()
    where = f"ClickHouse at {server_of(settings)} database {settings.clickhouse_database}"
    missing = [names[row.version] for row in rows if row.state == "pending"]
    if missing:
        raise SchemaError(f"{where} lacks {', '.join(missing)}; apply with: scoreline migrate")
    altered = [names[row.version] for row in rows if row.state == "md5-mismatch"]
    if altered:
        raise SchemaError(f"{where} was made by another release: {', '.join(altered)} differ; use that release")


def _names() -> dict[int, str]:
    return {int(path.name.partition("_")[0]): path.stem for path in sorted(MIGRATIONS.glob("*.sql"))}


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
        driver="clickhouse-connect",
        query_timeout=settings.insert_timeout_s,
    )
