"""Ports on loopback: which are free, and who holds one that is not."""

from __future__ import annotations

import errno
import random
import socket
import time
from collections.abc import Iterable

import psutil

from scoreline.errors import StackError

HOST = "127.0.0.1"
_PICKED_FROM = range(20_000, 32_000)
"""Below the range from which Linux gives outgoing connections their port: a remembered port stays free."""
_TRIES_MAX = 1_000
_ENDING_S_MAX = 5.0
"""A killed process with many threads holds its ports for a moment after the system shows it no more."""
_POLL_S = 0.05


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of loopback now."""
    return _obstacle(port) is None


def _obstacle(port: int) -> OSError | None:
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server.bind((HOST, port))
        except OSError as error:
            return error
        return None


def pick_free(count: int, *, besides: Iterable[int] = ()) -> tuple[int, ...]:
    """`count` free ports in a row that touch none of `besides`.

    Raises StackError: none were found.
    """
    taken = set(besides)
    for _ in range(_TRIES_MAX):
        first = random.choice(_PICKED_FROM)
        row = range(first, first + count)
        if taken.isdisjoint(row) and all(is_free(port) for port in row):
            return tuple(row)
    raise StackError(f"no {count} free ports in a row between {_PICKED_FROM.start} and {_PICKED_FROM.stop}")


def require_free(port: int, *, what: str, setting: str, flag: str) -> None:
    """Return if a server can listen on the port; one held by a process that is just ending is waited for.

    Raises StackError naming the port, who holds it where the system tells, and the setting that changes it.
    """
    deadline = time.monotonic() + _ENDING_S_MAX
    while (obstacle := _obstacle(port)) is not None and obstacle.errno == errno.EADDRINUSE:
        if holder_of(port) is not None or time.monotonic() > deadline:
            break
        time.sleep(_POLL_S)
    if obstacle is None:
        return
    remedy = f"choose another port by {flag} or {setting} (0 picks a free one)"
    if obstacle.errno != errno.EADDRINUSE:
        raise StackError(f"port {port} for {what} cannot be used: {obstacle.strerror}; {remedy}") from obstacle
    holder = holder_of(port)
    raise StackError(
        f"port {port} for {what} is taken{f' by {holder}' if holder else ''}; end that process, or {remedy}"
    ) from obstacle


def holder_of(port: int) -> str | None:
    """Name and pid of the process that listens on this port; None where the system does not tell."""
    try:
        listeners = [c for c in psutil.net_connections("tcp") if c.status == psutil.CONN_LISTEN]
        pid = next((c.pid for c in listeners if c.laddr and c.laddr.port == port), None)
        return f"{psutil.Process(pid).name()} (pid {pid})" if pid else None
    except psutil.Error:
        return None
