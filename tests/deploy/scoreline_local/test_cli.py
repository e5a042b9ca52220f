"""`scoreline up | down | status` as a user calls them."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys

import pytest

from scoreline_local.datadir import DataDir, is_locked
from tests.support import eventually

ANY_PORTS = ("--kafka-port", "0", "--clickhouse-port", "0", "--gateway-port", "0", "--ui-port", "0")


def _scoreline(data: DataDir, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "scoreline.cli", *arguments, "--data-dir", str(data.root)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_up_status_down_as_a_user_sees_them(data: DataDir) -> None:
    """Lines that say what happens, JSON for machines, settings for a shell, exit status 1 when nothing runs."""
    up = _scoreline(data, "up", "--only", "clickhouse", *ANY_PORTS)
    assert up.returncode == 0, up.stderr
    assert up.stdout.startswith("clickhouse ready ")
    assert f'eval "$(scoreline status --env --data-dir {data.root})"' in up.stdout

    told = _scoreline(data, "status", "--json")
    assert told.returncode == 0
    status = json.loads(told.stdout)
    assert list(status) == ["kafka", "clickhouse", "gateway", "ui", "observe", "processes", "lag"]
    assert list(status["clickhouse"]) == ["host", "port", "user", "password", "database"]
    (process,) = status["processes"]
    assert list(process) == ["name", "pid", "state", "restarts"]
    assert (process["name"], process["state"], process["restarts"]) == ("clickhouse", "ready", 0)
    assert status["lag"] == {"worker": None, "sink": None}

    exports = shlex.split(_scoreline(data, "status", "--env").stdout.replace("export ", ""))
    assert f"SCORELINE_CLICKHOUSE_PASSWORD={status['clickhouse']['password']}" in exports
    assert "clickhouse" in _scoreline(data, "status").stdout

    down = _scoreline(data, "down")
    assert down.returncode == 0
    assert down.stdout.splitlines() == ["clickhouse stopped", "stopped"]
    over = _scoreline(data, "status", "--json")
    assert over.returncode == 1
    assert json.loads(over.stdout)["processes"] == []
    assert _scoreline(data, "down").stdout.startswith("nothing runs on")


def test_two_ways_of_printing_at_once_are_wrong_usage(data: DataDir) -> None:
    """Exit status 2 tells it from a stack that does not run."""
    assert _scoreline(data, "status", "--json", "--env").returncode == 2


def test_part_that_does_not_exist_is_one_clear_line(data: DataDir) -> None:
    """No traceback."""
    up = _scoreline(data, "up", "--only", "postgres")
    assert up.returncode == 1
    assert up.stderr.splitlines() == [
        "scoreline: no such part: postgres; there are kafka, clickhouse, topics, migrate, worker, sink, gateway, ui"
    ]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_foreground_stops_everything_on_a_signal(data: DataDir, number: signal.Signals) -> None:
    """Ctrl-C in a terminal, SIGTERM from whatever runs it."""
    command = [sys.executable, "-m", "scoreline.cli", "up", "--foreground", "--only", "clickhouse", *ANY_PORTS]
    with subprocess.Popen(
        [*command, "--data-dir", str(data.root)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("clickhouse ready")
        process.send_signal(number)
        assert process.wait(60) == 0
        assert process.stdout.read().splitlines() == ["clickhouse stopped"]
    eventually(lambda: not is_locked(data.supervisor_lock), "the lock is free")


def test_ctrl_c_while_starting_leaves_nothing_behind(data: DataDir) -> None:
    """Whoever breaks off `up` does not want a stack."""
    command = [sys.executable, "-m", "scoreline.cli", "up", "--only", "kafka,clickhouse", *ANY_PORTS]
    with subprocess.Popen([*command, "--data-dir", str(data.root)], stdout=subprocess.PIPE, text=True) as process:
        eventually(data.plan.exists, "the plan is written, the supervisor starts")
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    assert not is_locked(data.supervisor_lock)
    state = json.loads(data.state.read_text())
    assert state["phase"] == "stopped"
    assert {each["pid"] for each in state["processes"]} == {None}
