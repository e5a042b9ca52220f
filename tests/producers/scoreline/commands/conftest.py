"""Running `scoreline` commands as a user does."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scoreline.kafka import ensure_topics
from scoreline.settings import Settings
from tests.support import environment

Command = Callable[..., subprocess.CompletedProcess[str]]
Start = Callable[..., subprocess.Popen[bytes]]
_SCORELINE = (sys.executable, "-m", "scoreline.cli")


@pytest.fixture
def topics(settings: Settings) -> Settings:
    """The test's settings, with its topics created."""
    ensure_topics(settings)
    return settings


@pytest.fixture
def start(settings: Settings, tmp_path: Path) -> Iterator[Start]:
    """Start a command and return at once; it is killed at the end of the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*arguments: str | Path) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [*_SCORELINE, *map(str, arguments)],
            env=environment(settings) | {"XDG_STATE_HOME": str(tmp_path / "xdg")},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        with process:
            pass


@pytest.fixture
def run(settings: Settings, tmp_path: Path) -> Command:
    """Run a command to its end; keyword arguments change settings."""

    def run(
        *arguments: str | Path, stdin: bytes = b"", status: int = 0, **changed: object
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*_SCORELINE, *map(str, arguments)],
            env=environment(settings.model_copy(update=changed))
            | {"XDG_STATE_HOME": str(tmp_path / "xdg"), "COLUMNS": "400"},
            input=stdin,
            capture_output=True,
            timeout=60,
            check=False,
        )
        text = subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())
        assert text.returncode == status, text.stdout + text.stderr
        return text

    return run
