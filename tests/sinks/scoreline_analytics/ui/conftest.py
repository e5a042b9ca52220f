"""The page over a ClickHouse of its own with scores in it, and a real Chromium that looks at it."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any
from urllib.parse import urlsplit
from urllib.request import urlopen

import clickhouse_connect
import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Route, expect, sync_playwright

from scoreline.keys import NewKey, Scope, encode_key, new_key
from scoreline.settings import Settings, load_settings
from scoreline_analytics import Analytics
from scoreline_local import stack as local
from scoreline_local.settings import LocalSettings
from scoreline_sink.schema import migrate
from tests.documents import ROOT
from tests.support import environment, eventually

CHROMIUM = shutil.which("chromium")
ARGUMENTS = (
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"),
    *("--disable-sync", "--no-first-run"),
)
EVALUATIONS = ROOT.parent / "shared" / "data" / "model-evaluations.jsonl.gz"
SCREENSHOTS = ROOT / "build" / "screenshots"
WAIT_MS = 20_000
PHONE = {"width": 390, "height": 844}
COMMENT = '<script>document.title = "broken in"</script> The amount is right, the currency is not'


def free_port() -> int:
    """A port that nobody listens on now."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass
class Store:
    """A ClickHouse that can be stopped and started again at the same address."""

    parts: LocalSettings
    settings: Settings

    def up(self) -> None:
        local.up(self.parts, parts=("clickhouse",))

    def down(self) -> None:
        local.down(self.parts.data_dir)

    def insert(self, table: str, rows: Iterable[dict[str, Any]]) -> None:
        """Store rows, whose moments are aware."""
        client = clickhouse_connect.get_client(
            host=self.settings.clickhouse_host,
            port=self.settings.clickhouse_port,
            username=self.settings.clickhouse_user,
            password=self.settings.clickhouse_password.get_secret_value(),
            database=self.settings.clickhouse_database,
        )
        block = "\n".join(json.dumps(row, default=lambda moment: f"{moment:%Y-%m-%d %H:%M:%S.%f}") for row in rows)
        client.raw_insert(table, insert_block=block.encode(), fmt="JSONEachRow")
        client.close()


@dataclass
class Site:
    """The page as a running process."""

    url: str
    settings: Settings
    log_file: Path

    @property
    def log(self) -> str:
        return self.log_file.read_text(errors="replace")


@dataclass
class Seen:
    """What a browser said and asked for."""

    hosts: set[str] = field(default_factory=set[str])
    errors: list[str] = field(default_factory=list[str])


@pytest.fixture(scope="module")
def clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A server with the schema and no rows."""
    parts = LocalSettings(
        data_dir=tmp_path_factory.mktemp("page"), kafka_port=0, clickhouse_port=free_port(), gateway_port=0
    )
    try:
        endpoints = local.up(parts, parts=("clickhouse",))
        values = {
            name.removeprefix("SCORELINE_").lower(): value
            for name, value in endpoints.environment.items()
            if name.startswith("SCORELINE_CLICKHOUSE_")
        }
        settings = load_settings(**values, ui_login=False, trace_url="https://traces.example/{project}/{trace_id}")
        migrate(settings, Event())
        yield Store(parts, settings)
    finally:
        local.down(parts.data_dir)


@pytest.fixture(scope="module")
def scores(clickhouse: Store) -> Store:
    """Six days of scores of every type, of two projects, two releases and two services, with a gap of a day; rejected
    records; and published model evaluations where the team shares them."""
    clickhouse.insert("scores", [*_scores(), *_evaluations()])
    clickhouse.insert("rejected_scores", _rejected())
    return clickhouse


def _scores() -> Iterator[dict[str, Any]]:
    now = datetime.now(UTC)
    for number in range(1200):
        days = 6 - number * 6 / 1200
        if 2 < days < 3:
            continue
        item = number % 300
        release = "v1" if days > 3 else "v2"
        project = "rival" if number % 10 == 9 else "team"
        value = (item * 37 % 100) / 100 * 0.8 + (0.15 + item % 7 / 50 if release == "v2" else 0.05)
        common: dict[str, Any] = {
            "project": project,
            "trace_id": f"trace-{number}",
            "target": "trace",
            "timestamp": now - timedelta(days=days, minutes=1),
            "received_at": now - timedelta(days=days, minutes=1),
            "service": f"{project}-{'api' if number % 3 else 'web'}",
            "environment": "prod",
            "release": release,
            "source": "EVAL",
            "evaluator_model": "judge-large" if number % 2 else "judge-small",
            "metadata": {"item": str(item)},
            "comment": COMMENT if number % 50 == 0 else "",
            "src_partition": 0,
        }
        name = "rival-score" if project == "rival" else "accuracy"
        config = {"config_id": "accuracy", "config_version": 2, "normalized": value / 2}
        numeric = {"name": name, "data_type": "NUMERIC", "value": value, **config}
        helpful = {
            "name": "helpful",
            "data_type": "BOOLEAN",
            "value": float(value > 0.4),
            "label": str(value > 0.4).lower(),
        }
        tone = {"name": "tone", "data_type": "CATEGORICAL", "label": ("good", "fair", "poor")[item % 5 // 2]}
        for at, own in enumerate((numeric,) if project == "rival" else (numeric, helpful, tone)):
            failed = {"status": "failed", "error": "judge timed out", "value": None, "label": "", "normalized": None}
            is_failed = number % 40 == 7 and at == 0
            place = number * 3 + at
            yield {**common, **own, **(failed if is_failed else {}), "score_id": f"s-{place}", "src_offset": place}


def _evaluations() -> Iterator[dict[str, Any]]:
    if not EVALUATIONS.exists():
        return
    with gzip.open(EVALUATIONS, "rt") as file:
        for number, row in enumerate(map(json.loads, file)):
            moment = datetime.fromtimestamp(row["retrieved_at"], UTC)
            yield {
                "project": "evaluations",
                "score_id": f"e-{number}",
                "name": row["evaluation_name"],
                "data_type": "NUMERIC",
                "value": row["score"],
                "dataset_run_id": row["evaluation_id"],
                "target": "dataset_run",
                "timestamp": moment,
                "received_at": datetime.now(UTC),
                "service": row["benchmark"],
                "source": "API",
                "metadata": {"model": row["model"]},
                "src_partition": 1,
                "src_offset": number,
            }


def _rejected() -> Iterator[dict[str, Any]]:
    now = datetime.now(UTC)
    for number in range(7):
        project = "rival" if number > 4 else "team"
        reason, detail = (("missing_field", "name: required"), ("out_of_range", "value: 7 is outside 0..2"))[number % 2]
        yield {
            "rejected_at": now - timedelta(minutes=number + 1),
            "reason": reason,
            "detail": detail,
            "stage": "validate",
            "project": project,
            "score_id": f"r-{number}",
            "service": f"{project}-api",
            "key": f"{project}/r-{number}",
            "value": json.dumps({"score_id": f"r-{number}", "value": 7}),
            "src_partition": 0,
            "src_offset": number,
        }


@pytest.fixture(scope="module")
def site(scores: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The page without a login."""
    yield from _serve(scores.settings, tmp_path_factory.mktemp("site"), [])


@pytest.fixture(scope="module")
def keys() -> dict[str, NewKey]:
    """A key that may read, and one that may not."""
    now = datetime.now(UTC)
    return {
        "reader": new_key("team", [Scope.READ], None, now),
        "leaver": new_key("team", [Scope.READ], None, now),
        "writer": new_key("team", [Scope.WRITE], None, now),
    }


@pytest.fixture(scope="module")
def guarded(scores: Store, keys: dict[str, NewKey], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The page with a login."""
    settings = scores.settings.model_copy(update={"ui_login": True})
    yield from _serve(settings, tmp_path_factory.mktemp("guarded"), list(keys.values()))


def _serve(settings: Settings, folder: Path, keys: list[NewKey]) -> Iterator[Site]:
    port = free_port()
    site = Site(f"http://127.0.0.1:{port}/ui", settings, folder / "page.log")
    texts = environment(settings) | {"SCORELINE_UI_LOGIN": str(settings.ui_login).lower()}
    texts["PAGE_KEYS"] = json.dumps([encode_key(key.entry).decode() for key in keys])
    with site.log_file.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.sinks.scoreline_analytics.ui.serving", str(port)],
            env=texts | {"PYTHONPATH": os.pathsep.join([str(ROOT), texts.get("PYTHONPATH", "")])},
            cwd=folder,
            stdout=log,
            stderr=log,
        )
    try:
        eventually(lambda: process.poll() is not None or _answers(site.url), "the page answers")
        assert process.poll() is None, site.log
        yield site
    finally:
        process.terminate()
        process.wait(30)


def _answers(url: str) -> bool:
    try:
        with urlopen(f"{url}/", timeout=10) as answer:
            return answer.status == 200
    except OSError:
        return False


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The browser; tests that want it are skipped where none is installed."""
    if CHROMIUM is None:
        pytest.skip("no chromium is installed: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        yield browser
        browser.close()


@pytest.fixture
def seen() -> Seen:
    """What the test's browser said and asked for."""
    return Seen()


@pytest.fixture
def context(chromium: Browser, seen: Seen) -> Iterator[BrowserContext]:
    """A browser without a past; whatever it asks of another host fails the test, as does an error on its console."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, color_scheme="light")
    context.set_default_timeout(WAIT_MS)

    def check(route: Route) -> None:
        host = urlsplit(route.request.url).hostname or ""
        seen.hosts.add(host)
        if host in ("127.0.0.1", ""):
            route.continue_()
        else:
            route.abort()

    def hear(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            seen.errors.append(message.text)

    context.route("**/*", check)
    context.on("console", hear)
    context.on("weberror", lambda error: seen.errors.append(str(error.error)))
    yield context
    context.close()
    assert seen.hosts <= {"127.0.0.1", ""}
    assert seen.errors == []


@pytest.fixture
def page(context: BrowserContext) -> Page:
    """A tab."""
    expect.set_options(timeout=WAIT_MS)
    return context.new_page()


@pytest.fixture
def analytics(scores: Store) -> Iterator[Analytics]:
    """What the page should say."""
    with Analytics(scores.settings) as analytics:
        yield analytics
