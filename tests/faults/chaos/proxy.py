"""A proxy before every broker, through which a worker and a sink see Kafka; it can lose or hold back one answer.

Clients stay behind it because every address in an answer is replaced by the proxy's own: same host, another port, and
so the same length whatever the version of the message.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

HOST = "127.0.0.1"
OFFSET_COMMIT, END_TXN = 8, 26
NAMES = {OFFSET_COMMIT: "OffsetCommit", END_TXN: "EndTxn"}
_START_S_MAX = _STOP_S_MAX = 10.0
_LATE_ANSWER_S_MAX = 10.0
_LENGTH = struct.Struct(">i")
_REQUEST = struct.Struct(">hhi")
"""API key, version, correlation id."""


class How(StrEnum):
    """What happens to one request."""

    ANSWER_CUT = "answer cut"
    """The broker has done it, the connection ends before the client is told."""
    ANSWER_HELD = "answer held"
    """The client is told late."""
    REQUEST_CUT = "request cut"
    """The connection ends before the broker hears of it."""
    REQUEST_LATE = "request late"
    """The connection ends for the client at once, and the broker hears of it after a while all the same."""


@dataclass(frozen=True)
class Disturbance:
    """For the next request of one kind."""

    api: int
    how: How
    seconds: float = 0.0


class Proxy:
    """Proxies before all brokers of a cluster, in a thread of their own."""

    def __init__(self, brokers: Sequence[str]) -> None:
        self._brokers = [int(address.rpartition(":")[2]) for address in brokers]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._ports: dict[int, int] = {}
        """Broker's port → ours."""
        self._servers: list[asyncio.Server] = []
        self._ways: set[asyncio.Task[None]] = set()
        self._next: dict[int, Disturbance] = {}
        self.done: Counter[str] = Counter()
        """What was disturbed and how, by its name."""

    def start(self) -> str:
        """Listen; returns the bootstrap servers behind which the cluster is."""
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(_START_S_MAX)
        return ",".join(f"{HOST}:{port}" for port in self._ports.values())

    def stop(self) -> None:
        """Close every connection."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(_STOP_S_MAX)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def disturb(self, disturbance: Disturbance) -> None:
        """Do this to the next request of its kind, whoever sends it."""
        self._next[disturbance.api] = disturbance

    async def _listen(self) -> None:
        for port in self._brokers:
            server = await asyncio.start_server(lambda r, w, port=port: self._serve(port, r, w), HOST, 0)
            self._servers.append(server)
            self._ports[port] = server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        for server in self._servers:
            server.close()
        for way in self._ways:
            way.cancel()
        # connections close, and their sockets after them
        await asyncio.sleep(0.1)

    async def _serve(self, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked: dict[int, int] = {}
        """Correlation id → API key of what the broker has still to answer."""
        try:
            up_reader, up_writer = await asyncio.open_connection(HOST, port)
        except OSError:
            writer.close()
            return
        ways = {
            asyncio.create_task(self._requests(reader, up_writer, writer, asked)),
            asyncio.create_task(self._answers(up_reader, writer, asked)),
        }
        self._ways |= ways
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            self._ways -= ways
            for end in (writer, up_writer):
                end.close()

    async def _requests(
        self,
        reader: asyncio.StreamReader,
        up_writer: asyncio.StreamWriter,
        writer: asyncio.StreamWriter,
        asked: dict[int, int],
    ) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                frame = await _frame(reader)
                api, _, correlation = _REQUEST.unpack_from(frame)
                disturbance = self._take(api, How.REQUEST_CUT, How.REQUEST_LATE)
                if disturbance is not None and disturbance.how is How.REQUEST_CUT:
                    return
                if disturbance is not None:
                    writer.close()
                    await asyncio.sleep(disturbance.seconds)
                asked[correlation] = api
                await _send(up_writer, frame)
                if disturbance is not None:
                    await asyncio.sleep(_LATE_ANSWER_S_MAX)
                    return

    async def _answers(
        self, up_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: dict[int, int]
    ) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                frame = await _frame(up_reader)
                api = asked.pop(_LENGTH.unpack_from(frame)[0], -1)
                disturbance = self._take(api, How.ANSWER_CUT, How.ANSWER_HELD)
                if disturbance is not None and disturbance.how is How.ANSWER_CUT:
                    return
                if disturbance is not None:
                    await asyncio.sleep(disturbance.seconds)
                await _send(writer, self._with_our_ports(frame))

    def _take(self, api: int, *how: How) -> Disturbance | None:
        disturbance = self._next.get(api)
        if disturbance is None or disturbance.how not in how:
            return None
        del self._next[api]
        self.done[f"{NAMES[api]} {disturbance.how}"] += 1
        return disturbance

    def _with_our_ports(self, frame: bytes) -> bytes:
        if HOST.encode() in frame:
            for theirs, ours in self._ports.items():
                frame = frame.replace(_address(theirs), _address(ours))
        return frame


def _address(port: int) -> bytes:
    return HOST.encode() + _LENGTH.pack(port)


async def _frame(reader: asyncio.StreamReader) -> bytes:
    (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
    return await reader.readexactly(length)


async def _send(writer: asyncio.StreamWriter, frame: bytes) -> None:
    writer.write(_LENGTH.pack(len(frame)) + frame)
    await writer.drain()
