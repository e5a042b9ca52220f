"""ClickHouse as the sink needs it: one insert, one probe, over HTTP."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from threading import Event
from typing import Any, cast

import clickhouse_connect
from clickhouse_connect.driver import httputil
from clickhouse_connect.driver.exceptions import ClickHouseError
from urllib3.exceptions import HTTPError

from scoreline.errors import ScorelineError
from scoreline.observe import catalogue, meter
from scoreline.observe.probing import ANSWER_S, Probe
from scoreline.security import ca_of
from scoreline.settings import Settings
from scoreline_sink.patience import patiently
from scoreline_sink.plan import Coordinates, Range
from scoreline_sink.rows import is_one_object
from scoreline_sink.server_errors import translate, translate_of_query

CONNECT_TIMEOUT_S = 5
PIECE_ROWS = 1000
"""Rows that are joined and sent at a time: the server reads the first ones while the next are joined, and the memory
of a piece is still in the processor's cache when it is sent, a whole body's is not."""

PINNED: Mapping[str, str | int] = {
    # One insert is one block, so that each month of it is one part: all or nothing, and one entry in the dedup log.
    "async_insert": 0,
    "max_insert_block_size": 1_000_000,
    "max_insert_block_size_bytes": 0,
    "min_insert_block_size_rows": 0,
    "min_insert_block_size_bytes": 0,
    "max_insert_threads": 1,
    "input_format_parallel_parsing": 0,
    "input_format_max_block_size_bytes": 0,
    "input_format_max_block_wait_ms": 0,
    "input_format_connection_handling": 0,
    "insert_deduplicate": 1,
    "deduplicate_insert": "enable",
    # A row is taken as it is or refused, never dropped or half read.
    "input_format_allow_errors_num": 0,
    "input_format_allow_errors_ratio": 0,
    "input_format_json_ignore_unnecessary_fields": 0,
    "date_time_input_format": "best_effort",
    # null and absent are the column's default; a field of a later release must not stop this one.
    "input_format_null_as_default": 1,
    "input_format_defaults_for_omitted_fields": 1,
    "input_format_skip_unknown_fields": 1,
    # metadata: any JSON becomes text.
    "input_format_json_read_numbers_as_strings": 1,
    "input_format_json_read_bools_as_strings": 1,
    "input_format_json_read_objects_as_strings": 1,
    "input_format_json_read_arrays_as_strings": 1,
}
"""Settings sent with every insert, whatever the server's or the user's profile says."""

OPTIONAL = frozenset(
    {
        "max_insert_block_size_bytes",
        "input_format_max_block_size_bytes",
        "input_format_max_block_wait_ms",
        "input_format_connection_handling",
        "deduplicate_insert",
    }
)
"""Pinned settings of newer servers: one that does not know them behaves as if they were so."""
_FORBIDDEN = (452, 164)
"""Codes SETTING_CONSTRAINT_VIOLATION and READONLY."""

_driver: Any = clickhouse_connect  # its types are partly unknown


@dataclass(frozen=True, slots=True)
class Format:
    """How rows stand in the body of an insert."""

    name: str
    separator: bytes


JSON_ROWS = Format("JSONEachRow", b"\n")
BINARY_ROWS = Format("RowBinary", b"")


def server_of(settings: Settings) -> str:
    """`host:port`, as messages name it."""
    return f"{settings.clickhouse_host}:{settings.clickhouse_port}"


class ClickHouse:
    """A server and a user. Any thread may use it, no two for inserts of one token."""

    def __init__(self, settings: Settings) -> None:
        """Connect. Raises ClickHouseUnavailable, or SettingsError when the user is not let in."""
        self.server = server_of(settings)
        self.database = settings.clickhouse_database
        self.user = settings.clickhouse_user
        try:
            self._client = _driver.get_client(
                host=settings.clickhouse_host,
                port=settings.clickhouse_port,
                username=settings.clickhouse_user,
                password=settings.clickhouse_password.get_secret_value(),
                secure=settings.clickhouse_secure,
                connect_timeout=CONNECT_TIMEOUT_S,
                send_receive_timeout=max(1, round(settings.insert_timeout_s)),
                autogenerate_session_id=False,
                query_retries=0,
                compress=False,
                pool_mgr=cast(Any, httputil).get_pool_manager(retries=0, ca_cert=ca_of(settings)),
            )
        except (ClickHouseError, HTTPError, OSError) as error:
            raise translate(error, self.server) from error
        # A hidden second attempt would be answered "ok" for a part that the first one may not have left behind.
        self._client.http_retries = 0
        self.pinned = {name: value for name, value in PINNED.items() if name in self._client.server_settings}

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[Any]:
        """Rows of a query, as tuples; `{name:Type}` in it stands for a parameter. Raises as `translate` says."""
        try:
            return self._client.query(sql, parameters=dict(parameters or {})).result_rows
        except (ClickHouseError, HTTPError, OSError) as error:
            raise translate_of_query(error, self.server) from error

    def settings_in_force(self) -> dict[str, tuple[str, str]]:
        """Pinned setting → (the value wanted, the one that a statement sent with it has).

        Where one may not be sent, only that, with the value it has by itself. Raises as `translate` says.
        """
        asked = "SELECT name, value FROM system.settings WHERE name IN {names:Array(String)}"
        changeable = (name for name in self.pinned if not self._client.server_settings[name].readonly)
        sent, names = {name: self.pinned[name] for name in changeable}, [*self.pinned]
        try:
            found = self._client.query(asked, parameters={"names": names}, settings=sent).result_rows
        except (ClickHouseError, HTTPError, OSError) as error:
            names = [name for name in names if re.search(rf"\b{name}\b", str(error))]
            if getattr(error, "code", None) not in _FORBIDDEN or not names:
                raise translate(error, self.server) from error
            found = self.query(asked, {"names": names})
        return {name: (str(self.pinned[name]), value) for name, value in found}

    def insert(self, table: str, columns: Sequence[str] | None, fmt: Format, rows: Sequence[bytes], token: str) -> None:
        """Send these rows, at least one, as one insert, once. Raises as `translate`; then it may have happened or not.

        Its query id is its token: while an earlier attempt still runs on the server, a second one is refused.
        """
        try:
            self._client.raw_insert(
                f"{self.database}.{table}",
                column_names=columns,
                # The driver repeats a request by itself only if its body is bytes.
                insert_block=_pieces(rows, fmt.separator),
                fmt=fmt.name,
                settings={
                    **self.pinned,
                    "insert_deduplication_token": token,
                    "query_id": f"{self.database}:{token}",
                    "wait_end_of_query": "1",
                },
                # A body of declared length that breaks off is no insert, whatever the server makes of an early end.
                transport_settings={"Content-Length": str(_length(rows, fmt.separator))},
            )
        except (ClickHouseError, HTTPError, OSError) as error:
            raise translate(error, self.server) from error

    def close(self) -> None:
        self._client.close()


def _pieces(rows: Sequence[bytes], separator: bytes) -> Iterator[memoryview]:
    """The rows with a separator between any two, some at a time."""
    last = (len(rows) - 1) // PIECE_ROWS * PIECE_ROWS
    for first in range(0, last, PIECE_ROWS):
        yield memoryview(separator.join((*rows[first : first + PIECE_ROWS], b"")))
    yield memoryview(separator.join(rows[last:]))


def _length(rows: Sequence[bytes], separator: bytes) -> int:
    return sum(map(len, rows)) + len(separator) * (len(rows) - 1)


@dataclass(frozen=True, slots=True)
class Table:
    """A table that a lane fills, and the form of its rows."""

    clickhouse: ClickHouse
    name: str
    fmt: Format
    columns: tuple[str, ...] | None
    is_one_row: Callable[[bytes], bool]
    """Whether a row is one of this form by itself, whatever stands before and behind it in the body."""

    def insert(self, rows: Sequence[bytes], token: str) -> None:
        """Send these rows as one insert, once. Raises as `ClickHouse.insert`."""
        begun = time.monotonic()
        try:
            self.clickhouse.insert(self.name, self.columns, self.fmt, rows, token)
        except ScorelineError:
            meter.add(catalogue.SINK_INSERT_FAILED, 1, self.name)
            raise
        meter.observe(catalogue.SINK_INSERT, time.monotonic() - begun, self.name)
        meter.observe(catalogue.SINK_INSERT_ROWS, len(rows), self.name)
        meter.add(catalogue.SINK_INSERT_BYTES, _length(rows, self.fmt.separator), self.name)
        meter.put(catalogue.SINK_STORED_AT, time.time(), self.name)

    def present(self, ranges: Sequence[Range]) -> list[Coordinates]:
        """(partition, offset) of every row that the table holds in these ranges; one that is there twice, twice."""
        conditions = " OR ".join(
            f"(src_partition = {r.partition} AND src_offset BETWEEN {r.first} AND {r.last})" for r in ranges
        )
        return self.clickhouse.query(
            f"SELECT src_partition, src_offset FROM {self.clickhouse.database}.{self.name} WHERE {conditions}"
        )

    def highest(self, partitions: Iterable[int]) -> dict[int, int]:
        """Partition → highest offset that the table holds of it; absent where it holds none."""
        rows = self.clickhouse.query(
            f"SELECT src_partition, max(src_offset) FROM {self.clickhouse.database}.{self.name} "
            "WHERE src_partition IN {partitions:Array(UInt16)} GROUP BY src_partition",
            {"partitions": sorted(partitions)},
        )
        return dict(rows)

    def holds_raw(self, partition: int, offset: int) -> bool:
        """Whether a row of the table came from this raw record."""
        [(count,)] = self.clickhouse.query(
            f"SELECT count() FROM {self.clickhouse.database}.{self.name} "
            "WHERE raw_partition = {partition:UInt16} AND raw_offset = {offset:UInt64}",
            {"partition": partition, "offset": offset},
        )
        return count > 0


def clickhouse_probe(settings: Settings) -> Probe:
    """Whether the server lets the user in and answers a query, within the time of a probe.

    Raises ClickHouseUnavailable or SettingsError at once when it does not.
    """
    clickhouse = ClickHouse(settings.model_copy(update={"insert_timeout_s": ANSWER_S}))

    def probe() -> None:
        clickhouse.query("SELECT 1")

    return probe


def scores_table(clickhouse: ClickHouse) -> Table:
    """The table of enriched scores; its rows are lines of JSON."""
    return Table(clickhouse, "scores", JSON_ROWS, None, is_one_object)


def rejected_scores_table(clickhouse: ClickHouse, columns: tuple[str, ...]) -> Table:
    """The table of rejected records; its rows are RowBinary, for any bytes."""
    return Table(clickhouse, "rejected_scores", BINARY_ROWS, columns, lambda _row: True)


def await_clickhouse(settings: Settings, cancelled: Event) -> ClickHouse:
    """Connect once the server answers; says every few seconds what is waited for.

    Raises SettingsError when it does not let the user in, ClickHouseUnavailable when cancelled.
    """
    # They log every failed attempt with its URL; what matters of it is in the error.
    for library in ("clickhouse_connect", "urllib3"):
        logging.getLogger(library).setLevel(logging.CRITICAL)
    return patiently(lambda: ClickHouse(settings), cancelled)
