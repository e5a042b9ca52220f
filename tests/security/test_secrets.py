"""Secrets that were planted are looked for in everything that a process lets out."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from contextlib import ExitStack
from urllib.parse import quote

import httpx
import psutil
import pytest

from scoreline.access import Component
from scoreline.settings import load_settings
from scoreline_local.ports import pick_free
from tests.security.conftest import Secured
from tests.support import Running, environment

CLICKHOUSE_PASSWORD = "hush-clickhouse/+ pass"
WRONG_PASSWORD = "hush-wrong/+ pass"
KEY_PASSWORD = "hush-key/+ pass"
OPTION = "hush-option/+ pass"
PATHS = (
    "/healthz",
    "/readyz",
    "/metrics",
    "/docs",
    "/openapi.json",
    "/ui",
    "/v1/scores",
    "/v1/summary",
    "/nothing",
)


def forms(secret: str) -> set[str]:
    """A secret as it stands, and as a header, a URL or JSON would carry it."""
    encoded = base64.b64encode(secret.encode()).decode()
    return {secret, encoded.rstrip("="), quote(secret), quote(secret, safe=""), json.dumps(secret)[1:-1]}


def leaks(secrets: Iterable[str], places: dict[str, str]) -> list[str]:
    """Where one of them stands."""
    wanted = {form for secret in secrets for form in forms(secret)}
    return [place for place, text in places.items() if any(form in text for form in wanted)]


@pytest.fixture(scope="module")
def let_out(secured: Secured, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], dict[str, str]]:
    """The planted secrets, and place → all that processes wrote and answered there: as they work, and as they fail."""
    folder = tmp_path_factory.mktemp("let-out")
    gateway, ui, *observe = pick_free(4)
    base = secured.base.model_copy(update={"gateway_port": gateway, "ui_port": ui, "log_format": "json"})
    planted = {"SCORELINE_CLICKHOUSE_PASSWORD": CLICKHOUSE_PASSWORD, "SCORELINE_KAFKA_KEY_PASSWORD": KEY_PASSWORD}
    secrets = [CLICKHOUSE_PASSWORD, WRONG_PASSWORD, KEY_PASSWORD, OPTION]
    secrets += [secured.secrets.password(component) for component in Component]
    places: dict[str, str] = {}

    def run(place: str, component: Component, *command: str, **environ: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "scoreline.cli", *command],
            env=environment(base) | secured.environment(component) | planted | environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        places[f"{place}: {' '.join(command)}"] = done.stdout + done.stderr
        return done.stdout

    # the server's user has no password; it lets in whoever has none to prove, and the wrong ones are seen below
    works = {"SCORELINE_CLICKHOUSE_PASSWORD": ""}
    made = json.loads(run("works", Component.KEYS, "keys", "create", "--scope", "write", "--scope", "read", "--json"))
    places.clear()  # the one place that shows a key, once
    key = made["secret_key"]
    secrets.append(key)
    with ExitStack() as stack:
        for place, component in enumerate((Component.WORKER, Component.SINK, Component.GATEWAY, Component.UI)):
            changed = {"observe_port": observe[place]} if place < 2 else {}
            process = stack.enter_context(
                Running(
                    base.model_copy(update=changed),
                    folder,
                    str(component),
                    environ=secured.environment(component) | planted | works,
                )
            )
            process.await_ready()
            places[f"{component}'s command line"] = " ".join(psutil.Process(process.process.pid).cmdline())
        for name, port in (("worker", observe[0]), ("sink", observe[1]), ("gateway", gateway), ("ui", ui)):
            for path in PATHS:
                for header in ({"x-api-key": key}, {"authorization": f"Bearer {key}x"}, {}):
                    answer = httpx.get(f"http://127.0.0.1:{port}{path}", headers=header, timeout=30)
                    places[f"{name}{path} {sorted(header)}"] = f"{answer.headers}{answer.text}"
        score = {"trace_id": "t", "name": "a", "value": {"x": 1}}
        answer = httpx.post(f"http://127.0.0.1:{gateway}/v1/scores", json=score, headers={"x-api-key": key}, timeout=30)
        places["refused score"] = answer.text
    wrong = {"SCORELINE_KAFKA_PASSWORD": WRONG_PASSWORD}
    options = {"SCORELINE_KAFKA_OPTIONS": json.dumps({"sasl.password": OPTION})}
    for component, command in (
        (Component.WORKER, ("worker",)),
        (Component.SINK, ("sink",)),
        (Component.GATEWAY, ("gateway",)),
        (Component.TOPICS, ("topics",)),
        (Component.CLIENT, ("emit", "--name", "a", "--value", "1", "--trace-id", "t")),
    ):
        run("wrong password", component, *command, **wrong)
        if component in (Component.SINK, Component.TOPICS):
            run("wrong option", component, *command, **options)
    run("option of one client", Component.WORKER, "worker", **options)
    for command in (("migrate",), ("query", "names"), ("dlq", "list")):
        run("wrong password", Component.DLQ, *command, SCORELINE_CLICKHOUSE_USER="scoreline")
    for name in ("worker", "sink", "gateway", "ui"):
        places[f"log of {name}"] = (folder / f"{name}.log").read_text()
    settings = load_settings(**secured.by_password(Component.WORKER).model_dump(exclude_defaults=True))
    places["settings"] = f"{settings!r} {settings} {settings.model_dump_json()}"
    return secrets, places


def test_no_secret_is_let_out(let_out: tuple[list[str], dict[str, str]]) -> None:
    """Not in a log, a metric, an error, a page, a command line or the settings' own text."""
    secrets, places = let_out
    assert leaks(secrets, places) == []
    assert len(secrets) == len(set(secrets)) == len(Component) + 5
    assert len([text for text in places.values() if text]) > 100


def test_what_was_looked_at_is_what_happened(let_out: tuple[list[str], dict[str, str]]) -> None:
    """The processes worked, and failed for the reason that was planted."""
    _, places = let_out
    assert '"level"' in places["log of worker"]
    assert "scoreline_ready" in places["worker/metrics []"]
    for place, text in places.items():
        if place.startswith("wrong password: ") and not any(each in place for each in ("migrate", "query", "dlq")):
            assert "SCORELINE_KAFKA_PASSWORD" in text, place
        elif place.startswith("wrong password: "):
            assert "SCORELINE_CLICKHOUSE_PASSWORD" in text, place


@pytest.mark.parametrize("leaked", ["{}", "Basic {}", "http://user:{}@host/"])
def test_a_leak_would_be_seen(leaked: str) -> None:
    """In any of the forms in which secrets travel."""
    for form in forms(WRONG_PASSWORD):
        assert leaks([WRONG_PASSWORD], {"log": "before " + leaked.format(form) + " behind"}) == ["log"]


def test_secret_files_are_read_by_nobody_else(secured: Secured) -> None:
    """Those that a secured local stack makes for its users, and its private keys."""
    files = [path for path in secured.secrets.folder.rglob("*") if path.is_file()]
    assert len(files) > 3 * len(Component)
    assert [path for path in files if path.stat().st_mode & 0o077] == []
    assert os.access(secured.secrets.authority, os.R_OK)
