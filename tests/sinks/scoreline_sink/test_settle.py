"""Every row of a plan once, whatever an insert left behind."""

from __future__ import annotations

import threading

import clickhouse_connect
import pytest

from scoreline.errors import ClickHouseUnavailable, MalformedRecord
from scoreline.settings import Settings
from scoreline_sink.clickhouse import ClickHouse, Table, scores_table
from scoreline_sink.plan import PartitionRows, Sealed, seal
from scoreline_sink.rows import score_row
from scoreline_sink.settle import settle, store
from tests.sinks.scoreline_sink.records import encoded, enriched, rolled_up, stored
from tests.support import eventually

NEVER = threading.Event()
MONTHS = ("2026-01-31T23:59:59Z", "2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z")


def batch(count: int = 30) -> Sealed:
    """Rows of two partitions that arrived in three months, and so make three parts."""
    partitions = [PartitionRows(0), PartitionRows(3)]
    for number in range(count):
        rows = partitions[number % 2]
        value = encoded(enriched(number, received_at=MONTHS[number % 3]))
        rows.add(number, score_row(rows.partition, number, value), value)
    return seal(partitions)


@pytest.fixture
def table(clickhouse: ClickHouse) -> Table:
    return scores_table(clickhouse)


def forget(table: Table, condition: str) -> None:
    """Take rows away without the deduplication log knowing: what a killed server can leave behind."""
    database = table.clickhouse.database
    table.clickhouse.query(f"ALTER TABLE {database}.scores DELETE WHERE {condition} SETTINGS mutations_sync = 2")


def assert_complete(table: Table, count: int = 30) -> None:
    assert stored(table.clickhouse) == (count, count, count)
    assert set(rolled_up(table.clickhouse).values()) == {count}


def test_one_insert_is_one_part_a_month(table: Table) -> None:
    """Rows of a month are all there or none; the settings of server and user must not split them."""
    store(table, batch(3000), "topic:token", NEVER)
    parts = table.clickhouse.query(
        f"SELECT partition, count() FROM system.parts WHERE database = '{table.clickhouse.database}' "
        "AND table = 'scores' AND level = 0 GROUP BY partition ORDER BY partition"
    )
    assert parts == [("202601", 1), ("202602", 1), ("202603", 1)]


@pytest.mark.parametrize(
    "lost",
    ["1", "toMonth(received_at) = 2", "toMonth(received_at) != 3", "0"],
    ids=["all", "one month", "two months", "nothing"],
)
def test_rows_that_were_acknowledged_and_lost_are_stored_again(table: Table, lost: str) -> None:
    """A server killed between its log and the part says "known" to rows that it does not have."""
    store(table, batch(), "topic:token", NEVER)
    forget(table, lost)
    settle(table, batch(), "topic:token", NEVER)
    assert_complete(table)
    forget(table, lost)
    settle(table, batch(), "topic:token", NEVER)
    assert_complete(table)


def test_settling_what_is_complete_inserts_nothing(table: Table) -> None:
    """Not even when the server has forgotten the token, as after a power cut."""
    store(table, batch(), "topic:token", NEVER)
    settle(table, batch(), "topic:another", NEVER)
    assert_complete(table)


class Flaky:
    """A connection that loses the answer: the insert happens, and the sink does not learn of it."""

    def __init__(self, clickhouse: ClickHouse, lost_answers: int) -> None:
        self.database, self.server = clickhouse.database, clickhouse.server
        self.query = clickhouse.query
        self._clickhouse, self._lost = clickhouse, lost_answers

    def insert(self, *arguments: object) -> None:
        self._clickhouse.insert(*arguments)  # pyright: ignore[reportArgumentType]
        if self._lost:
            self._lost -= 1
            raise ClickHouseUnavailable("the answer was lost")


@pytest.mark.parametrize("lost_answers", [1, 3])
def test_an_insert_whose_answer_was_lost_is_there_once(clickhouse: ClickHouse, lost_answers: int) -> None:
    """The sink cannot know whether it happened; the table can."""
    flaky = Flaky(clickhouse, lost_answers)
    table = Table(flaky, "scores", "JSONEachRow", b"\n", None)  # pyright: ignore[reportArgumentType]
    store(table, batch(), "topic:token", NEVER)
    assert_complete(scores_table(clickhouse))


def test_a_row_that_is_refused_is_named_by_its_offset(table: Table) -> None:
    """Partition and offset, so that the operator can look at the record."""
    rows, good, bad = PartitionRows(2), encoded(enriched(1)), encoded(enriched(2)).replace(b"2026-", b"x")
    rows.add(40, score_row(2, 40, good), good)
    rows.add(42, score_row(2, 42, bad), bad)
    with pytest.raises(MalformedRecord, match="topic partition 2 offset 42: ClickHouse refuses the row for scores"):
        store(table, seal([rows]), "topic:token", NEVER)


def test_waiting_for_clickhouse_ends_when_cancelled(clickhouse: ClickHouse) -> None:
    """A sink that is told to stop does not hang on a server that is away."""
    cancelled = threading.Event()
    cancelled.set()
    flaky = Flaky(clickhouse, 100)
    table = Table(flaky, "scores", "JSONEachRow", b"\n", None)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ClickHouseUnavailable):
        store(table, batch(), "topic:token", cancelled)


def test_a_second_insert_of_a_token_waits_for_the_first(settings: Settings, table: Table) -> None:
    """While one still runs, "missing" can be untrue a moment later; so the server takes no second one."""
    busy = clickhouse_connect.get_client(
        host=settings.clickhouse_host,
        port=settings.clickhouse_port,
        username=settings.clickhouse_user,
        autogenerate_session_id=False,
    )
    query_id = f"{settings.clickhouse_database}:topic:token"
    running = threading.Thread(
        target=busy.command, args=("SELECT sleep(2)",), kwargs={"settings": {"query_id": query_id}}
    )
    running.start()
    processes = f"SELECT count() FROM system.processes WHERE query_id = '{query_id}'"
    eventually(lambda: table.clickhouse.query(processes) == [(1,)], "the first insert runs")
    with pytest.raises(ClickHouseUnavailable):
        table.insert(batch().rows, "topic:token")
    store(table, batch(), "topic:token", NEVER)
    assert not table.clickhouse.query(processes)[0][0]
    running.join()
    assert_complete(table)
