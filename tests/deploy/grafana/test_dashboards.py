"""The dashboards as they are committed, and every query of them on a real ClickHouse."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import clickhouse_connect
import pytest
from deploy.grafana.dashboards import FOLDER, dashboards, text_of
from deploy.grafana.health import health_dashboards

from scoreline.settings import Settings
from scoreline_sink.schema import migrate

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
SINCE = NOW - timedelta(days=1)
VARIABLES = {"project": ("team", "it's"), "name": ("accuracy",)}


def rendered(sql: str) -> str:
    """The query as the data source sends it: its macros, and Grafana's variables."""
    sql = re.sub(
        r"\$__timeFilter\((\w+)\)",
        lambda m: f"{m[1]} >= toDateTime({SINCE.timestamp():.0f}) AND {m[1]} <= toDateTime({NOW.timestamp():.0f})",
        sql,
    )
    sql = re.sub(r"\$__timeInterval\((\w+)\)", r"toStartOfInterval(toDateTime(\1), INTERVAL 3600 second)", sql)
    sql = sql.replace("$__fromTime", f"toDateTime({SINCE.timestamp():.0f})")
    sql = sql.replace("$__toTime", f"toDateTime({NOW.timestamp():.0f})").replace("$__interval_s", "3600")
    sql = re.sub(r"\$\{(\w+):singlequote\}", lambda m: ",".join(map(quoted, VARIABLES[m[1]])), sql)
    assert "$" not in sql, sql
    return sql


def quoted(text: str) -> str:
    """As ${…:singlequote} writes a value."""
    return "'" + text.replace("'", "\\'") + "'"


@pytest.fixture
def client(settings: Settings) -> Iterator[Any]:
    """A database with two hours of scores and a rejection."""
    migrate(settings, Event())
    with clickhouse_connect.get_client(
        host=settings.clickhouse_host,
        port=settings.clickhouse_port,
        username=settings.clickhouse_user,
        database=settings.clickhouse_database,
    ) as client:
        rows = [
            {
                "project": "team",
                "score_id": str(index),
                "name": "accuracy",
                "data_type": "NUMERIC" if index % 2 else "BOOLEAN",
                "value": 0.1 * index if index % 2 else 1,
                "label": "" if index % 2 else "true",
                "status": "ok",
                "service": "web",
                "trace_id": "t",
                **dict.fromkeys(("timestamp", "received_at"), f"2026-11-20 1{index % 2}:00:00"),
                "inserted_at": f"2026-11-20 1{index % 2}:00:02",
                "src_partition": 0,
                "src_offset": index,
            }
            for index in range(10)
        ]
        client.raw_insert("scores", insert_block="\n".join(map(json.dumps, rows)).encode(), fmt="JSONEachRow")
        rejected = {"project": "team", "reason": "no_target", "rejected_at": "2026-11-20 11:00:00"}
        client.raw_insert("rejected_scores", insert_block=json.dumps(rejected).encode(), fmt="JSONEachRow")
        yield client
        client.command(f"DROP DATABASE {settings.clickhouse_database} SYNC")


def test_files_are_what_the_generator_writes() -> None:
    """After a change: python -m deploy.grafana."""
    written = dashboards() | health_dashboards()
    assert {path.name for path in FOLDER.glob("*.json")} == {f"{name}.json" for name in written}
    for name, dashboard in written.items():
        assert Path(FOLDER / f"{name}.json").read_text() == text_of(dashboard), name


def test_panels_have_places_and_numbers_of_their_own() -> None:
    """None hides another, none stands beyond the grid."""
    for name, dashboard in (dashboards() | health_dashboards()).items():
        panels = dashboard["panels"]
        assert len({panel["id"] for panel in panels}) == len(panels)
        cells: set[tuple[int, int]] = set()
        for panel in panels:
            at = panel["gridPos"]
            own = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
            assert not own & cells, (name, panel["title"])
            assert at["x"] + at["w"] <= 24
            cells |= own


def test_every_query_answers_on_a_real_database(client: Any) -> None:
    """With rows, and a first column of time where the panel draws one."""
    asked = 0
    for name, dashboard in dashboards().items():
        for variable in dashboard["templating"]["list"][1:]:
            assert client.query(rendered(variable["query"]["rawSql"])).result_rows, (name, variable["name"])
            asked += 1
        for panel in dashboard["panels"]:
            answer = client.query(rendered(panel["targets"][0]["rawSql"]))
            assert answer.result_rows, (name, panel["title"])
            if panel["type"] == "timeseries":
                assert answer.column_names[0] == "time"
                assert [row[0].hour for row in answer.result_rows] == sorted(row[0].hour for row in answer.result_rows)
            asked += 1
    assert asked == 29


def test_rollups_answer_the_overview(client: Any) -> None:
    """They are read as projections, so that a dashboard costs the same with ten million scores."""
    for panel in dashboards()["overview"]["panels"]:
        sql = rendered(panel["targets"][0]["rawSql"])
        plan = "\n".join(row[0] for row in client.query(f"EXPLAIN {sql}").result_rows)
        assert "by_hour" in plan, (panel["title"], plan)
