"""Every row of a plan once, whatever an insert left behind."""

from __future__ import annotations

import threading

import clickhouse_connect
import pytest

from scoreline.errors import ClickHouseUnavailable, MalformedRecord, SchemaError
from scoreline.settings import Settings
from scoreline_sink.clickhouse import JSON_ROWS, ClickHouse, Table, scores_table
from scoreline_sink.plan import PartitionRows, Sealed, seal
from scoreline_sink.rows import is_one_object, score_row
from scoreline_sink.settle import NO_OBJECT, settle, store
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
    store(table, batch(3000), "topic:token", 100, NEVER)
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
    store(table, batch(), "topic:token", 100, NEVER)
    forget(table, lost)
    settle(table, batch(), "topic:token", 100, NEVER)
    assert_complete(table)
    forget(table, lost)
    settle(table, batch(), "topic:token", 100, NEVER)
    assert_complete(table)


def test_settling_what_is_complete_inserts_nothing(table: Table) -> None:
    """Not even when the server has forgotten the token, as after a power cut."""
    store(table, batch(), "topic:token", 100, NEVER)
    settle(table, batch(), "topic:another", 100, NEVER)
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
    table = Table(flaky, "scores", JSON_ROWS, None, is_one_object)  # pyright: ignore[reportArgumentType]
    store(table, batch(), "topic:token", 100, NEVER)
    assert_complete(scores_table(clickhouse))


GOOD = [encoded(enriched(n)) for n in range(6)]
BAD_DATE = encoded(enriched(9, comment="swordfish")).replace(b"2026-", b"x")
NO_NAME = encoded(enriched(9, name=""))
TAIL = GOOD[5] + b"x}"


def sealed_of(*values: bytes | None) -> Sealed:
    """These values at the offsets from 40 on of partition 2."""
    rows = PartitionRows(2)
    for offset, value in enumerate(values, 40):
        rows.add(offset, score_row(2, offset, value), value or b"")
    return seal([rows])


def test_refused_rows_are_named_and_their_neighbours_stored(table: Table) -> None:
    """Partition and offset, the server's error and the field, and nothing of the payload."""
    refused = store(table, sealed_of(GOOD[0], BAD_DATE, None, GOOD[1], NO_NAME), "topic:token", 100, NEVER)
    assert {at: why.split(" ")[0] for at, why in refused.items()} == {
        (2, 41): "CANNOT_PARSE_DATETIME",
        (2, 42): "the",
        (2, 44): "VIOLATED_CONSTRAINT",
    }
    assert "in timestamp" in refused[2, 41]
    assert "in is_a_score" in refused[2, 44]
    assert "swordfish" not in str(refused)
    assert_complete(table, 2)


def test_a_row_that_breaks_the_one_behind_it_is_blamed_itself(table: Table) -> None:
    """ClickHouse notices what stands behind an object only when it begins to read the next row."""
    refused = store(table, sealed_of(GOOD[0], TAIL, GOOD[1], GOOD[2], TAIL), "topic:token", 100, NEVER)
    assert refused == {(2, 41): NO_OBJECT, (2, 44): NO_OBJECT}
    assert_complete(table, 3)


def test_settling_again_is_refused_the_same_and_stores_nothing_more(table: Table) -> None:
    """As a successor does, and as a stopped sink does that goes on beside it."""
    plan = sealed_of(GOOD[0], BAD_DATE, GOOD[1], None)
    first = store(table, plan, "topic:token", 100, NEVER)
    assert settle(table, plan, "topic:token", 100, NEVER) == first
    assert store(table, plan, "topic:token", 100, NEVER) == first
    assert_complete(table, 2)


@pytest.mark.parametrize("lost", ["1", "src_offset = 40"], ids=["all", "a row"])
def test_rows_beside_a_refused_one_that_were_lost_are_stored_again(table: Table, lost: str) -> None:
    """The narrowed insert is probed like every other."""
    plan = sealed_of(GOOD[0], BAD_DATE, GOOD[1])
    store(table, plan, "topic:token", 100, NEVER)
    forget(table, lost)
    assert list(settle(table, plan, "topic:token", 100, NEVER)) == [(2, 41)]
    assert_complete(table, 2)


def test_a_refused_row_that_is_there_is_not_refused(table: Table) -> None:
    """Another sink, of another release, may have judged otherwise; the table is what counts."""
    other = PartitionRows(2)
    other.add(40, score_row(2, 40, GOOD[0]), b"")
    assert store(table, seal([other]), "topic:other", 100, NEVER) == {}
    assert list(settle(table, sealed_of(None, NO_NAME), "topic:token", 100, NEVER)) == [(2, 41)]


def test_more_refused_rows_than_bad_luck_explains_stop_the_sink(table: Table) -> None:
    """A table that does not fit would make a dead letter of everything."""
    plan = sealed_of(*(NO_NAME for _ in range(4)))
    with pytest.raises(SchemaError, match=r"more than 3 .* partition 2 offset 40: .* SCORELINE_REFUSED_ROWS_MAX"):
        store(table, plan, "topic:token", 3, NEVER)
    with pytest.raises(SchemaError, match="more than 3 records"):
        store(table, sealed_of(*[None] * 4), "topic:token", 3, NEVER)
    assert len(store(table, plan, "topic:token", 4, NEVER)) == 4


def test_a_lane_without_dead_letters_stops_at_the_first_refused_row(table: Table) -> None:
    """So the lane of rejected records: a dead letter of a dead letter would never end."""
    with pytest.raises(MalformedRecord, match="topic partition 2 offset 41: ClickHouse refuses the row for scores"):
        store(table, sealed_of(GOOD[0], NO_NAME), "topic:token", 0, NEVER)


def test_waiting_for_clickhouse_ends_when_cancelled(clickhouse: ClickHouse) -> None:
    """A sink that is told to stop does not hang on a server that is away."""
    cancelled = threading.Event()
    cancelled.set()
    flaky = Flaky(clickhouse, 100)
    table = Table(flaky, "scores", JSON_ROWS, None, is_one_object)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ClickHouseUnavailable):
        store(table, batch(), "topic:token", 100, cancelled)


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
    store(table, batch(), "topic:token", 100, NEVER)
    assert not table.clickhouse.query(processes)[0][0]
    running.join()
    assert_complete(table)
