"""What tests of the client share: a process that emits, a broker that can be frozen, what arrived."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scoreline.settings import Settings
from scoreline.topics import declare_topics
from scoreline_local import stack as local
from tests.support import environment, read_topic


def ids_on(settings: Settings) -> list[str]:
    """Ids of the records on the raw topic, sorted; an id stands there as often as it was written."""
    messages = read_topic(settings, declare_topics(settings).raw.name)
    return sorted(json.loads(message.value() or b"")["score_id"] for message in messages)


def start(code: str, settings: Settings, *arguments: str) -> subprocess.Popen[str]:
    """Start a Python process that emits with these settings."""
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", code, *arguments],
        env=environment(settings) | {"SCORELINE_KAFKA_OPTIONS": json.dumps(settings.kafka_options)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(code: str, settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a Python process that emits with these settings to its end."""
    process = start(code, settings, *arguments)
    try:
        out, error = process.communicate(timeout=60)
    finally:
        process.kill()
    return subprocess.CompletedProcess(process.args, process.returncode, out, error)


def broker_pid(data_dir: Path) -> int:
    """Process id of the only broker of a stack."""
    [broker] = [process for process in local.status(data_dir).processes if process.name.startswith("kafka")]
    assert broker.pid is not None
    return broker.pid


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """A process that does not run for a while."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
