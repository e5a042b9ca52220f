"""Who may ask, and what hostile callers get."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from scoreline.keys import Scope
from scoreline.settings import Settings
from scoreline.stores import KeyStore
from tests.running_gateway import make_key
from tests.running_ui import Ui, running_ui
from tests.support import Running, eventually

EVERY = [
    *("names", "dimensions", "values/project", "summary", "series?step=1d", "histogram", "change?since=3650d"),
    *("compare?a=release=v1&b=release=v2", "worst", "latest", "scores?format=json", "rejections", "health"),
    *("agreement?a=release=v1&b=release=v2", "scores/run/7/ünï", "traces/trace/1"),
]


def test_reader_sees_own_projects_only_in_both_directions(ui: Ui) -> None:
    """Whatever is asked for: counts, rows, ids, traces, rejections; naming the other project helps nobody."""
    for mine, theirs, key in (("team", "other", ui.key), ("other", "team", ui.other)):
        assert {row["project"] for row in ui.rows("/v1/names", key)} == {mine}
        assert {row["project"] for row in ui.rows("/v1/values/project", key)} == {mine}
        assert {row["project"] for row in ui.rows("/v1/summary", key, by="project")} == {mine}
        assert {row["project"] for row in ui.rows("/v1/series", key, by="project", step="1d")} == {mine}
        assert {row["project"] for row in ui.rows("/v1/latest", key, n=10000)} == {mine}
        assert {row["project"] for row in ui.rows("/v1/worst", key, n=10000)} == {mine}
        assert {row["project"] for row in ui.rows("/v1/rejections", key)} == {mine}
        assert {row["project"] for row in ui.rows("/v1/traces/trace/2", key)} == {mine}
        assert {row["project"] for row in ui.get("/v1/scores", key, format="json").json()} == {mine}
        asked = {"project": theirs}
        theirs_id = "run/7/ünï" if theirs == "team" else "run/8/ünï"
        assert ui.get(f"/v1/scores/{theirs_id}", key).status_code == 404
        every = ("names", "values/name", "summary", "latest", "histogram", "scores", "rejections")
        for path in (*every, f"scores/{theirs_id}", "traces/trace/2"):
            answer = ui.get(f"/v1/{path}", key, **asked)
            assert answer.status_code == 400, path
            assert answer.json()["error"]["message"].endswith(f" has project {theirs!r}; there are {mine}")
        assert ui.get("/v1/scores", key, where=f"project={theirs}").status_code == 400


@pytest.mark.parametrize("path", EVERY)
def test_nothing_is_told_without_a_key_that_may_read(ui: Ui, path: str) -> None:
    """401 without one, 403 with a sender's."""
    answer = httpx.get(f"{ui.url}/v1/{path}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "unauthorized")
    assert answer.headers["www-authenticate"].startswith("Bearer")
    sender = make_key(ui.settings, Scope.WRITE, Scope.CONFIGS, project="team")
    eventually(lambda: ui.get("/v1/names", sender).status_code == 403, "the key is known")
    refused = ui.get(f"/v1/{path}", sender)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "scope_missing")
    assert "--scope read" in refused.json()["error"]["remedy"]


def test_key_reads_when_it_is_made_and_not_when_it_is_revoked(ui: Ui) -> None:
    """Under a running server, within seconds."""
    made = make_key(ui.settings, Scope.READ, project="team")
    eventually(lambda: ui.get("/v1/names", made).status_code == 200, "the key is known")
    KeyStore(ui.settings).revoke(made.entry.public_key)
    eventually(lambda: ui.get("/v1/names", made).status_code == 401, "the key is revoked")


HOSTILE: list[tuple[str, dict[str, Any], str]] = [
    ("summary", {"by": "value) FROM system.users --"}, "no dimension"),
    ("summary", {"where": "1=1 OR 1"}, "no field"),
    ("summary", {"where": "release='); DROP TABLE scores --"}, "no score has release"),
    ("summary", {"where": "metadata.'] OR 1=1 --=x"}, "no score has"),
    ("summary", {"names": "accuracy"}, "no parameter 'names'; there are name,"),
    ("summary", {"name": "numerik"}, "there are numeric,"),
    ("summary", {"by": "modell"}, "no dimension 'modell'; there are evaluator_model, metadata.model, "),
    ("values/modell", {}, "there are evaluator_model, metadata.model, "),
    (
        "scores",
        {"where": "modell=m-1", "format": "parquet"},
        "no field 'modell'; there are evaluator_model, metadata.model, ",
    ),
    ("compare", {"a": "release=v1", "b": "release=v2", "pair": "metadata.itm"}, "there are metadata.item, "),
    ("summary", {"name": "x" * 1001}, "at most 1000"),
    ("summary", {"name": ["x"] * 101}, "at most 100"),
    ("summary", {"level": "nan"}, "level"),
    ("summary", {"level": 1}, "less than 1"),
    ("summary", {"limit": 0}, "greater than or equal to 1"),
    ("summary", {"limit": "9" * 30}, "limit"),
    ("summary", {"quantile": "inf"}, "quantile"),
    ("summary", {"since": "yesterday"}, "no point in time"),
    ("summary", {"since": "999999999w"}, "no point in time"),
    ("summary", {"since": "2026-01-02", "until": "2026-01-01"}, "not before"),
    ("summary", {"format": "xml"}, "format"),
    ("series", {}, "step"),
    ("series", {"step": "1s"}, "buckets"),
    ("series", {"step": "1h", "zone": "../../etc/passwd"}, "no time zone"),
    ("histogram", {"bins": 1001}, "bins"),
    ("histogram", {"low": 1}, "go together"),
    ("histogram", {"low": 2, "high": 1}, "no range"),
    ("change", {}, "since"),
    ("compare", {"a": "release=v1"}, "b"),
    ("compare", {"a": "release=v1", "b": "release=v1"}, "same scores"),
    ("worst", {"n": 10001}, "n"),
    ("values/nothing", {}, "no dimension 'nothing'"),
    ("rejections", {"limit": 1001}, "limit"),
    ("health", {"window_s": 0}, "window_s"),
]


@pytest.mark.parametrize(("path", "parameters", "said"), HOSTILE, ids=itertools.count())
def test_what_cannot_be_asked_is_400_and_says_what_can(
    ui: Ui, path: str, parameters: dict[str, Any], said: str
) -> None:
    """Injections, typing errors, senseless numbers: one form of answer."""
    answer = ui.get(f"/v1/{path}", **parameters)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["code"] == "bad_question"
    assert said in answer.json()["error"]["message"]


@pytest.mark.parametrize("text", ["\x00", "'", "\\", "{x:String}", "%s", "$rows", "日本 🎯", "a\nb", "../..", "%2e%2e"])
def test_any_text_can_be_looked_for(ui: Ui, text: str) -> None:
    """It is a bound parameter wherever it stands."""
    for path, parameters in (
        ("scores", {"where": f"comment~{text}"}),
        ("latest", {"where": f"comment!={text}", "n": 1}),
    ):
        answer = ui.get(f"/v1/{path}", **parameters)
        assert answer.status_code == 200, (path, answer.text)
    for path, parameters in (
        ("scores", {"where": f"metadata.{text}={text}"}),
        ("values/release", {"where": f"service={text}"}),
        ("rejections", {"service": text, "name": text, "reason": text}),
    ):
        answer = ui.get(f"/v1/{path}", **parameters)
        assert (answer.status_code, " has " in answer.json()["error"]["message"]) == (400, True), answer.text
    quoted = httpx.QueryParams({"x": text}).__str__()[2:]
    assert ui.get(f"/v1/scores/{quoted}").status_code == 404
    assert ui.get(f"/v1/traces/{quoted}").status_code == 404


def test_paths_and_methods_that_do_not_exist_are_answered_in_the_same_form(ui: Ui) -> None:
    """As by the gateway."""
    assert ui.get("/v1/nothing").json()["error"]["code"] == "not_found"
    answer = httpx.post(f"{ui.url}/v1/scores")
    assert (answer.status_code, answer.json()["error"]["code"]) == (405, "method_not_allowed")
    assert httpx.get(ui.url).headers["location"] == "/ui"
    assert [httpx.get(ui.url + path).status_code for path in ("/healthz", "/readyz")] == [200, 200]


@pytest.fixture(scope="module")
def open_ui(served_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    """A read side that asks for no login."""
    with running_ui(served_settings, tmp_path_factory.mktemp("open"), ui_login=False) as ui:
        yield ui


def test_without_login_everybody_on_this_machine_sees_everything(open_ui: Ui) -> None:
    """But not the page of another site whose name leads here."""
    answer = httpx.get(f"{open_ui.url}/v1/names")
    assert {row["project"] for row in answer.json()["rows"]} == {"team", "other"}
    assert httpx.get(f"{open_ui.url}/v1/names", headers={"Host": "evil.example"}).status_code == 400
    answer = httpx.get(f"{open_ui.url}/v1/scores/run/7/ünï")
    assert (answer.status_code, "say project=" in answer.text) == (400, True)
    assert httpx.get(f"{open_ui.url}/v1/scores/run/7/ünï", params={"project": "team"}).status_code == 200


def test_server_without_login_does_not_start_where_others_reach_it(settings: Settings, tmp_path: Path) -> None:
    """The message names both settings."""
    with Running(settings.model_copy(update={"ui_host": "0.0.0.0", "ui_login": False}), tmp_path, "ui") as process:
        eventually(lambda: process.process.poll() is not None, "it has ended")
        assert process.process.returncode == 1
        assert "SCORELINE_UI_LOGIN=false" in process.log
        assert "SCORELINE_UI_HOST" in process.log


def test_clickhouse_that_is_away_is_503_with_retry_after(settings: Settings, tmp_path: Path) -> None:
    """The server lives on, and answers once it is back."""
    with running_ui(settings, tmp_path, clickhouse_port=1) as ui:
        for path in ("names", "scores", "summary", "health"):
            answer = ui.get(f"/v1/{path}")
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable"), answer.text
            assert int(answer.headers["retry-after"]) > 0
        assert "Traceback" not in ui.process.log, ui.process.log


def test_missing_tables_are_503_that_says_how_to_make_them(settings: Settings, tmp_path: Path) -> None:
    """An operator reads it in the answer."""
    with running_ui(settings, tmp_path) as ui:
        answer = ui.get("/v1/summary")
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "not_set_up")
        assert "scoreline migrate" in answer.json()["error"]["message"]
