"""How many scores a gateway takes: one a request over keep-alive connections, and in bulk.

Starts a broker and a gateway of its own and loads it from another process over raw sockets, each of which sends its
next request when the last one is answered. Every score is checked and acknowledged by the broker, and in the end
counted in the topic. Takes about a minute.

    python -m tests.benchmarks.gateway --seconds 10

Prints a table and writes build/gateway.json. "A core" is a second of the gateway's CPU time, user and system, all of
its threads: broker and load generator share the machine, so that the wall clock shows less. Aims: 2,500 requests with
one score and 40,000 scores in bulk a core and second.
"""

from __future__ import annotations

import argparse
import gzip
import json
import multiprocessing
import selectors
import socket
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import quantiles
from typing import Any

import psutil

from scoreline.kafka import ensure_topics
from scoreline.keys import Scope, new_key
from scoreline.settings import Settings
from scoreline.stores import KeyStore
from scoreline.topics import declare_topics
from scoreline_local.ports import pick_free
from tests.benchmarks.harness import broker, machine, say, table, write_report
from tests.support import Running, log_end

REPORT = Path("build/gateway.json")
DATA_DIR = Path("build/bench-gateway")
WARM_UP_S = 2.0
SCORE = {
    "name": "accuracy",
    "value": 0.92,
    "trace_id": "abcdef1234567890abcdef1234567890",
    "observation_id": "abcdef1234567890",
    "service": "checkout-assistant",
    "environment": "production",
    "comment": "the answer names all three items and their prices",
    "metadata": {"model": "judge-large", "prompt_version": 7, "tokens": 512},
}


@dataclass(frozen=True)
class Kind:
    """One kind of request."""

    name: str
    scores: int
    connections: int
    aim: int
    content_type: str = "application/json"
    encoding: str | None = None

    def body(self) -> bytes:
        one = json.dumps(SCORE).encode()
        if self.content_type != "application/json":
            plain = b"\n".join([one] * self.scores)
        else:
            plain = one if self.scores == 1 else b"[" + b",".join([one] * self.scores) + b"]"
        return gzip.compress(plain, 6) if self.encoding else plain

    def request(self, secret_key: str) -> bytes:
        body = self.body()
        encoding = f"Content-Encoding: {self.encoding}\r\n" if self.encoding else ""
        return (
            f"POST /v1/scores HTTP/1.1\r\nHost: gateway\r\nX-API-Key: {secret_key}\r\n{encoding}"
            f"Content-Type: {self.content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
        ).encode() + body


KINDS = (
    Kind("one score a request", 1, 32, 2_500),
    Kind("arrays of 1000", 1000, 4, 40_000),
    Kind("NDJSON of 20,000, gzip", 20_000, 2, 40_000, "application/x-ndjson", "gzip"),
)


@dataclass
class Load:
    """What the generator saw."""

    requests: int
    seconds: float
    latencies_ms: list[float] = field(repr=False)


@dataclass
class Measured:
    """One kind of request, measured."""

    name: str
    scores: int
    requests_per_s: float
    scores_per_s: float
    cpu_s: float
    scores_per_core_s: float
    p50_ms: float
    p99_ms: float
    rss_mb: float
    aim: int


class _Connection:
    """A keep-alive connection that asks again when it is answered."""

    def __init__(self, port: int, request: bytes) -> None:
        self._request = request
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._answer = bytearray()
        self.sent_at = 0.0

    def ask(self) -> None:
        self.sent_at = time.perf_counter()
        self.socket.sendall(self._request)

    def is_answered(self) -> bool:
        """Take what has come; whether the answer is whole. Fails unless it is 202."""
        self._answer += self.socket.recv(1 << 20)
        head, blank, rest = self._answer.partition(b"\r\n\r\n")
        if not blank:
            return False
        assert head.startswith(b"HTTP/1.1 202"), bytes(self._answer[:2000])
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        if len(rest) < length:
            return False
        self._answer.clear()
        return True


def load(port: int, request: bytes, connections: int, seconds: float) -> Load:
    """Keep `connections` requests on their way for `seconds`; in a process of its own."""
    selector = selectors.DefaultSelector()
    for _ in range(connections):
        connection = _Connection(port, request)
        selector.register(connection.socket, selectors.EVENT_READ, connection)
        connection.ask()
    started = time.perf_counter()
    deadline, latencies, busy = started + seconds, list[float](), connections
    while busy:
        for ready, _ in selector.select(10):
            connection: _Connection = ready.data
            if not connection.is_answered():
                continue
            now = time.perf_counter()
            latencies.append((now - connection.sent_at) * 1000)
            if now < deadline:
                connection.ask()
            else:
                busy -= 1
    return Load(len(latencies), time.perf_counter() - started, latencies)


def measure(kind: Kind, port: int, secret_key: str, gateway: psutil.Process, seconds: float) -> tuple[Measured, int]:
    """One kind of request under load; and how many scores were acknowledged, those of the warm-up too."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        run: Callable[[float], Load] = lambda wanted: pool.submit(  # noqa: E731
            load, port, kind.request(secret_key), kind.connections, wanted
        ).result()
        warm = run(WARM_UP_S)
        before = gateway.cpu_times()
        seen = run(seconds)
        after = gateway.cpu_times()
    cpu_s = after.user + after.system - before.user - before.system
    scores = seen.requests * kind.scores
    cuts = quantiles(seen.latencies_ms, n=100) if seen.requests > 1 else seen.latencies_ms * 99
    measured = Measured(
        kind.name,
        scores,
        round(seen.requests / seen.seconds, 1),
        round(scores / seen.seconds),
        round(cpu_s, 2),
        round(scores / cpu_s),
        round(cuts[49], 2),
        round(cuts[98], 2),
        round(gateway.memory_info().rss / 2**20, 1),
        kind.aim,
    )
    return measured, (warm.requests + seen.requests) * kind.scores


def run(seconds: float, data_dir: Path) -> list[Measured]:
    """The whole benchmark on a broker and a gateway of its own, which are stopped at the end."""
    with broker(data_dir, 4) as settings:
        (port,) = pick_free(1)
        settings = settings.model_copy(update={"gateway_port": port, "gateway_stream_items_max": 1_000_000})
        ensure_topics(settings)
        made = new_key("bench", [Scope.WRITE], None, datetime.now(UTC))
        KeyStore(settings).add(made.entry)
        with Running(settings, data_dir, "gateway") as gateway:
            gateway.await_ready()
            process = psutil.Process(gateway.process.pid)
            results: list[Measured] = []
            acknowledged = 0
            for kind in KINDS:
                measured, scores = measure(kind, port, made.secret_key, process, seconds)
                results.append(measured)
                acknowledged += scores
                say(f"{kind.name}: {measured.scores_per_core_s:,.0f} a core and second")
            stored = _written(settings)
            assert stored == acknowledged, f"{acknowledged} acknowledged, {stored} in the topic"
            assert gateway.stop() == 0, gateway.log
    return results


def _written(settings: Settings) -> int:
    return log_end(settings, declare_topics(settings).raw.name, settings.partitions)


def show(results: list[Measured]) -> str:
    """The results as a table for people."""
    head = ("", "scores/s a core", "aim", "scores/s", "requests/s", "CPU s", "p50 ms", "p99 ms", "RSS MiB")
    return table(
        [
            head,
            *(
                (
                    each.name,
                    f"{each.scores_per_core_s:,}",
                    f">= {each.aim:,}",
                    f"{each.scores_per_s:,.0f}",
                    f"{each.requests_per_s:,.0f}",
                    f"{each.cpu_s}",
                    f"{each.p50_ms}",
                    f"{each.p99_ms}",
                    f"{each.rss_mb}",
                )
                for each in results
            ),
        ]
    )


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0, help="of load for each kind of request (default 10)")
    parser.add_argument("--data-dir", type=Path, default=DATA_DIR, help=f"emptied folder (default {DATA_DIR})")
    options = parser.parse_args()
    results = run(options.seconds, options.data_dir)
    say(show(results))
    report: dict[str, Any] = {"machine": machine(), "results": [asdict(each) for each in results]}
    write_report(REPORT, report)


if __name__ == "__main__":
    main()
