"""One way to drain the backlog into an empty table: started, watched until every row is there, stopped, checked."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from scoreline.kafka import client_options, error_of
from scoreline.settings import Settings
from scoreline.topics import declare_groups
from scoreline_sink.clickhouse import ClickHouse
from scoreline_sink.plan import OPEN_PLANS_MAX
from scoreline_sink.schema import migrate
from tests.benchmarks.sink.check import Found, Known, mismatches
from tests.benchmarks.sink.meter import Meter
from tests.support import DEADLINE_S, environment, eventually

ROWS_PER_S_MIN = 2000
"""Slower than this is taken for stuck."""
SINK = (sys.executable, "-m", "scoreline.cli", "sink")


@dataclass(frozen=True)
class Way:
    """How the rows get into ClickHouse."""

    name: str
    start: Callable[[Settings, Path], Sequence[str]]
    """From settings and an empty folder to the command of one process."""
    has_coordinates: bool
    """Whether rows carry the offset of their own record, not only that of the raw one."""


@dataclass
class Turn:
    """One drain."""

    way: str
    rows: int
    """Those of the blocks behind the first full set of open plans; from that to the last block, `seconds` passed."""
    seconds: float
    cpu_s: float
    """Of the client in that time, user and system."""
    clickhouse_cpu_s: float
    kafka_cpu_s: float
    life_cpu_s: float
    """Of the client from its start until all rows were there."""
    peak_rss_mb: int
    rows_per_part: int
    """Of the parts that the inserts made, before merges; the sink's inserts are one part each."""
    parts: int
    load: float
    wrong: list[str]
    """What is not as it must be in the table; empty: nothing."""

    @property
    def rows_per_s(self) -> float:
        return self.rows / self.seconds

    @property
    def rows_per_cpu_s(self) -> float:
        return self.rows / self.cpu_s

    @property
    def clickhouse_us(self) -> float:
        """CPU time of ClickHouse a row."""
        return self.clickhouse_cpu_s / self.rows * 1e6


def take_turn(settings: Settings, way: Way, known: Known, pids: Mapping[str, int], folder: Path) -> Turn:
    """Drain the whole backlog into a database of its own, which is dropped again.

    `pids` are those of `clickhouse` and `kafka`.
    """
    folder.mkdir(parents=True)
    migrate(settings, Event())
    forget_offsets(settings)
    with closing(ClickHouse(settings)) as clickhouse:
        if not way.has_coordinates:
            _run(clickhouse, "ALTER TABLE {}.scores DROP CONSTRAINT one_row_per_record")
        try:
            with (
                Process(way.start(settings, folder), settings, folder / "log") as process,
                Meter({"client": process.pid, **pids}) as meter,
            ):
                await_rows(clickhouse, known.rows, process)
            found = _found(clickhouse, known, way.has_coordinates)
            blocks = clickhouse.query(
                f"SELECT toUnixTimestamp64Milli(inserted_at) / 1000 AS at, count() FROM {settings.clickhouse_database}"
                ".scores GROUP BY at ORDER BY at"
            )
            parts = parts_made(clickhouse, "scores")
        finally:
            drop(clickhouse)
    begun, (end, _) = blocks[:OPEN_PLANS_MAX], blocks[-1]
    start, _ = begun[-1]
    return Turn(
        way=way.name,
        rows=found.rows - sum(rows for _, rows in begun),
        seconds=end - start,
        cpu_s=meter.cpu_s("client", start, end),
        clickhouse_cpu_s=meter.cpu_s("clickhouse", start, end),
        kafka_cpu_s=meter.cpu_s("kafka", start, end),
        life_cpu_s=meter.cpu_s("client"),
        peak_rss_mb=meter.peak_mb("client"),
        rows_per_part=round(known.rows / parts),
        parts=parts,
        load=round(os.getloadavg()[0], 2),
        wrong=mismatches(known, found),
    )


def parts_made(clickhouse: ClickHouse, table: str) -> int:
    """Parts that inserts have made of a table since it was created: their blocks are numbered."""
    [(last,)] = clickhouse.query(
        f"SELECT max(max_block_number) FROM system.parts WHERE database = '{clickhouse.database}' AND table = '{table}'"
    )
    return last


def forget_offsets(settings: Settings) -> None:
    """Let the sink begin at the beginning of its topics."""
    groups = declare_groups(settings)
    admin = AdminClient(client_options(settings))
    for future in admin.delete_consumer_groups([groups.sink_enriched, groups.sink_rejected]).values():
        try:
            future.result(DEADLINE_S)
        except KafkaException as error:
            if error_of(error).code() != KafkaError.GROUP_ID_NOT_FOUND:
                raise


class Process:
    """A child process, stopped at the end of the context."""

    def __init__(self, command: Sequence[str], settings: Settings, log: Path) -> None:
        self._log = log
        with log.open("wb") as output:
            self._child = subprocess.Popen(command, env=environment(settings), stdout=output, stderr=output)
        self.pid = self._child.pid

    def require(self) -> None:
        """Raises RuntimeError with the end of its log if the process has failed."""
        if self._child.poll():
            raise RuntimeError(f"ended with status {self._child.returncode}: {self._log.read_text()[-2000:]}")

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: Any) -> None:
        self._child.terminate()
        try:
            self._child.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait(DEADLINE_S)


def await_rows(clickhouse: ClickHouse, rows: int, process: Process) -> None:
    """Return once the table `scores` holds so many rows."""
    asked = f"SELECT count() FROM {clickhouse.database}.scores"

    def are_there() -> bool:
        process.require()
        return clickhouse.query(asked)[0][0] >= rows

    eventually(are_there, f"{rows} rows", DEADLINE_S + rows / ROWS_PER_S_MIN)


def drop(clickhouse: ClickHouse) -> None:
    """Drop the database with all its tables."""
    _run(clickhouse, "DROP DATABASE {} SYNC")


def _found(clickhouse: ClickHouse, known: Known, has_coordinates: bool) -> Found:
    own = "uniqExact(src_partition, src_offset)" if has_coordinates else str(known.rows)
    [row] = clickhouse.query(
        f"SELECT count(), uniqExact(raw_partition, raw_offset), {own}, sum(value), "
        f"(SELECT sum(scores) FROM {clickhouse.database}.scores_by_hour) FROM {clickhouse.database}.scores"
    )
    return Found(*row)


def _run(clickhouse: ClickHouse, statement: str) -> None:
    client: Any = clickhouse
    client._client.command(statement.format(clickhouse.database))
