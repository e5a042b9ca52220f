"""Every endpoint against the same question in Python."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pyarrow.ipc
import pyarrow.parquet
import pytest

from scoreline_analytics import Analytics, Filter, Question
from scoreline_analytics.formats import to_json
from scoreline_analytics.results import Result
from tests.running_ui import Ui
from tests.sinks.scoreline_analytics.api.conftest import START

SINCE, UNTIL = START + timedelta(days=1), START + timedelta(days=2)
TIME = {"since": SINCE.isoformat(), "until": UNTIL.isoformat()}
A, B = (Filter(names=("numeric",), where=(f"release={release}",)) for release in ("v1", "v2"))
SIDES = {"name": "numeric", "a": "release=v1", "b": "release=v2", "pair": "metadata.item"}

CASES: list[tuple[str, dict[str, Any], Callable[[Analytics], Result]]] = [
    ("names", {}, lambda a: a.names()),
    ("names", TIME, lambda a: a.names(Filter(since=SINCE, until=UNTIL))),
    ("dimensions", {}, lambda a: a.dimensions()),
    ("values/metadata.model", {"name": "boolean"}, lambda a: a.values("metadata.model", Filter(names=("boolean",)))),
    ("values/release", {"limit": 1}, lambda a: a.values("release", limit=1)),
    ("summary", {}, lambda a: a.summary(Question())),
    (
        "summary",
        {"by": ["release", "metadata.model"], "where": ["value>=0.1", "release=v1", "release=v2"], "level": 0.9},
        lambda a: a.summary(
            Question(by=("release", "metadata.model"), where=("value>=0.1", "release=v1", "release=v2"), level=0.9)
        ),
    ),
    ("summary", {"quantiles": False, "by": ""}, lambda a: a.summary(Question(by=()), ())),
    ("summary", {"quantile": [0.25, 0.999]}, lambda a: a.summary(Question(), (0.25, 0.999))),
    (
        "series",
        {"step": "1d", "zone": "Europe/Berlin", "quantile": 0.5, **TIME},
        lambda a: a.series(Question(since=SINCE, until=UNTIL), "1d", "Europe/Berlin", (0.5,)),
    ),
    ("series", {"step": "6h", "by": "project"}, lambda a: a.series(Question(by=("project",)), "6h")),
    ("histogram", {"bins": 7, "low": 0.2, "high": 0.8}, lambda a: a.histogram(Question(), 7, (0.2, 0.8))),
    ("change", TIME, lambda a: a.change(Question(since=SINCE, until=UNTIL))),
    ("compare", SIDES, lambda a: a.compare(A, B, "metadata.item")),
    ("agreement", {**SIDES, "pair": "auto"}, lambda a: a.agreement(A, B)),
    ("worst", {"n": 5}, lambda a: a.worst(n=5)),
    ("latest", {"where": "status=failed"}, lambda a: a.latest(Filter(where=("status=failed",)))),
    ("traces/trace/17", {}, lambda a: a.trace("trace/17")),
    ("rejections", {}, lambda a: a.rejections()),
]


@pytest.mark.parametrize(("path", "parameters", "question"), CASES, ids=[path for path, *_ in CASES])
def test_answer_is_that_of_the_python_api(
    ui: Ui, team: Analytics, path: str, parameters: dict[str, Any], question: Callable[[Analytics], Result]
) -> None:
    """Every row and every digit, with the key's project and no other."""
    expected = json.loads(to_json(question(team).rows()))
    assert expected
    assert ui.rows(f"/v1/{path}", **parameters) == expected


def test_what_stands_beside_the_rows_says_what_was_answered(ui: Ui, team: Analytics) -> None:
    """Whether groups were left out, how sides were paired, which periods were compared."""
    assert ui.get("/v1/summary", limit=1).json()["is_complete"] is False
    compared = team.compare(A, B, "metadata.item")
    assert compared.names[0].pairs == 46
    shown = ui.get("/v1/compare", **SIDES).json()
    assert (shown["pair"], shown["rule"], shown["level"]) == (compared.pair, compared.rule, 0.95)
    change = ui.get("/v1/change", **TIME).json()
    assert change["before"] == {"since": "2026-11-01T00:00:00Z", "until": "2026-11-02T00:00:00Z"}
    [group] = ui.get("/v1/histogram", name="numeric", low=0.2, high=0.8, bins=3).json()["groups"]
    [bars] = team.histogram(Question(names=("numeric",)), 3, (0.2, 0.8)).groups
    assert (group["below"], group["above"], group["n"]) == (bars.below, bars.above, bars.n)


def test_score_is_found_by_its_id_with_slashes(ui: Ui, team: Analytics) -> None:
    """And one that is not there is 404."""
    assert ui.get("/v1/scores/run/7/ünï").json() == json.loads(to_json(team.score("team", "run/7/ünï")))
    answer = ui.get("/v1/scores/nowhere")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
    assert ui.get("/v1/traces/nowhere").status_code == 404


@pytest.mark.parametrize("how", ["format", "accept"])
def test_export_holds_every_score_in_every_form(ui: Ui, team: Analytics, how: str) -> None:
    """Asked for by a parameter or by Accept; JSON lines when nothing is said."""
    expected = [row for batch in team.scores(Filter(names=("numeric",))) for row in batch.rows()]
    assert len(expected) == 100

    def body(form: str, media: str) -> bytes:
        if how == "format":
            answer = ui.get("/v1/scores", name="numeric", format=form)
        else:
            headers = {"Authorization": f"Bearer {ui.key.secret_key}", "Accept": f"text/x-nothing, {media};q=0.9"}
            answer = httpx.get(f"{ui.url}/v1/scores", params={"name": "numeric"}, headers=headers)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].startswith(media)
        return answer.content

    as_json = json.loads(to_json(expected))
    lines = body("jsonl", "application/x-ndjson")
    assert [json.loads(line) for line in lines.splitlines()] == as_json
    assert json.loads(body("json", "application/json")) == as_json
    table = pyarrow.parquet.read_table(io.BytesIO(body("parquet", "application/vnd.apache.parquet")))
    arrow = pyarrow.ipc.open_stream(body("arrow", "application/vnd.apache.arrow.stream")).read_all()
    assert [row["score_id"] for row in table.to_pylist()] == [row["score_id"] for row in expected]
    assert arrow.to_pylist() == table.to_pylist()
    rows = list(csv.DictReader(io.StringIO(body("csv", "text/csv").decode())))
    assert [(row["score_id"], row["comment"]) for row in rows] == [(r["score_id"], r["comment"]) for r in expected]


def test_answer_of_rows_comes_in_every_form_too(ui: Ui, team: Analytics) -> None:
    """A notebook reads Arrow, a spreadsheet CSV."""
    expected = team.summary(Question())
    arrow = pyarrow.ipc.open_stream(ui.get("/v1/summary", format="arrow").content).read_all()
    assert arrow.equals(expected.to_arrow())
    rows = list(csv.DictReader(io.StringIO(ui.get("/v1/summary", format="csv").text)))
    assert [float(row["mean"] or 0) for row in rows] == [row["mean"] or 0 for row in expected.rows()]


def test_export_of_nothing_is_empty_and_whole(ui: Ui) -> None:
    """Also where the form has a head."""
    none = {"where": "value>1e9"}
    assert ui.get("/v1/scores", **none).content == b""
    assert ui.get("/v1/scores", **none, format="json").json() == []
    assert pyarrow.ipc.open_stream(ui.get("/v1/scores", **none, format="arrow").content).read_all().num_rows == 0
    assert len(ui.get("/v1/scores", **none, format="csv").text.splitlines()) == 1


def test_health_tells_flow_and_lag(ui: Ui, team: Analytics) -> None:
    """Of the key's project; the lag is everybody's, and nobody's where no worker has run."""
    health = ui.get("/v1/health", window_s=86400).json()
    assert health["scores"] == team.flow(timedelta(days=1)).n
    assert health["lag"] == {"worker": 0, "sink": 0}
    assert set(health["latency_s"]) == {"to_kafka", "to_row", "to_query"}
    assert datetime.fromisoformat(health["until"]) <= datetime.now(UTC)
