"""Ports on loopback."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from scoreline.errors import StackError
from scoreline_local.ports import holder_of, is_free, pick_free, require_free
from tests.support import eventually


def test_picked_ports_are_free_in_a_row_and_touch_no_others() -> None:
    """So that three brokers can be named by their first port."""
    ports = pick_free(3)
    assert ports == (ports[0], ports[0] + 1, ports[0] + 2)
    assert all(is_free(port) for port in ports)
    assert set(pick_free(3, besides=ports)).isdisjoint(ports)


def test_port_of_a_server_on_all_addresses_is_taken() -> None:
    """It answers on loopback as well."""
    with socket.create_server(("0.0.0.0", 0)) as server:
        assert not is_free(server.getsockname()[1])


def test_port_that_a_server_has_just_left_is_free() -> None:
    """Connections it has closed linger for a minute; a restart must not wait for them."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        accepted, _ = server.accept()
        accepted.close()
        client.close()
    assert is_free(port)


def test_port_of_a_process_that_is_just_ending_is_waited_for() -> None:
    """A killed server whose first thread is gone and whose others are not: shown as dead, and still on its port."""
    code = (
        "import ctypes, os, platform, socket, threading, time\n"
        "server = socket.create_server(('127.0.0.1', 0))\n"
        "threading.Thread(target=lambda: (time.sleep(1), os._exit(0))).start()\n"
        "print(server.getsockname()[1], flush=True)\n"
        "ctypes.CDLL(None).syscall({'x86_64': 60, 'aarch64': 93}[platform.machine()], 0)\n"
    )
    ending = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert ending.stdout is not None
    port = int(ending.stdout.readline())
    eventually(lambda: holder_of(port) is None, "the system no longer tells who holds the port")
    assert not is_free(port)
    require_free(port, what="ClickHouse", setting="S", flag="--f")
    assert is_free(port)
    ending.communicate(timeout=60)


def test_port_that_no_user_may_take_is_not_called_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Below 1024 the remedy is another port, not to look for a process."""

    def refuse(_self: socket.socket, _address: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "bind", refuse)
    with pytest.raises(StackError, match=r"port 92 for Kafka cannot be used: Permission denied.*--kafka-port"):
        require_free(92, what="Kafka", setting="SCORELINE_LOCAL_KAFKA_PORT", flag="--kafka-port")
