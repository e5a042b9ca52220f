"""ClickHouse as the sink sees it: a table, a deduplication log, and a server that can die between the two.

An insert is one part per month, each all or nothing. For each part the server writes the token into its log and only
then puts the part in place; a known token is answered "ok" whatever became of its part. An insert goes on after its
sender has died or given up. A second insert under a token that is being inserted is refused. One with a row that has
`"bad"` stores nothing and names that row.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import orjson

from scoreline.errors import ClickHouseUnavailable
from scoreline_sink.plan import Coordinates, Range
from scoreline_sink.rows import is_one_object
from scoreline_sink.server_errors import RefusedRow
from tests.faults.world import Process, World

INSERT_TIMEOUT_S = 60.0


@dataclass(eq=False)
class Answer:
    """What became of a request."""

    done: bool = False
    refused: str = ""
    refused_row: int | None = None
    """Place of the row that the server does not take, from 1."""


@dataclass(eq=False)
class Server:
    """What is on disk, and the process that serves it."""

    world: World
    faults: float
    """How often an answer is lost."""
    rows: list[Coordinates] = field(default_factory=list)
    bodies: dict[Coordinates, bytes] = field(default_factory=dict)
    known: list[tuple[str, str]] = field(default_factory=list)
    """The deduplication log: token and month of each part."""
    process: Process = field(default_factory=lambda: Process("clickhouse"))
    _running: set[str] = field(default_factory=set)

    def kill(self) -> None:
        self.world.kill(self.process)
        self._running.clear()

    def start(self) -> None:
        self.process = Process("clickhouse")

    def forget(self, parts: int) -> None:
        """A power cut: the log was never synced, the parts were."""
        del self.known[len(self.known) - parts :]

    def request(self, rows: Sequence[bytes], token: str) -> Answer:
        """Begin an insert."""
        answer = Answer()
        self.world.spawn(self.process, lambda: self._insert(rows, token, answer))
        return answer

    def _insert(self, rows: Sequence[bytes], token: str, answer: Answer) -> None:
        if token in self._running:
            answer.refused, answer.done = f"query with id {token} is already running", True
            return
        self._running.add(token)
        self.world.step()
        answer.refused_row = next((n for n, row in enumerate(rows, 1) if "bad" in orjson.loads(row)), None)
        if answer.refused_row is not None:
            rows = ()
        months: defaultdict[str, list[tuple[Coordinates, bytes]]] = defaultdict(list)
        for row in rows:
            fields = orjson.loads(row)
            months[fields["timestamp"][:7]].append(((fields["src_partition"], fields["src_offset"]), row))
        for month, part in months.items():
            self.world.step()
            if (token, month) in self.known:
                continue
            self.known.append((token, month))
            self.world.step()
            self.rows += [at for at, _ in part]
            self.bodies |= dict(part)
        self.world.step()
        self._running.discard(token)
        answer.done = True


class Database:
    """Names the table in messages."""

    database = "scoreline"


class ModelTable:
    """`Table` of one sink."""

    name = "scores"
    clickhouse = Database()

    def __init__(self, server: Server) -> None:
        self._server = server

    def insert(self, rows: Sequence[bytes], token: str) -> None:
        world, process = self._server.world, self._reach()
        answer = self._server.request(rows, token)
        world.wait(lambda: answer.done or process.dead, INSERT_TIMEOUT_S)
        if not answer.done:
            raise ClickHouseUnavailable("no answer to an insert")
        if answer.refused:
            raise ClickHouseUnavailable(answer.refused)
        self._answer()
        if answer.refused_row is not None:
            raise RefusedRow("bad", answer.refused_row)

    @staticmethod
    def is_one_row(row: bytes) -> bool:
        return is_one_object(row)

    def holds_raw(self, partition: int, offset: int) -> bool:
        self._reach()
        stored = (orjson.loads(row) for row in self._server.bodies.values())
        found = any((row["raw_partition"], row["raw_offset"]) == (partition, offset) for row in stored)
        self._answer()
        return found

    def present(self, ranges: Sequence[Range]) -> list[Coordinates]:
        self._reach()
        wanted = {(r.partition, offset) for r in ranges for offset in range(r.first, r.last + 1)}
        found = [at for at in self._server.rows if at in wanted]
        self._answer()
        return found

    def highest(self, partitions: Iterable[int]) -> dict[int, int]:
        self._reach()
        found: dict[int, int] = {}
        for partition, offset in self._server.rows:
            if partition in partitions:
                found[partition] = max(offset, found.get(partition, -1))
        self._answer()
        return found

    def _reach(self) -> Process:
        self._server.world.step()
        if self._server.process.dead:
            raise ClickHouseUnavailable("connection refused")
        return self._server.process

    def _answer(self) -> None:
        self._server.world.step()
        if self._server.world.chance(self._server.faults):
            raise ClickHouseUnavailable("the answer is lost")
