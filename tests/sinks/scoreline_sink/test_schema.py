"""The tables, and the command that makes them."""

from __future__ import annotations

import json
import subprocess
import sys
import threading

import pytest

from scoreline.enriched import EnrichedScore
from scoreline.errors import SchemaError
from scoreline.events import DataType, Status
from scoreline.settings import Settings
from scoreline_sink.clickhouse import ClickHouse, rejected_scores_table, scores_table
from scoreline_sink.rows import REJECTED_COLUMNS, RejectedRecord, rejected_row, score_row
from scoreline_sink.schema import migrate, require_schema
from tests.sinks.scoreline_sink.records import NAMES, encoded, enriched
from tests.support import environment

UNITS = {"minute": "toStartOfMinute", "hour": "toStartOfHour", "day": "toStartOfDay"}
PROJECTIONS_ONLY = "SETTINGS optimize_use_projections = 1, force_optimize_projection = 1"
ROWS_ONLY = "SETTINGS optimize_use_projections = 0"


def test_the_second_migration_changes_nothing(settings: Settings) -> None:
    """`scoreline migrate` may run before every start."""
    first, second = migrate(settings, threading.Event()), migrate(settings, threading.Event())
    assert first.applied == ("0001_scores", "0002_score_rollups", "0003_rejected_scores")
    assert (second.applied, second.version) == ((), first.version)
    require_schema(settings)


def test_the_command_says_what_it_did(settings: Settings) -> None:
    """In JSON for scripts, in a sentence for people."""

    def run(*options: str) -> str:
        command = [sys.executable, "-m", "scoreline.cli", "migrate", *options]
        return subprocess.run(
            command, env=environment(settings), check=True, capture_output=True, text=True, timeout=60
        ).stdout

    assert json.loads(run("--json")) == {
        "server": f"{settings.clickhouse_host}:{settings.clickhouse_port}",
        "database": settings.clickhouse_database,
        "version": 3,
        "applied": ["0001_scores", "0002_score_rollups", "0003_rejected_scores"],
    }
    assert "nothing to do; schema version 3" in run()


def test_a_schema_that_is_missing_or_other_is_an_error(settings: Settings, clickhouse: ClickHouse) -> None:
    """The message says what lacks and what to do."""
    nowhere = settings.model_copy(update={"clickhouse_database": f"{settings.clickhouse_database}_not"})
    with pytest.raises(SchemaError, match=r"lacks 0001_scores, .*; apply with: scoreline migrate"):
        require_schema(nowhere)
    require_schema(settings)
    versions = f"{clickhouse.database}.schema_versions"
    clickhouse.query(f"ALTER TABLE {versions} UPDATE md5 = 'x' WHERE version = 2 SETTINGS mutations_sync = 2")
    with pytest.raises(SchemaError, match="made by another release: 0002_score_rollups differ"):
        require_schema(settings)
    with pytest.raises(SchemaError, match="Migration version is 2"):
        migrate(settings, threading.Event())


def test_a_later_schema_does_not_stop_this_release(settings: Settings, clickhouse: ClickHouse) -> None:
    """Migrations come first in a rolling upgrade; the old sink goes on meanwhile."""
    clickhouse.query(f"INSERT INTO {clickhouse.database}.schema_versions (version, md5, script) VALUES (999, 'x', 'y')")
    require_schema(settings)


def test_everything_says_what_it_means(clickhouse: ClickHouse) -> None:
    """Tables, views and columns have a comment, for whoever meets them in a query editor."""
    where = f"database = '{clickhouse.database}' AND table != 'schema_versions'"
    columns = clickhouse.query(f"SELECT table, name FROM system.columns WHERE {where} AND comment = ''")
    tables = clickhouse.query(f"SELECT name FROM system.tables WHERE {where.replace('table', 'name')} AND comment = ''")
    assert (columns, tables) == ([], [])


def test_scores_has_every_field_of_the_contract(clickhouse: ClickHouse) -> None:
    """A field that is added to the record and not to the table would vanish silently."""
    columns = clickhouse.query(
        f"SELECT name FROM system.columns WHERE database = '{clickhouse.database}' AND table = 'scores'"
    )
    own = {"src_partition", "src_offset", "inserted_at"}
    assert {name for (name,) in columns} == set(EnrichedScore.model_fields) | own


@pytest.fixture
def filled(clickhouse: ClickHouse) -> ClickHouse:
    """Scores of three types and failed ones over three days in two inserts, and some rejected records."""
    scores = [
        *(enriched(n, timestamp=f"2026-03-{1 + n % 3:02}T0{n % 5}:{n % 60:02}:07Z") for n in range(2000)),
        *(enriched(n, data_type=DataType.CATEGORICAL, value=None, label=f"label {n % 4}") for n in range(2000, 2500)),
        *(
            enriched(n, data_type=DataType.BOOLEAN, value=n % 2 / 1, label="true", normalized=n % 2 / 1)
            for n in range(2500, 3000)
        ),
        *(
            enriched(n, status=Status.FAILED, error="timed out", data_type=DataType.NUMERIC, value=None)
            for n in range(3000, 3100)
        ),
    ]
    rows = [score_row(0, n, encoded(score)) for n, score in enumerate(scores)]
    table = scores_table(clickhouse)
    table.insert(rows[::2], "even")
    table.insert(rows[1::2], "odd")
    rejected = [
        RejectedRecord(
            0,
            n,
            1_790_000_000_000 + n * 60_000,
            b"p/%d" % n,
            b'{"name":"n","service":"s%d"}' % (n % 3),
            [("scoreline.reason", reason)],
        )
        for n, reason in enumerate([b"no_target", b"too_large"] * 100)
    ]
    rejected_scores_table(clickhouse, REJECTED_COLUMNS).insert([rejected_row(record) for record in rejected], "t")
    return clickhouse


@pytest.mark.parametrize("unit", UNITS)
def test_a_view_reads_its_rollup_and_agrees_with_the_rows(filled: ClickHouse, unit: str) -> None:
    """What a person asks of the view is answered by the projection, and equals a GROUP BY over the rows."""
    bucket, database = f"{UNITS[unit]}(timestamp)", filled.database
    rolled = filled.query(f"SELECT * FROM {database}.scores_by_{unit} ORDER BY ALL {PROJECTIONS_ONLY}")
    rows = filled.query(
        f"SELECT project, name, data_type, {bucket}, countIf(status = 'ok'), countIf(status = 'failed'), "
        "count(value), sum(value), sum(value * value), "
        "min(value), max(value), avg(value), count(normalized), sum(normalized) "
        f"FROM {database}.scores GROUP BY project, name, data_type, {bucket} ORDER BY ALL {ROWS_ONLY}"
    )
    assert rolled == rows
    assert (sum(row[4] for row in rows), sum(row[5] for row in rows)) == (3000, 100)
    some = (
        f"FROM {database}.scores_by_{unit} WHERE project = 'default' AND name = '{NAMES[0]}' AND {unit} >= '2026-03-02'"
    )
    (rolled_some,) = filled.query(f"SELECT sum(scores), sum(value_sum) {some} {PROJECTIONS_ONLY}")
    (rows_some,) = filled.query(
        f"SELECT countIf(status = 'ok'), sum(value) FROM {database}.scores "
        f"WHERE name = '{NAMES[0]}' AND timestamp >= toStartOfDay(toDate('2026-03-02')) {ROWS_ONLY}"
    )
    assert rolled_some == rows_some


def test_hours_and_days_are_rolled_up_by_origin_and_label(filled: ClickHouse) -> None:
    """Slices that dashboards ask for need no rows either."""
    for bucket in ("toStartOfHour(timestamp)", "toStartOfDay(timestamp)"):
        sql = (
            f"SELECT label, service, environment, count() FROM {filled.database}.scores WHERE {bucket} >= '2026-03-01' "
        )
        sql += "GROUP BY label, service, environment ORDER BY ALL "
        assert filled.query(sql + PROJECTIONS_ONLY) == filled.query(sql + ROWS_ONLY)


def test_the_plan_of_a_query_names_the_projection(filled: ClickHouse) -> None:
    """And does so without being forced to."""
    explained = filled.query(f"EXPLAIN SELECT name, sum(scores) FROM {filled.database}.scores_by_hour GROUP BY name")
    assert any("by_hour" in line for (line,) in explained)


def test_rejections_by_hour_agree_with_the_rows(filled: ClickHouse) -> None:
    """As for scores."""
    rolled = filled.query(f"SELECT * FROM {filled.database}.rejections_by_hour ORDER BY ALL {PROJECTIONS_ONLY}")
    rows = filled.query(
        "SELECT project, reason, service, name, toStartOfHour(rejected_at) AS hour, count(), max(rejected_at) "
        f"FROM {filled.database}.rejected_scores GROUP BY project, reason, service, name, hour ORDER BY ALL {ROWS_ONLY}"
    )
    assert rolled == rows
    assert sum(row[5] for row in rows) == 200
    assert {row[2] for row in rows} == {"s0", "s1", "s2"}


def test_the_highest_offsets_are_read_from_a_rollup(filled: ClickHouse) -> None:
    """The sink asks at every assignment; a billion rows must not make that slow."""
    assert scores_table(filled).highest([0, 1]) == {0: 3099}
    assert scores_table(filled).highest([]) == {}
    filled.query(
        f"SELECT src_partition, max(src_offset) FROM {filled.database}.scores WHERE src_partition IN (0, 1) "
        f"GROUP BY src_partition {PROJECTIONS_ONLY}"
    )


def test_old_timestamps_make_no_partitions(clickhouse: ClickHouse) -> None:
    """An import of twenty years of scores is one month of arrivals."""
    scores = (enriched(n, timestamp=f"{2000 + n % 26}-0{1 + n % 9}-01T00:00:00Z") for n in range(500))
    scores_table(clickhouse).insert([score_row(0, n, encoded(s)) for n, s in enumerate(scores)], "token")
    parts = f"SELECT count() FROM system.parts WHERE database = '{clickhouse.database}' AND table = 'scores' AND active"
    assert clickhouse.query(parts) == [(1,)]
