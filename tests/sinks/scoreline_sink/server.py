"""The ClickHouse server of the tests' stack: users with profiles of their own, and restarts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from xml.sax.saxutils import escape

import psutil

from scoreline.errors import ClickHouseUnavailable
from scoreline_local import stack as local
from scoreline_sink.clickhouse import ClickHouse
from scoreline_sink.roles import OF_PROJECTS, Role
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
_LOOPBACK = "<password/><networks><ip>127.0.0.1</ip></networks>"


@contextmanager
def users(stack: Stack, clickhouse: ClickHouse, profiles: dict[str, Profile]) -> Iterator[PutProfiles]:
    """The server restarted with these users beside its own; gives a call that restarts it with others."""

    def put(profiles: dict[str, Profile]) -> None:
        made = "".join(f"<{n}>{s}<constraints>{c}</constraints></{n}>" for n, (s, c) in profiles.items())
        named = "".join(
            f"<{name}>{_LOOPBACK}<quota>default</quota><profile>{name}</profile></{name}>" for name in profiles
        )
        restart_with(made, "", named)

    with _configuration(stack, clickhouse) as restart_with:
        put(profiles)
        yield put


@contextmanager
def users_with_roles(stack: Stack, clickhouse: ClickHouse, database: str, roles: Sequence[Role]) -> Iterator[None]:
    """The server restarted with a user for each role, of its name, who may do exactly what the role may.

    It takes no CREATE ROLE, so the roles' own grants, row filters and limits stand in its file of users.
    """
    with _configuration(stack, clickhouse) as restart_with:
        restart_with(
            "".join(map(_profile_xml, roles)),
            "".join(map(_quota_xml, roles)),
            "".join(_user_xml(role, database) for role in roles),
        )
        yield


def _profile_xml(role: Role) -> str:
    limits = "".join(f"<{limit.setting}>{limit.value}</{limit.setting}>" for limit in role.limits)
    bounds = "".join(
        f"<{limit.setting}><min>1</min><max>{limit.value}</max></{limit.setting}>" for limit in role.limits
    )
    read_only = "<readonly>2</readonly>" if role.is_read_only else ""
    return f"<{role.name}>{read_only}{limits}<constraints>{bounds}</constraints></{role.name}>"


def _quota_xml(role: Role) -> str:
    queries = role.queries_per_hour or 0
    return f"<{role.name}><interval><duration>3600</duration><queries>{queries}</queries></interval></{role.name}>"


def _user_xml(role: Role, database: str) -> str:
    grants = "".join(f"<query>GRANT {escape(grant)}</query>" for grant in role.grants)
    filters = "".join(f"<{table}><filter>{escape(role.row_filter)}</filter></{table}>" for table in OF_PROJECTS)
    return (
        f"<{role.name}>{_LOOPBACK}<profile>{role.name}</profile><quota>{role.name}</quota><grants>{grants}</grants>"
        f"<databases><{database}>{filters}</{database}></databases></{role.name}>"
    )


@contextmanager
def _configuration(stack: Stack, clickhouse: ClickHouse) -> Iterator[Callable[[str, str, str], None]]:
    """Gives a call that restarts the server with more profiles, quotas and users; at the end it has its own again.

    It has no writable access storage and reads its users only at the start.
    """
    file = stack.data_dir / "clickhouse" / "users.xml"
    original = file.read_text()

    def restart_with(profiles: str, quotas: str, users: str) -> None:
        text = original.replace("<default/></profiles>", f"<default/>{profiles}</profiles>")
        text = text.replace("<default/></quotas>", f"<default/>{quotas}</quotas>")
        file.write_text(text.replace("</users>", f"{users}</users>"))
        restart(stack, clickhouse)

    try:
        yield restart_with
    finally:
        file.write_text(original)
        restart(stack, clickhouse)
