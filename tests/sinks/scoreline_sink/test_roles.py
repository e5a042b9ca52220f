"""Who may do what, tried by users with exactly these rights on a real server, and the SQL as far as one goes."""

from __future__ import annotations

import re
import threading
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from scoreline.errors import ClickHouseUnavailable, SettingsError
from scoreline.kafka import ensure_topics
from scoreline.settings import Settings
from scoreline_sink.clickhouse import ClickHouse
from scoreline_sink.layout import Layout
from scoreline_sink.roles import Role, roles, statements
from scoreline_sink.schema import migrate
from tests.conftest import Stack
from tests.sinks.scoreline_sink.cluster import CLUSTER, USERS, here, make_tables, shards
from tests.sinks.scoreline_sink.records import Writer, encoded, enriched
from tests.sinks.scoreline_sink.server import users_with_roles
from tests.support import Running, eventually

CLUSTERS = (None, "main")
QUERIES_MAX = 12
"""Of the user whose quota is tried; connecting takes some, what reads no table is not counted."""


def _roles(database: str) -> list[Role]:
    made = list(roles(database, ["agents", "search"], Layout()))
    few = replace(made[2], name="few_questions", queries_per_hour=QUERIES_MAX)
    return [*made, few]


@pytest.fixture(scope="module")
def served(stack: Stack) -> Iterator[Settings]:
    """A migrated database with scores of three projects, and a user for each role."""
    database = f"t{uuid.uuid4().hex[:10]}"
    settings = stack.settings.model_copy(update={"clickhouse_database": database, "topic_prefix": f"{database}."})
    migrate(settings, threading.Event())
    connection = ClickHouse(settings)
    for project, count in (("agents", 3), ("search", 5), ("default", 7)):
        connection.query(
            f"INSERT INTO {database}.scores (score_id, project, name, value, trace_id, timestamp, src_partition) "
            f"SELECT toString(number), '{project}', 'accuracy', 1, 'trace', '2026-03-01', 9 FROM numbers({count})"
        )
    with users_with_roles(stack, connection, database, _roles(database)):
        yield settings
    connection.query(f"DROP DATABASE {database} SYNC")
    connection.close()


def as_user(served: Settings, role: str) -> ClickHouse:
    """A connection of the user who has only this role."""
    return ClickHouse(served.model_copy(update={"clickhouse_user": role}))


def refused(connection: ClickHouse, sql: str) -> str:
    """The server's own words about a statement that it does not run."""
    with pytest.raises(DatabaseError) as caught:
        connection._client.command(sql)
    return str(caught.value)


def test_who_migrates_makes_the_tables_of_this_database_and_no_other(served: Settings) -> None:
    """It may begin from nothing, and again; another database is not its to make."""
    database, user = served.clickhouse_database, f"{served.clickhouse_database}_migrate"
    own = served.model_copy(update={"clickhouse_user": user})
    assert migrate(own, threading.Event()).applied == ()
    connection = as_user(served, user)
    connection.query(f"DROP DATABASE {database} SYNC")
    assert len(migrate(own, threading.Event()).applied) == 3
    assert "ACCESS_DENIED" in refused(connection, f"CREATE DATABASE {database}_other")
    assert "ACCESS_DENIED" in refused(connection, f"CREATE USER {database}")
    for project, count in (("agents", 3), ("search", 5), ("default", 7)):
        connection.query(
            f"INSERT INTO {database}.scores (score_id, project, name, value, trace_id, timestamp, src_partition) "
            f"SELECT toString(number), '{project}', 'accuracy', 1, 'trace', '2026-03-01', 9 FROM numbers({count})"
        )


def test_who_writes_runs_a_sink_and_changes_no_table(served: Settings, tmp_path: Path) -> None:
    """All that the sink asks at its start and while it works is granted, and no more."""
    database, user = served.clickhouse_database, f"{served.clickhouse_database}_write"
    ensure_topics(served)
    connection = as_user(served, user)
    with Running(served.model_copy(update={"clickhouse_user": user}), tmp_path, "sink") as sink:
        sink.await_ready()
        Writer(served).commit([encoded(enriched(n, project="written")) for n in range(20)])
        counted = f"SELECT count() FROM {database}.scores WHERE project = 'written'"
        eventually(lambda: connection.query(counted) == [(20,)], "the rows are stored")
        assert sink.stop() == 0, sink.log
    for statement in (
        f"DROP TABLE {database}.scores",
        f"ALTER TABLE {database}.scores DELETE WHERE 1",
        f"ALTER TABLE {database}.scores DROP CONSTRAINT one_row_per_record",
        f"TRUNCATE TABLE {database}.rejected_scores",
        f"INSERT INTO {database}.schema_versions (version, md5, script) VALUES (9, '', '')",
    ):
        assert "ACCESS_DENIED" in refused(connection, statement)


def test_who_reads_asks_everything_and_writes_nothing(served: Settings) -> None:
    """Of all projects, within limits that a statement can lower and not raise."""
    database = served.clickhouse_database
    connection = as_user(served, f"{database}_read")
    asked = f"SELECT project, sum(scores) FROM {database}.scores_by_day WHERE project != 'written' GROUP BY project"
    assert dict(connection.query(asked)) == {"agents": 3, "search": 5, "default": 7}
    assert connection.query("SELECT 1 SETTINGS max_execution_time = 5") == [(1,)]
    assert "SETTING_CONSTRAINT_VIOLATION" in refused(connection, "SELECT 1 SETTINGS max_execution_time = 3600")
    assert "SETTING_CONSTRAINT_VIOLATION" in refused(connection, "SELECT 1 SETTINGS max_memory_usage = 0")
    assert "READONLY" in refused(connection, "SELECT 1 SETTINGS readonly = 0")
    for statement in (
        f"INSERT INTO {database}.scores (score_id) VALUES ('x')",
        f"DROP VIEW {database}.scores_by_day",
        f"SELECT * FROM {database}.dead_letter_actions",
    ):
        assert any(code in refused(connection, statement) for code in ("ACCESS_DENIED", "READONLY"))


@pytest.mark.parametrize(("project", "count"), [("agents", 3), ("search", 5)])
def test_a_reader_of_a_project_sees_no_other(served: Settings, project: str, count: int) -> None:
    """In rows, by id, in views and in rollups alike; and the rollup is still what answers."""
    database = served.clickhouse_database
    connection = as_user(served, f"{database}_read_{project}")
    assert connection.query(f"SELECT project, count() FROM {database}.scores GROUP BY project") == [(project, count)]
    assert connection.query(f"SELECT count() FROM {database}.scores WHERE trace_id = 'trace'") == [(count,)]
    assert connection.query(f"SELECT count() FROM {database}.scores WHERE project = 'default'") == [(0,)]
    view = f"SELECT project, sum(scores) FROM {database}.scores_by_day GROUP BY project"
    assert connection.query(view) == [(project, count)]
    assert any("by_day" in line or "by_hour" in line for (line,) in connection.query(f"EXPLAIN {view}"))
    times = "since = '2026-01-01 00:00:00', until = '2027-01-01 00:00:00', step = 86400"
    for other in ("default", project):
        series = f"scores_series(project = '{other}', name = 'accuracy', {times})"
        found = connection.query(f"SELECT sum(scores) FROM {database}.{series}")
        assert found == [(count if other == project else 0,)]


def test_a_reader_who_asks_without_end_is_stopped(served: Settings) -> None:
    """By a quota for each user."""
    connection = as_user(served, "few_questions")
    asked, said = f"SELECT sum(value) FROM {served.clickhouse_database}.scores", ""
    for _ in range(2 * QUERIES_MAX):
        try:
            connection.query(asked)
        except ClickHouseUnavailable as error:
            said = str(error)
    assert "QUOTA_EXCEEDED" in said


NOWHERE_TO_KEEP_IT = r"\((ACCESS_STORAGE_READONLY|ACCESS_STORAGE_FOR_INSERTION_NOT_FOUND)\)"


@pytest.fixture(scope="module")
def with_roles(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouse]:
    """A server on which the roles are there, in its file of users, and whose user `default` may manage them."""
    named = "".join(f"<{role.name}/>" for role in roles("scoreline", ["agents"], CLUSTER))
    manages = "<default><access_management>1</access_management>"
    users = USERS.replace("</users>", f"</users><roles>{named}</roles>").replace(
        "<default><password", f"{manages}<password"
    )
    with shards(tmp_path_factory.mktemp("roles"), 1, users) as [settings]:
        make_tables([settings], "scoreline")
        connection = ClickHouse(settings)
        yield connection
        connection.close()


@pytest.mark.parametrize("cluster", CLUSTERS)
def test_every_statement_of_the_roles_is_refused_only_for_want_of_a_place(
    with_roles: ClickHouse, cluster: str | None
) -> None:
    """The server out of chdb keeps users in a file, which SQL cannot write. Before it says so it has looked at all
    else: its own right to do it, the role, the setting and its value."""
    for statement in statements("scoreline", ["agents"], Layout(cluster)):
        [(formatted,)] = with_roles.query("SELECT formatQuery({sql:String})", {"sql": statement})
        assert ("ON CLUSTER main" in formatted) == (cluster is not None), statement
        assert re.search(NOWHERE_TO_KEEP_IT, refused(with_roles, here(statement))), statement


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("TO `scoreline_write`", "TO `scoreline_writes`", "UNKNOWN_ROLE"),
        ("SELECT, INSERT", "SELECT, INSRT", "SYNTAX_ERROR"),
        ("max_threads", "max_thread", "UNKNOWN_SETTING"),
        ("readonly = 2", "readonly = 'two'", "CANNOT_PARSE"),
        ("MAX queries", "MAX querys", "SYNTAX_ERROR"),
        ("USING project =", "USING project ==== ", "SYNTAX_ERROR"),
    ],
)
def test_a_mistake_in_a_statement_is_told_first(with_roles: ClickHouse, right: str, wrong: str, said: str) -> None:
    """So what is said of the right ones proves something."""
    of_all = statements("scoreline", ["agents"], Layout())
    statement = next(each for each in of_all if right in each and not each.startswith("CREATE ROLE"))
    assert said in refused(with_roles, statement.replace(right, wrong))


def test_a_project_that_can_be_none_makes_no_role() -> None:
    """Its name stands in a statement."""
    with pytest.raises(SettingsError, match=r"--project \"a' OR 1\": a project is "):
        roles("scoreline", ["a' OR 1"], Layout())
