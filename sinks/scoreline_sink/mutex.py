"""One at a time, by ClickHouse alone: a query that runs for as long as the caller works, under a known query id.

The server takes no second query of an id while one runs, whoever sends it. When the holder dies, the server sees its
connection close and ends the query: nothing stays locked. It holds on one server; a cluster has Keeper for that.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Generator
from contextlib import closing, contextmanager
from threading import Thread
from typing import Any

import clickhouse_connect
from clickhouse_connect.driver.exceptions import ClickHouseError
from clickhouse_connect.driver.exceptions import Error as DriverError
from urllib3.exceptions import HTTPError

from scoreline.errors import SchemaError
from scoreline.security import ca_of
from scoreline.settings import Settings
from scoreline_sink.clickhouse import CONNECT_TIMEOUT_S, ClickHouse
from scoreline_sink.server_errors import translate

HOLD_S_MAX = 3600
"""After this long a holder holds no more."""
WAIT_S_MAX = 120.0
_TICK_S = 0.1
_LOOK_S = 0.01
_ALREADY_RUNNING = 216

_driver: Any = clickhouse_connect  # its types are partly unknown
log = logging.getLogger(__name__)


@contextmanager
def held(settings: Settings, query_id: str, wait_s: float = WAIT_S_MAX) -> Generator[None]:
    """Nobody else holds `query_id` on this server within the context.

    Raises SchemaError when another holder does not end within `wait_s`; as `translate` when ClickHouse does not answer.
    """
    with closing(ClickHouse(settings)) as clickhouse:
        deadline, told = time.monotonic() + wait_s, False
        while (holder := _try(settings, clickhouse, query_id)) is None:
            if time.monotonic() > deadline:
                raise SchemaError(
                    f"another migration runs at {clickhouse.server} for more than {wait_s:.0f} s; wait for it, or "
                    f"end it with: KILL QUERY WHERE query_id = '{query_id}'"
                )
            if not told:
                log.warning("waiting: another migration runs at %s", clickhouse.server)
            told = True
            time.sleep(_TICK_S)
        try:
            yield
        finally:
            clickhouse.query("KILL QUERY WHERE query_id = {id:String} SYNC FORMAT Null", {"id": query_id})
            holder.join(CONNECT_TIMEOUT_S)


def _try(settings: Settings, clickhouse: ClickHouse, query_id: str) -> _Holder | None:
    """The holder that now runs; None when another one does."""
    holder = _Holder(settings, query_id)
    holder.start()
    running = (
        "SELECT count() FROM system.processes WHERE query_id = {id:String} AND position(query, {nonce:String}) > 0"
    )
    while clickhouse.query(running, {"id": query_id, "nonce": holder.nonce}) != [(1,)]:
        holder.join(_LOOK_S)
        if holder.is_alive():
            continue
        if isinstance(holder.error, DriverError) and holder.error.code == _ALREADY_RUNNING:
            return None
        raise translate(holder.error or OSError("the query that holds the lock ended"), clickhouse.server)
    return holder


class _Holder(Thread):
    """Sends the query and waits for its end, on a connection of its own."""

    def __init__(self, settings: Settings, query_id: str) -> None:
        super().__init__(name="migration lock", daemon=True)
        self.nonce = uuid.uuid4().hex
        self.error: Exception | None = None
        self._settings, self._query_id = settings, query_id

    def run(self) -> None:
        try:
            with closing(
                _driver.get_client(
                    host=self._settings.clickhouse_host,
                    port=self._settings.clickhouse_port,
                    username=self._settings.clickhouse_user,
                    password=self._settings.clickhouse_password.get_secret_value(),
                    secure=self._settings.clickhouse_secure,
                    ca_cert=ca_of(self._settings),
                    connect_timeout=CONNECT_TIMEOUT_S,
                    send_receive_timeout=HOLD_S_MAX,
                    autogenerate_session_id=False,
                    query_retries=0,
                )
            ) as client:
                client.raw_query(
                    f"SELECT sleepEachRow({_TICK_S}) FROM numbers({round(HOLD_S_MAX / _TICK_S)}) FORMAT Null "
                    f"/* {self.nonce} */",
                    settings={
                        "query_id": self._query_id,
                        "max_block_size": 1,
                        "max_execution_time": HOLD_S_MAX,
                        "cancel_http_readonly_queries_on_client_close": 1,
                    },
                )
        except (ClickHouseError, HTTPError, OSError) as error:
            self.error = error
