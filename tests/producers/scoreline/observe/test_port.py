"""The port of worker and sink."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import httpx
import pytest

from scoreline.errors import SettingsError
from scoreline.observe.health import Health
from scoreline.observe.port import CONNECTIONS_MAX, Port, open_port
from scoreline.settings import Settings
from scoreline_local.ports import pick_free
from tests.support import eventually


@pytest.fixture
def port() -> Iterator[Port]:
    (number,) = pick_free(1)
    opened = open_port(Settings(observe_port=number), Health())
    assert opened is not None
    yield opened
    opened.shutdown()
    opened.server_close()


def url(port: Port, path: str) -> str:
    return f"http://127.0.0.1:{port.server_address[1]}{path}"


def test_paths_answer_and_others_do_not(port: Port) -> None:
    """On loopback, by default."""
    answers = {
        path: httpx.get(url(port, path)).status_code for path in ("/metrics", "/healthz", "/readyz", "/", "/x?y")
    }
    assert answers == {"/metrics": 200, "/healthz": 200, "/readyz": 503, "/": 404, "/x?y": 404}
    assert httpx.post(url(port, "/metrics")).status_code == 501
    assert port.server_address[0] == "127.0.0.1"


def test_clients_that_say_nothing_keep_nobody_out_for_long(port: Port) -> None:
    """So many threads and no more; each ends by its time."""
    idle = [socket.create_connection(port.server_address[:2]) for _ in range(CONNECTIONS_MAX)]  # type: ignore[arg-type]
    with pytest.raises(httpx.TransportError):
        httpx.get(url(port, "/healthz"), timeout=2)

    def answers() -> bool:
        try:
            return httpx.get(url(port, "/healthz"), timeout=2).status_code == 200
        except httpx.TransportError:
            return False

    eventually(answers, "the idle ones are cut off", 15)
    for connection in idle:
        connection.close()


def test_taken_port_names_its_setting(port: Port) -> None:
    """And the remedy."""
    with pytest.raises(SettingsError, match="SCORELINE_OBSERVE_PORT"):
        open_port(Settings(observe_port=port.server_address[1]), Health())


def test_no_port_is_opened_unless_one_is_set() -> None:
    """A library opens none."""
    assert open_port(Settings(), Health()) is None
