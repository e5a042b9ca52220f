"""The form for a cluster on two real shards: what is asked of it, and what it does not do."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from scoreline.errors import SchemaError
from scoreline.settings import Settings
from scoreline_analytics import Analytics, Filter, Question
from scoreline_sink.clickhouse import ClickHouse
from scoreline_sink.dlq.filters import Filter as Letters
from scoreline_sink.dlq.store import Store
from scoreline_sink.guarantee import require_tables
from scoreline_sink.layout import SHARDED, names, statements
from scoreline_sink.schema import migrate
from tests.sinks.scoreline_analytics.api.conftest import START, made_rejections, made_scores
from tests.sinks.scoreline_sink.cluster import CLUSTER, make_tables, shards

DATABASE, ONE_SERVER = "scoreline", "scoreline_one"
MIDDLE, END = START + timedelta(days=1), START + timedelta(days=4)
V1, V2 = Filter(project="team", where=("release=v1",)), Filter(project="team", where=("release=v2",))
IN_TEAM = Question(project="team", by=("name", "metadata.model"))
QUESTIONS: dict[str, Callable[[Analytics], Any]] = {
    "names": lambda a: a.names().rows(),
    "dimensions": lambda a: a.dimensions().rows(),
    "values": lambda a: a.values("metadata.model").rows(),
    "summary of rows": lambda a: a.summary(IN_TEAM).rows(),
    "summary of rollups": lambda a: a.summary(Question(by=("name", "label"), since=MIDDLE), ()).rows(),
    "series": lambda a: a.series(IN_TEAM, "6h", "Europe/Berlin").rows(),
    "series of rollups": lambda a: a.series(Question(), "1d").rows(),
    "histogram": lambda a: a.histogram(IN_TEAM).rows(),
    "change": lambda a: a.change(Question(since=MIDDLE), END).rows(),
    "compare": lambda a: a.compare(V1, V2).rows(),
    "compare by item": lambda a: a.compare(V1, V2, "trace_id").rows(),
    "agreement": lambda a: a.agreement(Filter(names=("numeric",)), Filter(names=("boolean",)), "trace_id").rows(),
    "worst": lambda a: a.worst(V1, 5).rows(),
    "latest": lambda a: a.latest(n=7).rows(),
    "scores": lambda a: sorted(json.dumps(r, default=str) for batch in a.scores() for r in batch.rows()),
    "score": lambda a: a.score("team", "run/7/ünï"),
    "trace": lambda a: a.trace("trace/3").rows(),
    "rejections": lambda a: a.rejections().rows(),
    "flow": lambda a: (
        (flow := a.flow(timedelta(days=1), datetime(2026, 11, 2, tzinfo=UTC))) and (flow.n, flow.rejected)
    ),
}
VIEWS = (
    "scores_by_minute",
    "scores_by_hour",
    "scores_by_day",
    "scores_by_origin",
    "scores_series(project = 'team', name = 'numeric', since = '2026-11-01', until = '2026-11-09', step = 3600)",
    "scores_of_id(project = 'team', score_id = 'run/7/ünï')",
    "scores_of_trace(trace_id = 'trace/3')",
    "rejections_by_hour",
)


def _store(settings: Settings) -> None:
    """Scores of two projects and rejections; of a Distributed table all have arrived when this returns."""
    connection = ClickHouse(settings)
    for table, rows in (("scores", made_scores()), ("rejected_scores", made_rejections())):
        connection._client.raw_insert(
            f"{settings.clickhouse_database}.{table}",
            insert_block="\n".join(map(json.dumps, rows)).encode(),
            fmt="JSONEachRow",
            settings={"distributed_foreground_insert": 1},
        )
    connection.close()


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Settings]]:
    """Two shards with the cluster's tables; on the first one also a database for one server. Both filled."""
    with shards(tmp_path_factory.mktemp("cluster")) as servers:
        make_tables(servers, DATABASE)
        migrate(_of(servers[0], ONE_SERVER), threading.Event())
        for settings in (_of(servers[1], DATABASE), _of(servers[0], ONE_SERVER)):
            _store(settings)
        yield servers


def _of(settings: Settings, database: str) -> Settings:
    return settings.model_copy(update={"clickhouse_database": database})


def test_rows_are_spread_over_the_shards_by_their_id(servers: list[Settings]) -> None:
    """Each is on one shard; every server shows all."""
    counts: list[int] = []
    for settings in servers:
        connection = ClickHouse(settings)
        [(own,)] = connection.query(f"SELECT count() FROM {DATABASE}.scores_shard")
        assert connection.query(f"SELECT count(), uniqExact(project, score_id) FROM {DATABASE}.scores") == [(600, 600)]
        counts.append(own)
        connection.close()
    assert sum(counts) == 600
    assert min(counts) > 200


@pytest.mark.parametrize("question", QUESTIONS)
def test_every_question_is_answered_as_by_one_server(servers: list[Settings], question: str) -> None:
    """By whichever server is asked."""
    ask = QUESTIONS[question]
    with Analytics(_of(servers[0], ONE_SERVER)) as one:
        expected = ask(one)
    assert expected
    for settings in servers:
        with Analytics(_of(settings, DATABASE)) as analytics:
            assert _close(ask(analytics), expected)


def _close(found: Any, expected: Any) -> bool:
    """The same; sums of shards may differ in their last digits."""
    if isinstance(expected, float):
        return found == pytest.approx(expected, rel=1e-9)
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(_close(found[key], expected[key]) for key in expected)
    if isinstance(expected, (list, tuple)):
        return len(found) == len(expected) and all(map(_close, found, expected))
    return found == expected


@pytest.mark.parametrize("view", VIEWS)
def test_the_views_show_what_they_show_on_one_server(servers: list[Settings], view: str) -> None:
    """They are the same statements, over all shards."""
    connection = ClickHouse(servers[1])
    rows = sorted(map(str, connection.query(f"SELECT * FROM {DATABASE}.{view}")))
    connection.close()
    connection = ClickHouse(servers[0])
    expected = sorted(map(str, connection.query(f"SELECT * FROM {ONE_SERVER}.{view}")))
    connection.close()
    assert len(rows) == len(expected) > 0


def test_dead_letters_are_listed_as_on_one_server(servers: list[Settings]) -> None:
    """Those without an action and all, whole and by reason."""
    spread, one = Store(_of(servers[1], DATABASE)), Store(_of(servers[0], ONE_SERVER))

    def shown(store: Store) -> list[Any]:
        everything = Letters()
        walked = [
            letter.entry.reference for page in store.walk(store.census(everything, "all"), "all") for letter in page
        ]
        newest = [entry.reference for entry in store.newest(everything, "open", 10, None)]
        return [sorted(walked), newest, store.stats(everything, "open", None, 10)]

    assert shown(spread) == shown(one)
    assert len(shown(one)[0]) == 3
    spread.close()
    one.close()


def test_the_sink_does_not_start_on_it(servers: list[Settings]) -> None:
    """An insert into a Distributed table is acknowledged before its rows are on the shards."""
    connection = ClickHouse(_of(servers[0], DATABASE))
    with pytest.raises(SchemaError, match="is spread over a cluster's shards; that a row is stored once is not proven"):
        require_tables(connection)
    connection.close()


def test_the_replicated_tables_are_taken_by_the_real_engine(servers: list[Settings]) -> None:
    """With all their settings, indexes, projections and constraints, beside a Keeper in memory; they hold no row here,
    since chdb has no address for other replicas."""
    connection = ClickHouse(servers[0])
    connection.query("CREATE DATABASE replicated")
    connection._client.database = "replicated"
    for version in names():
        for statement in statements(version, CLUSTER):
            placed = statement.replace("_shard ON CLUSTER 'main'", f"_shard UUID '{uuid.uuid4()}'")
            connection._client.command(placed.replace(" ON CLUSTER 'main'", "").rstrip(";"))
    engines = dict(connection.query("SELECT name, engine FROM system.tables WHERE database = 'replicated'"))
    for table in SHARDED:
        assert engines[f"{table}_shard"].startswith("Replicated")
        assert engines[table] == "Distributed"
    [(made_by,)] = connection.query(
        "SELECT create_table_query FROM system.tables WHERE database = 'replicated' AND name = 'scores_shard'"
    )
    assert "replicated_deduplication_window = 10000" in made_by
    assert "PROJECTION by_origin" in made_by
    connection.close()
