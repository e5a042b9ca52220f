"""The tables, and the command that makes them."""

from __future__ import annotations

import json
import subprocess
import sys
import threading

import pytest

from scoreline.enriched import LATE_AFTER_S, EnrichedScore
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
        "retention": [],
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
    assert clickhouse.query(f"SELECT count() FROM system.tables WHERE {where.replace('table', 'name')}") == [(14,)]
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


def test_hours_are_rolled_up_by_label_and_days_by_origin_too(filled: ClickHouse) -> None:
    """Slices that dashboards ask for need no rows either."""
    for bucket, slices in (
        ("toStartOfHour(timestamp)", "label"),
        ("toStartOfDay(timestamp)", "label, service, environment, release"),
    ):
        sql = f"SELECT {slices}, count() FROM {filled.database}.scores WHERE {bucket} >= '2026-03-01' "
        sql += f"GROUP BY {slices} ORDER BY ALL "
        assert filled.query(sql + PROJECTIONS_ONLY) == filled.query(sql + ROWS_ONLY)


def test_the_days_by_origin_agree_with_the_rows(filled: ClickHouse) -> None:
    """The view names all that a day's rollup is sliced by."""
    rolled = filled.query(f"SELECT * FROM {filled.database}.scores_by_origin ORDER BY ALL {PROJECTIONS_ONLY}")
    assert rolled == filled.query(f"SELECT * FROM {filled.database}.scores_by_origin ORDER BY ALL {ROWS_ONLY}")
    assert sum(row[8] for row in rolled) == 3000


@pytest.mark.parametrize(
    ("step", "rollup", "times"), [(900, "by_minute", 15), (7200, "by_hour", 6), (86400, "by_hour", 1)]
)
def test_a_series_is_a_question_with_names(filled: ClickHouse, step: int, rollup: str, times: int) -> None:
    """Whoever asks names project, score, period and step; that it comes from a rollup is nobody's concern."""
    where = f"project = 'default', name = '{NAMES[0]}', since = '2026-03-01 00:30:10', until = '2026-03-04 00:00:00'"
    series = f"FROM {filled.database}.scores_series({where}, step = {step})"
    rolled = filled.query(f"SELECT * {series} ORDER BY ALL")
    explained = "\n".join(line for (line,) in filled.query(f"EXPLAIN SELECT * {series}"))
    assert f"ReadFromMergeTree ({rollup})" in explained
    rounded = "toStartOfMinute" if step < 3600 else "toStartOfHour"
    assert rolled == filled.query(
        f"SELECT data_type, toStartOfInterval(timestamp, toIntervalSecond({step})) AS time, countIf(status = 'ok'), "
        f"countIf(status = 'failed'), avg(value), min(value), max(value) FROM {filled.database}.scores "
        f"WHERE name = '{NAMES[0]}' AND timestamp >= {rounded}(toDateTime('2026-03-01 00:30:10', 'UTC')) "
        f"AND timestamp < '2026-03-04 00:00:00' GROUP BY data_type, time ORDER BY ALL {ROWS_ONLY}"
    )
    assert len({row[1] for row in rolled}) >= times


@pytest.mark.parametrize(
    ("view", "column", "index"),
    [
        ("scores_of_id", "score_id", "Name: score_ids"),
        ("scores_of_trace", "trace_id", "Name: by_trace"),
        ("scores_of_session", "session_id", "Name: by_session"),
        ("scores_of_dataset_run", "dataset_run_id", "Name: by_dataset_run"),
    ],
)
def test_a_lookup_is_answered_by_its_index(clickhouse: ClickHouse, view: str, column: str, index: str) -> None:
    """Of many granules it reads the few that its index names, however small the part."""
    ids = (
        "hex(cityHash64(number)) AS score_id, score_id AS trace_id, score_id AS session_id, score_id AS dataset_run_id"
    )
    clickhouse.query(
        f"INSERT INTO {clickhouse.database}.scores "
        "(score_id, trace_id, session_id, dataset_run_id, project, name, src_partition) "
        f"SELECT {ids}, 'p', 'n', 0 FROM numbers(50000)"
    )
    [(wanted,)] = clickhouse.query("SELECT hex(cityHash64(777))")
    asked = f"SELECT score_id FROM {clickhouse.database}.{view}({column} = '{wanted}')"
    assert clickhouse.query(asked) == [(wanted,)]
    explained = [line.strip() for (line,) in clickhouse.query(f"EXPLAIN indexes = 1, projections = 1 {asked}")]
    assert index in explained


def test_shares_of_categories_add_up(filled: ClickHouse) -> None:
    """Failed scores have no category and count in none."""
    where = "project = 'default', name = '{}', since = '2000-01-01 00:00:00', until = '2100-01-01 00:00:00'"
    for name in NAMES:
        found = filled.query(f"SELECT * FROM {filled.database}.scores_shares({where.format(name)}) ORDER BY label")
        assert found == filled.query(
            f"SELECT label, count() AS n, n / sum(n) OVER () FROM {filled.database}.scores WHERE name = '{name}' "
            f"AND status = 'ok' GROUP BY label ORDER BY label {ROWS_ONLY}"
        )
        assert sum(share for _, _, share in found) == pytest.approx(1)


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


def test_the_delay_is_what_the_record_says(clickhouse: ClickHouse) -> None:
    """It is computed from the two times, not stored; the field of the record is not refused for it."""
    score = enriched(1, timestamp="2026-03-01T00:00:00.123457Z")
    scores_table(clickhouse).insert([score_row(0, 1, encoded(score))], "token")
    [(delay_s, late, received_at, timestamp)] = clickhouse.query(
        f"SELECT delay_s, late, received_at, timestamp FROM {clickhouse.database}.scores"
    )
    assert delay_s == (received_at - timestamp).total_seconds()
    assert late == (delay_s > LATE_AFTER_S)


def test_old_timestamps_make_no_partitions(clickhouse: ClickHouse) -> None:
    """An import of twenty years of scores is one month of arrivals."""
    scores = (enriched(n, timestamp=f"{2000 + n % 26}-0{1 + n % 9}-01T00:00:00Z") for n in range(500))
    scores_table(clickhouse).insert([score_row(0, n, encoded(s)) for n, s in enumerate(scores)], "token")
    parts = f"SELECT count() FROM system.parts WHERE database = '{clickhouse.database}' AND table = 'scores' AND active"
    assert clickhouse.query(parts) == [(1,)]
