"""The ClickHouse server of the tests' stack: users with profiles of their own, and restarts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil

from scoreline.errors import ClickHouseUnavailable
from scoreline_local import stack as local
from scoreline_sink.clickhouse import ClickHouse
from tests.conftest import Stack
from tests.support import eventually

Profile = tuple[str, str]
"""Settings and constraints of a user, as XML elements."""


def answers(clickhouse: ClickHouse) -> bool:
    try:
        return clickhouse.query("SELECT 1") == [(1,)]
    except ClickHouseUnavailable:
        return False


def server_pid(stack: Stack) -> int | None:
    """The server of the stack, None while the supervisor starts it; for a moment also one that has just ended."""
    return next(p.pid for p in local.status(stack.data_dir).processes if p.name == "clickhouse")


def clickhouse_process(stack: Stack) -> psutil.Process:
    """The running server of the stack."""
    pid = server_pid(stack)
    assert pid is not None
    return psutil.Process(pid)


def restart(stack: Stack, clickhouse: ClickHouse) -> None:
    """Kill the server and return when the supervisor has brought it back."""
    killed = clickhouse_process(stack)
    killed.kill()
    eventually(lambda: server_pid(stack) not in (None, killed.pid), "the server is back")
    eventually(lambda: answers(clickhouse), "the server answers")


PutProfiles = Callable[[dict[str, Profile]], None]


@contextmanager
def users(stack: Stack, clickhouse: ClickHouse, profiles: dict[str, Profile]) -> Iterator[PutProfiles]:
    """The server restarted with these users beside its own; gives a call that restarts it with others.

    It has no writable access storage and reads its users only at the start.
    """
    file = stack.data_dir / "clickhouse" / "users.xml"
    original = file.read_text()

    def put(profiles: dict[str, Profile]) -> None:
        made = "".join(f"<{n}>{s}<constraints>{c}</constraints></{n}>" for n, (s, c) in profiles.items())
        loopback = "<password/><networks><ip>127.0.0.1</ip></networks><quota>default</quota>"
        named = "".join(f"<{name}>{loopback}<profile>{name}</profile></{name}>" for name in profiles)
        text = original.replace("<default/></profiles>", f"<default/>{made}</profiles>")
        file.write_text(text.replace("</users>", f"{named}</users>"))
        restart(stack, clickhouse)

    try:
        put(profiles)
        yield put
    finally:
        file.write_text(original)
        restart(stack, clickhouse)
