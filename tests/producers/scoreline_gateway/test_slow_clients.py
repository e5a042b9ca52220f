"""Clients that are slow or silent hold nothing for long: raw sockets against a running gateway."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from scoreline.settings import Settings
from tests.running_gateway import SCORE, Gateway, running_gateway
from tests.support import eventually

PATIENCE_S = 1.0
GIVEN_UP_S_MAX = PATIENCE_S + 4


@pytest.fixture
def hasty(settings: Settings, tmp_path: Path) -> Iterator[Gateway]:
    """A gateway that waits a second for everything."""
    with running_gateway(settings, tmp_path, gateway_header_s=PATIENCE_S, gateway_body_s=PATIENCE_S) as gateway:
        yield gateway


def head(gateway: Gateway, length: int) -> bytes:
    return (
        f"POST /v1/scores HTTP/1.1\r\nHost: g\r\nX-API-Key: {gateway.key.secret_key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    ).encode()


def drip(connection: socket.socket, data: bytes, pause_s: float = 0.1) -> bytes:
    """Send byte by byte until the other side has had enough; everything that it said."""
    connection.settimeout(pause_s)
    said = b""
    started = time.monotonic()
    for place in range(len(data)):
        try:
            connection.send(data[place : place + 1])
            got = connection.recv(65536)
        except TimeoutError:
            got = None
        except OSError:
            return said
        if got == b"":
            return said
        said += got or b""
        assert time.monotonic() - started < GIVEN_UP_S_MAX, "the gateway still listens"
    return said


def until_closed(connection: socket.socket) -> bytes:
    """Everything that the other side still says."""
    connection.settimeout(GIVEN_UP_S_MAX)
    said = b""
    try:
        while got := connection.recv(65536):
            said += got
    except ConnectionResetError:
        pass
    return said


def code_of(said: bytes) -> tuple[int, str]:
    """Status and error code of an answer."""
    top, _, body = said.partition(b"\r\n\r\n")
    return int(top.split()[1]), json.loads(body)["error"]["code"]


def connect(gateway: Gateway) -> socket.socket:
    return socket.create_connection(("127.0.0.1", gateway.port))


def test_slow_head_silence_and_slow_body_are_ended(hasty: Gateway) -> None:
    """Each after the time that it has, with a 408 where something was said; then the gateway works on."""
    with connect(hasty) as connection:
        assert code_of(drip(connection, head(hasty, 10))) == (408, "too_slow")
    with connect(hasty) as connection:
        assert until_closed(connection) == b""
    with connect(hasty) as connection:
        connection.sendall(head(hasty, 100_000))
        assert code_of(drip(connection, b" " * 1000)) == (408, "too_slow")
    with connect(hasty) as connection:
        connection.sendall(head(hasty, 100_000))
        assert code_of(until_closed(connection)) == (408, "too_slow")
    assert hasty.post(SCORE).status_code == 202


def test_what_follows_an_answer_has_to_be_a_request(hasty: Gateway) -> None:
    """A kept connection is closed when nothing comes, and when only blanks drip or the body of a refused request."""
    body = json.dumps(SCORE).encode()
    for after in (b"", b"\r\n" * 500):
        with connect(hasty) as connection:
            connection.sendall(head(hasty, len(body)) + body)
            connection.settimeout(5)
            assert connection.recv(65536).startswith(b"HTTP/1.1 202")
            drip(connection, after) if after else until_closed(connection)
    with connect(hasty) as connection:
        connection.sendall(head(hasty, 100_000).replace(hasty.key.secret_key.encode(), b"wrong"))
        assert b" 401 " in drip(connection, b" " * 1000)


def test_half_a_request_behind_a_whole_one_does_not_spoil_its_answer(hasty: Gateway) -> None:
    """Pipelined: the first is answered 202, the second never comes, and the connection ends."""
    body = json.dumps(SCORE).encode()
    with connect(hasty) as connection:
        connection.sendall(head(hasty, len(body)) + body + b"POST /v1/scores HT")
        assert until_closed(connection).startswith(b"HTTP/1.1 202")


def test_head_without_end_is_refused(gateway: Gateway) -> None:
    """A request line or headers above 64 KiB: 431, and nothing is kept of them."""
    for flood in (b"GET /" + b"a" * 10_000_000, b"GET / HTTP/1.1\r\n" + b"X-A: b\r\n" * 1_000_000):
        before = gateway.peak_mb
        with connect(gateway) as connection:
            with contextlib.suppress(OSError):
                connection.sendall(flood)
            said = until_closed(connection)
            assert not said or code_of(said) == (431, "head_too_large")
        assert gateway.peak_mb < before + 10
    with connect(gateway) as connection:
        connection.sendall(b"NONSENSE\r\n\r\n")
        assert code_of(until_closed(connection)) == (400, "bad_request")


def test_reader_that_does_not_read_is_ended(hasty: Gateway) -> None:
    """An answer that nobody fetches holds no place: the connection is cut."""
    items = json.dumps([{"score_id": f"{number:0200}"} for number in range(10_000)]).encode()
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", hasty.port))
        connection.sendall(head(hasty, len(items)) + items)
        port = connection.getsockname()[1]
        process = psutil.Process(hasty.process.process.pid)

        def is_served() -> bool:
            return any(each.raddr and each.raddr.port == port for each in process.net_connections("tcp"))

        eventually(is_served, "the connection is accepted")
        eventually(lambda: not is_served(), "the connection is cut")
    assert hasty.post(SCORE).status_code == 202


def test_many_slow_clients_leave_room_for_the_others(settings: Settings, tmp_path: Path) -> None:
    """A thousand half heads: the gateway keeps as many as it may, answers others, and is rid of them in time."""
    with running_gateway(settings, tmp_path, gateway_header_s=3.0, gateway_requests_max=1000) as gateway:
        before = gateway.peak_mb
        slow = [connect(gateway) for _ in range(1000)]
        try:
            for connection in slow:
                connection.sendall(b"POST /v1/scores HTTP/1.1\r\nX-Slow: ")
            started = time.monotonic()
            assert gateway.post(SCORE).status_code == 202
            assert time.monotonic() - started < 2
            assert gateway.peak_mb < before + 50
            slow[-1].settimeout(10)
            assert code_of(until_closed(slow[-1])) == (408, "too_slow")
        finally:
            for connection in slow:
                connection.close()
        with httpx.Client(base_url=gateway.url) as client:
            eventually(lambda: client.get("/readyz").status_code == 200, "it answers on")
