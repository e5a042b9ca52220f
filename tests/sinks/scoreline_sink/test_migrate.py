"""`scoreline migrate` beside others: what it shows, two at a time, under a running sink, and how long rows are kept."""

from __future__ import annotations

import json
import subprocess
import sys
import threading

import pytest
from clickhouse_migrations.migrator import Migrator

from scoreline.errors import SchemaError
from scoreline.settings import Settings
from scoreline_sink.clickhouse import ClickHouse, scores_table
from scoreline_sink.mutex import held
from scoreline_sink.rows import score_row
from scoreline_sink.schema import migrate, pending_script, status
from tests.sinks.scoreline_sink.records import encoded, enriched
from tests.support import environment

ALL = ["0001_scores", "0002_score_rollups", "0003_rejected_scores"]


def command(settings: Settings, *options: str) -> subprocess.CompletedProcess[str]:
    """`scoreline migrate` as a user runs it."""
    run = [sys.executable, "-m", "scoreline.cli", "migrate", *options]
    return subprocess.run(run, env=environment(settings), check=False, capture_output=True, text=True, timeout=60)


def test_the_status_tells_what_is_there_by_its_exit_status_too(settings: Settings) -> None:
    """Nothing yet, then all; for people and for scripts. To ask makes no database."""
    before = command(settings, "--status", "--json")
    assert before.returncode == 1
    found = json.loads(before.stdout)
    assert [(m["name"], m["state"], m["applied_at"]) for m in found["migrations"]] == [
        (n, "pending", None) for n in ALL
    ]
    connection = ClickHouse(settings)
    assert connection.query(f"SELECT count() FROM system.databases WHERE name = '{connection.database}'") == [(0,)]
    migrate(settings, threading.Event())
    after = command(settings, "--status")
    assert after.returncode == 0
    assert [line.split()[1:3] for line in after.stdout.splitlines()[2:]] == [[name, "applied"] for name in ALL]
    connection.query(
        f"ALTER TABLE {connection.database}.schema_versions UPDATE md5 = 'x' WHERE version = 2 "
        "SETTINGS mutations_sync = 2"
    )
    connection.query(f"INSERT INTO {connection.database}.schema_versions (version, md5, script) VALUES (9, 'x', 'y')")
    assert command(settings, "--status").returncode == 1
    assert [m.state for m in status(settings).migrations] == ["applied", "altered", "applied", "unknown"]
    connection.close()


def test_a_dry_run_prints_the_sql_that_makes_the_tables(settings: Settings) -> None:
    """And makes none of them; that SQL, run by hand, does. Where nothing is missing it says so."""
    printed = command(settings, "--dry-run").stdout
    assert status(settings).named("pending") == ALL
    connection = ClickHouse(settings)
    for statement in Migrator.script_to_statements(printed, True):
        if not statement.startswith("USE "):
            connection._client.database = "default" if "CREATE DATABASE" in statement else settings.clickhouse_database
            connection._client.command(statement)
    made = connection.query(f"SELECT name FROM system.tables WHERE database = '{settings.clickhouse_database}'")
    migrate(settings, threading.Event())
    assert sorted(made) == sorted(
        connection.query(
            f"SELECT name FROM system.tables WHERE database = '{settings.clickhouse_database}' "
            "AND name != 'schema_versions'"
        )
    )
    assert command(settings, "--dry-run").stdout == "-- nothing to do\n"
    connection.close()


def test_of_two_at_a_time_one_makes_the_tables(settings: Settings) -> None:
    """The other waits and finds nothing to do."""
    run = [sys.executable, "-m", "scoreline.cli", "migrate", "--json"]
    both = [subprocess.Popen(run, env=environment(settings), stdout=subprocess.PIPE, text=True) for _ in range(2)]
    applied = sorted(json.loads(process.communicate(timeout=60)[0])["applied"] for process in both)
    assert applied == [[], ALL]
    connection = ClickHouse(settings)
    noted = connection.query(f"SELECT version FROM {connection.database}.schema_versions ORDER BY version")
    assert noted == [(1,), (2,), (3,)]
    connection.close()


def test_a_migration_that_does_not_end_is_named(settings: Settings) -> None:
    """With what to do about it; once it has ended, the next one goes on."""
    lock = f"{settings.clickhouse_database}:migrate"
    with (
        held(settings, lock),
        pytest.raises(SchemaError, match=f"another migration runs .* KILL QUERY WHERE query_id = '{lock}'"),
        held(settings, lock, wait_s=0.5),
    ):
        pass
    with held(settings, lock, wait_s=5):
        pass


def test_migrations_beside_inserts_lose_no_row(settings: Settings, clickhouse: ClickHouse) -> None:
    """A running sink does not notice that somebody migrates again and changes how long rows are kept."""
    table, done, tokens = scores_table(clickhouse), threading.Event(), 0

    def migrate_again() -> None:
        for days in (30, None, 40, None):
            migrate(settings.model_copy(update={"retention_days": days}), threading.Event())
        done.set()

    beside = threading.Thread(target=migrate_again)
    beside.start()
    while not done.is_set() or tokens < 20:
        rows = [score_row(0, tokens * 10 + n, encoded(enriched(tokens * 10 + n))) for n in range(10)]
        table.insert([row for row in rows if row is not None], f"t{tokens}")
        tokens += 1
    beside.join()
    found = clickhouse.query(f"SELECT count(), uniqExact(src_offset) FROM {clickhouse.database}.scores")
    assert found == [(tokens * 10, tokens * 10)]


def test_rows_are_kept_for_as_long_as_the_setting_says(settings: Settings, clickhouse: ClickHouse) -> None:
    """From their insert on: an old score that arrives today stays. For ever where it is not set."""
    database = clickhouse.database
    for age_days in (0, 29, 31):
        clickhouse.query(
            f"INSERT INTO {database}.scores "
            "(score_id, project, name, timestamp, received_at, src_partition, inserted_at) "
            f"SELECT '{age_days}', 'p', 'n', '2001-01-01', '2001-0{1 + age_days % 5}-01', 0, "
            f"now() - toIntervalDay({age_days})"
        )
    kept = f"SELECT score_id FROM {database}.scores ORDER BY score_id"
    month = settings.model_copy(update={"retention_days": 30})
    assert "MODIFY TTL" in pending_script(month)
    assert migrate(month, threading.Event()).retention == ("scores", "rejected_scores")
    assert (pending_script(month), migrate(month, threading.Event()).retention) == ("", ())
    clickhouse.query(f"OPTIMIZE TABLE {database}.scores FINAL")
    assert clickhouse.query(kept) == [("0",), ("29",)]
    assert migrate(settings, threading.Event()).retention == ("scores", "rejected_scores")
    clickhouse.query(f"INSERT INTO {database}.scores (score_id, project, name, src_partition, inserted_at) "
        "VALUES ('old', 'p', 'n', 0, '2001-01-01')")  # fmt: skip
    clickhouse.query(f"OPTIMIZE TABLE {database}.scores FINAL")
    assert ("old",) in clickhouse.query(kept)
