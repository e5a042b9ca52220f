"""What benchmarks of the worker share: events on the raw topic, and worker processes that drain it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import Producer

from scoreline.kafka import client_options
from scoreline.settings import Settings
from scoreline.topics import declare_topics, record_key
from tests.benchmarks.measured_worker import Sample
from tests.support import DEADLINE_S, environment, eventually

EVENTS_PER_S_MIN = 1000
"""Slower than this is taken for stuck."""
PRELOAD_S = 120.0
_LINE_BYTES_MAX = 300


@dataclass(frozen=True)
class Drained:
    """What worker processes did, from the first commit to the last; of several, while all of them were at work."""

    events: int
    seconds: float
    cpu_s: float
    """User and system time of all of them."""
    commits: int
    duplicates: int
    rss_bytes: int
    """The most that one of them ever had resident."""

    @property
    def events_per_s(self) -> float:
        return self.events / self.seconds

    @property
    def events_per_cpu_s(self) -> float:
        return self.events / self.cpu_s


def events(numbers: Iterable[int]) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of valid events as an evaluator's client writes them, one id for each number."""
    for number in numbers:
        score_id = f"bench-{number:012d}"
        value = (
            f'{{"score_id":"{score_id}","name":"accuracy","value":{number % 1000 / 1000},"data_type":"NUMERIC",'
            f'"trace_id":"{number:032x}","observation_id":"{number:016x}","comment":"close to the reference answer",'
            '"metadata":{"model":"judge-large"},"source":"EVAL","evaluator":{"name":"judge","version":"3"},'
            '"timestamp":"2026-01-31T12:00:00.123456Z","project":"default","service":"checkout","schema_version":1}'
        )
        yield record_key("default", score_id), value.encode()


def preload(settings: Settings, records: Iterable[tuple[bytes, bytes]]) -> int:
    """Put records on the raw topic, as the client partitions them; returns the mean length of a value."""
    options = client_options(settings, partitioner="murmur2", linger_ms=20, compression_type="lz4")
    producer, topic, size, count = Producer(options), declare_topics(settings).raw.name, 0, 0
    for key, value in records:
        size, count = size + len(value), count + 1
        while True:
            try:
                producer.produce(topic, value, key)
                break
            except BufferError:
                producer.poll(0.05)
    if producer.flush(PRELOAD_S):
        raise RuntimeError("the broker did not take all events in time")
    return size // count


def drain(settings: Settings, count: int, folder: Path, way: str = "transactions", workers: int = 1) -> Drained:
    """Let new worker processes take `count` records from the raw topic, all that are there, then end them."""
    running = [_Worker(settings, folder, way, number) for number in range(workers)]
    try:
        deadline_s = DEADLINE_S + count / EVENTS_PER_S_MIN
        eventually(lambda: sum(each.records() for each in running) >= count, f"{way}: all events", deadline_s)
        rss = max(each.rss_bytes() for each in running)
        return between(*window([each.samples() for each in running]), rss)
    finally:
        for each in running:
            each.end()


def window(runs: list[list[Sample]]) -> tuple[list[Sample], list[Sample]]:
    """The samples of each run when all had begun, and when the first was done."""
    together = all(runs)
    start = max(run[0].at for run in runs) if together else 0.0
    end = min(run[-1].at for run in runs) if together else 0.0
    if end <= start:
        raise RuntimeError("the workers were never at work at the same time: give them more events")
    return [_at(run, start) for run in runs], [_at(run, end) for run in runs]


def between(starts: list[Sample], ends: list[Sample], rss_bytes: int) -> Drained:
    """What was done from `starts` to `ends`."""

    def grown(name: str) -> float:
        return sum(getattr(end, name) - getattr(start, name) for start, end in zip(starts, ends, strict=True))

    seconds = max(end.at for end in ends) - max(start.at for start in starts)
    counts = (int(grown(name)) for name in ("records", "commits", "duplicates"))
    records, commits, duplicates = counts
    return Drained(records, seconds, grown("cpu_s"), commits, duplicates, rss_bytes)


def _at(run: list[Sample], at: float) -> Sample:
    return run[bisect_right(run, at, key=lambda sample: sample.at) - 1]


class _Worker:
    """One worker process."""

    def __init__(self, settings: Settings, folder: Path, way: str, number: int) -> None:
        self._file, self._log = folder / f"worker-{number}.samples", folder / f"worker-{number}.log"
        self._file.unlink(missing_ok=True)
        own = settings.model_copy(update={"state_dir": settings.state_dir / str(number)})
        command = [sys.executable, "-m", "tests.benchmarks.measured_worker", way, str(self._file)]
        with self._log.open("wb") as output:
            self._process = subprocess.Popen(command, env=environment(own), stdout=output, stderr=output)

    def samples(self) -> list[Sample]:
        """All so far."""
        self._require_alive()
        return [_parse(line) for line in self._file.read_text().splitlines(keepends=True) if line.endswith("\n")]

    def _require_alive(self) -> None:
        if self._process.poll() is not None:
            raise RuntimeError(f"the worker ended with status {self._process.returncode}; see {self._log}")

    def records(self) -> int:
        """Committed so far; reads only the end of what the worker writes, which shares the machine."""
        self._require_alive()
        if not self._file.exists():
            return 0
        end = self._file.read_bytes()[-_LINE_BYTES_MAX:].rpartition(b"\n")[0]
        return _parse(end.rpartition(b"\n")[2].decode()).records if end else 0

    def rss_bytes(self) -> int:
        """Peak of what was resident (not the process's `ru_maxrss`, which begins at its parent's)."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) * 1024

    def end(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(DEADLINE_S)


def _parse(line: str) -> Sample:
    at, cpu_s, *counts = line.split()
    return Sample(float(at), float(cpu_s), *map(int, counts))
