"""The bounded server with WebSockets, which outlive the bounds of a request's head."""

from __future__ import annotations

import subprocess
import sys

import httpx
import pytest
from websockets.sync.client import connect

from scoreline_local.ports import pick_free
from tests.support import eventually

SERVER = """
import sys
from fastapi import FastAPI, WebSocket
from scoreline.following_keys import KnownKeys
from scoreline.web.serving import Bounds, serve

app, known = FastAPI(), KnownKeys()
known.want_none()

@app.websocket("/echo")
async def echo(socket: WebSocket):
    await socket.accept()
    while True:
        await socket.send_text(await socket.receive_text())

serve(app, Bounds("127.0.0.1", int(sys.argv[1]), 10, 0.5, 0.5, 5.0), known, "websockets-sansio")
"""


def answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/openapi.json").status_code == 200
    except httpx.TransportError:
        return False


def test_websocket_stays_open_longer_than_a_head_may_take() -> None:
    """A page is silent as long as nobody looks; SIGTERM ends it and the process, with status 0."""
    (port,) = pick_free(1)
    with subprocess.Popen([sys.executable, "-c", SERVER, str(port)]) as server:
        try:
            eventually(lambda: answers(port), "the server answers")
            with connect(f"ws://127.0.0.1:{port}/echo") as socket:
                with pytest.raises(TimeoutError):
                    socket.recv(timeout=1.5)
                socket.send("still here")
                assert socket.recv(timeout=5) == "still here"
                assert answers(port)
                server.terminate()
                assert server.wait(10) == 0
        finally:
            server.kill()
