"""A read side over a database with scores of two projects."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Any

import clickhouse_connect
import pytest

from scoreline.settings import Settings
from scoreline_analytics import Analytics
from scoreline_sink.schema import migrate
from tests.conftest import Stack
from tests.running_ui import Ui, running_ui

START = datetime(2026, 11, 1, tzinfo=UTC)
SCORES = 600


def made_scores() -> list[dict[str, Any]]:
    """Scores of the projects `team` and `other`, over three days, of every type."""
    rng = random.Random(5)
    rows: list[dict[str, Any]] = []
    for index in range(SCORES):
        moment = START + timedelta(minutes=7 * index)
        kind = ("NUMERIC", "BOOLEAN", "CATEGORICAL")[index % 3]
        label = {"NUMERIC": "", "BOOLEAN": rng.choice(["true", "false"]), "CATEGORICAL": rng.choice("abc")}[kind]
        value = {"NUMERIC": rng.random(), "BOOLEAN": float(label == "true"), "CATEGORICAL": None}[kind]
        failed = index % 50 == 7
        text = moment.strftime("%Y-%m-%d %H:%M:%S")
        rows.append(
            {
                "project": "team" if index % 2 else "other",
                "score_id": f"run/{index}/ünï",
                "name": kind.lower(),
                "data_type": kind,
                "value": None if failed else value,
                "label": "" if failed else label,
                "status": "failed" if failed else "ok",
                "release": "v1" if index % 12 < 6 else "v2",
                "metadata": {"item": str(index // 12), "model": rng.choice(["m-1", "m-2"])},
                "trace_id": f"trace/{index // 4}",
                "comment": 'a "quoted", comma\nand line',
                "timestamp": text,
                "received_at": text,
                "inserted_at": text,
                "source": "API",
                "src_partition": 0,
                "src_offset": index,
            }
        )
    return rows


def made_rejections() -> list[dict[str, Any]]:
    """One for each project, and one of nobody's."""
    common = {"rejected_at": "2026-11-02 12:00:00", "stage": "validate", "src_partition": 0}
    return [
        {**common, "reason": "no_target", "service": "web", "project": "team", "value": "{}", "src_offset": 0},
        {**common, "reason": "unknown_config", "service": "job", "project": "other", "value": "{}", "src_offset": 1},
        {**common, "reason": "malformed_json", "service": "", "project": "", "value": "{", "src_offset": 2},
    ]


@pytest.fixture(scope="module")
def served_settings(stack: Stack) -> Iterator[Settings]:
    """Topics and a database of a test module, filled."""
    unique = f"t{uuid.uuid4().hex[:10]}"
    settings = stack.settings.model_copy(update={"topic_prefix": f"{unique}.", "clickhouse_database": unique})
    migrate(settings, Event())
    with clickhouse_connect.get_client(
        host=settings.clickhouse_host, port=settings.clickhouse_port, username="default", database=unique
    ) as client:
        for table, rows in (("scores", made_scores()), ("rejected_scores", made_rejections())):
            client.raw_insert(table, insert_block="\n".join(map(json.dumps, rows)).encode(), fmt="JSONEachRow")
        yield settings
        client.command(f"DROP DATABASE {unique} SYNC")


@pytest.fixture(scope="module")
def ui(served_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    """A read side that asks for keys; what it has logged shows no bug."""
    with running_ui(served_settings, tmp_path_factory.mktemp("ui")) as ui:
        yield ui
        assert ui.process.stop() == 0, ui.process.log
        assert not ui.process.ready_file.exists()
        assert "Traceback" not in ui.process.log, ui.process.log


@pytest.fixture(scope="module")
def team(served_settings: Settings) -> Iterator[Analytics]:
    """The same questions in Python, of project `team`."""
    with Analytics(served_settings, projects=("team",)) as analytics:
        yield analytics
