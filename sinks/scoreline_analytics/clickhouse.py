"""ClickHouse as the read side needs it: one read-only query, bounded in time, its errors in our words."""

from __future__ import annotations

from typing import Any, cast

import clickhouse_connect
from clickhouse_connect.driver import httputil
from clickhouse_connect.driver.exceptions import ClickHouseError
from clickhouse_connect.driver.exceptions import Error as DriverError
from urllib3.exceptions import HTTPError

from scoreline.errors import ClickHouseUnavailable, QueryError, SchemaError, ScorelineError, SettingsError
from scoreline.settings import Settings
from scoreline_analytics.statements import Statement

CONNECT_TIMEOUT_S = 5
QUERY_TIMEOUT_S = 30
"""ClickHouse gives a query up after this long."""
READ_ONLY = {"readonly": 2, "max_execution_time": QUERY_TIMEOUT_S}
"""Settings of every query: 2 refuses all writes, and lets settings through, which 1 does not."""

_SCHEMA = {16: "NO_SUCH_COLUMN_IN_TABLE", 47: "UNKNOWN_IDENTIFIER", 60: "UNKNOWN_TABLE", 81: "UNKNOWN_DATABASE"}
_ACCESS = {192, 193, 194, 195, 497, 516}
_TOO_MUCH = {158, 159, 160, 191, 241, 307, 396}
_BUSY = {201, 202, 203, 209, 210, 236, 394, 425, 999}

_driver: Any = clickhouse_connect  # its types are partly unknown


def run(settings: Settings, statement: Statement) -> list[tuple[Any, ...]]:
    """The rows of a statement.

    Raises ClickHouseUnavailable, SchemaError when database or table is missing, SettingsError when the user is not let
    in, QueryError when the question takes too long or too much.
    """
    client = None
    try:
        client = _driver.get_client(
            host=settings.clickhouse_host,
            port=settings.clickhouse_port,
            username=settings.clickhouse_user,
            password=settings.clickhouse_password.get_secret_value(),
            database=settings.clickhouse_database,
            secure=settings.clickhouse_secure,
            connect_timeout=CONNECT_TIMEOUT_S,
            send_receive_timeout=QUERY_TIMEOUT_S + CONNECT_TIMEOUT_S,
            autogenerate_session_id=False,
            query_retries=0,
            pool_mgr=cast(Any, httputil).get_pool_manager(retries=0),
        )
        # A user whose profile says readonly=1 may change no setting, and needs none to be read-only.
        allowed = {name: value for name, value in READ_ONLY.items() if not client.server_settings[name].readonly}
        return client.query(statement.sql, parameters=dict(statement.parameters), settings=allowed).result_rows
    except (ClickHouseError, HTTPError, OSError) as error:
        raise translate(error, settings) from error
    finally:
        if client is not None:
            client.close()


def translate(error: Exception, settings: Settings) -> ScorelineError:
    """What the driver raised, in our words."""
    server = f"ClickHouse at {settings.clickhouse_host}:{settings.clickhouse_port}"
    code = error.code if isinstance(error, DriverError) else None
    if code is None:
        return ClickHouseUnavailable(
            f"{server} (SCORELINE_CLICKHOUSE_HOST, SCORELINE_CLICKHOUSE_PORT) does not answer: {_innermost(error)}"
        )
    name = f"{getattr(error, 'name', None) or 'error'} (code {code})"
    if code in _SCHEMA:
        return SchemaError(
            f"{server}, database {settings.clickhouse_database} (SCORELINE_CLICKHOUSE_DATABASE): {_SCHEMA[code]}; "
            "bring its tables up to date with: scoreline migrate"
        )
    if code in _ACCESS:
        return SettingsError(f"{server}: {name}; check SCORELINE_CLICKHOUSE_USER and SCORELINE_CLICKHOUSE_PASSWORD")
    if code in _TOO_MUCH:
        return QueryError(f"{server}: {name}; ask for less: a shorter time, one project, fewer dimensions")
    if code in _BUSY:
        return ClickHouseUnavailable(f"{server} cannot work now: {name}")
    return QueryError(f"{server} refused the query: {name}: {error}")


def _innermost(error: BaseException) -> str:
    """The cause without the URL and the object addresses that the layers above put around it."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return getattr(error, "strerror", None) or type(error).__name__
