"""ClickHouse as the read side needs it: one read-only query, bounded in time, its errors in our words."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import BoundedSemaphore, Lock
from typing import Any, cast

import clickhouse_connect
from clickhouse_connect.driver import httputil
from clickhouse_connect.driver.exceptions import ClickHouseError
from clickhouse_connect.driver.exceptions import Error as DriverError
from urllib3.exceptions import HTTPError, ProtocolError

from scoreline.errors import ClickHouseUnavailable, QueryError, SchemaError, ScorelineError, SettingsError
from scoreline.observe.probing import ANSWER_S, Probe
from scoreline.security import ca_of, fault_of_tls
from scoreline.settings import Settings
from scoreline_analytics.statements import Statement

CONNECTIONS_MAX = 8
"""Queries of one `Reader` at once; another waits for its turn."""
CONNECT_TIMEOUT_S = 5
QUERY_TIMEOUT_S = 30
"""ClickHouse gives a query up after this long."""
READ_ONLY = {"readonly": 2, "max_execution_time": QUERY_TIMEOUT_S, "min_table_rows_to_use_projection_index": 0}
"""Settings of every query: 2 refuses all writes, and lets settings through, which 1 does not. The last lets the
projections by trace, session and run find rows; by default they serve only much larger parts."""
EXPORT = {"readonly": 2, "max_execution_time": 3600}
"""Settings of a query whose rows are streamed."""

_SCHEMA = {16: "NO_SUCH_COLUMN_IN_TABLE", 47: "UNKNOWN_IDENTIFIER", 60: "UNKNOWN_TABLE", 81: "UNKNOWN_DATABASE"}
_ACCESS = {192, 193, 194, 195, 497, 516}
_TOO_MUCH = {158, 159, 160, 191, 241, 307, 396}
_BUSY = {201, 202, 203, 209, 210, 236, 394, 425, 999}

_driver: Any = clickhouse_connect  # its types are partly unknown


class Reader:
    """One ClickHouse client for many threads: at most CONNECTIONS_MAX queries at once, each read-only and bounded.

    It connects at the first query, and again after one that could not. `projects` is what its owner may see; None: all.
    """

    def __init__(
        self,
        settings: Settings,
        projects: Sequence[str] | None = None,
        answer_s: float = QUERY_TIMEOUT_S + CONNECT_TIMEOUT_S,
    ) -> None:
        self.projects = None if projects is None else tuple(dict.fromkeys(projects))
        self._settings, self._answer_s = settings, answer_s
        self._client: Any = None
        self._connecting = Lock()
        self._free = BoundedSemaphore(CONNECTIONS_MAX)

    def rows(self, statement: Statement) -> list[tuple[Any, ...]]:
        """The rows of a statement.

        Raises ClickHouseUnavailable, SchemaError when database or table is missing, SettingsError when the user is not
        let in, QueryError when the question takes too long or too much.
        """
        with self._connection() as client:
            return client.query(
                statement.sql, parameters=dict(statement.parameters), settings=_allowed(client, READ_ONLY)
            ).result_rows

    def batches(self, statement: Statement) -> Iterator[Any]:
        """The rows of a statement as pyarrow's RecordBatches, one in memory at a time. Each can raise as `rows`."""
        import pyarrow

        _arrow: Any = pyarrow  # its types are partly unknown
        with self._connection() as client:
            source = client.raw_stream(
                statement.sql,
                parameters=dict(statement.parameters),
                settings=_allowed(client, EXPORT),
                fmt="ArrowStream",
            )
            try:
                with _arrow.ipc.open_stream(source) as stream:
                    yield from stream
            except (ProtocolError, _arrow.ArrowInvalid) as error:
                raise ClickHouseUnavailable(f"ClickHouse broke off in the middle of its answer: {error}") from error
            finally:
                source.close()

    def close(self) -> None:
        """Give the connections back. What is asked later connects again."""
        with self._connecting:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    @contextmanager
    def _connection(self) -> Generator[Any]:
        if not self._free.acquire(timeout=QUERY_TIMEOUT_S):
            raise ClickHouseUnavailable(f"{CONNECTIONS_MAX} questions are being answered already; ask again later")
        try:
            with self._connecting:
                if self._client is None:
                    self._client = _connect(self._settings, self._answer_s)
                client = self._client
            yield client
        except (ClickHouseError, HTTPError, OSError) as error:
            raise translate(error, self._settings) from error
        finally:
            self._free.release()


def clickhouse_probe(settings: Settings) -> Probe:
    """Whether the server lets the user in and answers a query, within the time of a probe."""
    reader = Reader(settings, answer_s=ANSWER_S)

    def probe() -> None:
        reader.rows(Statement("SELECT 1", {}))

    return probe


def _connect(settings: Settings, answer_s: float) -> Any:
    return _driver.get_client(
        host=settings.clickhouse_host,
        port=settings.clickhouse_port,
        username=settings.clickhouse_user,
        password=settings.clickhouse_password.get_secret_value(),
        database=settings.clickhouse_database,
        secure=settings.clickhouse_secure,
        connect_timeout=CONNECT_TIMEOUT_S,
        send_receive_timeout=answer_s,
        autogenerate_session_id=False,
        # The edges of ten thousand buckets are longer than a URL may be.
        form_encode_query_params=True,
        query_retries=0,
        pool_mgr=cast(Any, httputil).get_pool_manager(retries=0, maxsize=CONNECTIONS_MAX, ca_cert=ca_of(settings)),
    )


def _allowed(client: Any, wanted: Mapping[str, int]) -> dict[str, int]:
    """A user whose profile says readonly=1 may change no setting, and needs none to be read-only."""
    return {name: value for name, value in wanted.items() if not client.server_settings[name].readonly}


def translate(error: Exception, settings: Settings) -> ScorelineError:
    """What the driver raised, in our words."""
    server = f"ClickHouse at {settings.clickhouse_host}:{settings.clickhouse_port}"
    code = error.code if isinstance(error, DriverError) else None
    if code is None:
        if (fault := fault_of_tls(error)) is not None:
            return SettingsError(f"{server}: {fault}")
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
