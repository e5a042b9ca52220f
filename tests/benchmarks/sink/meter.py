"""What processes cost while a backlog drains: CPU time and memory, sampled beside them."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections.abc import Mapping
from types import TracebackType
from typing import Self

import psutil

SAMPLE_S = 0.05


class Meter:
    """Samples processes by name for as long as the context lasts."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._processes = {name: psutil.Process(pid) for name, pid in pids.items()}
        self._times: list[float] = []
        self._cpu_s: dict[str, list[float]] = {name: [] for name in pids}
        self._peak_bytes = dict.fromkeys(pids, 0)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="meter")

    def __enter__(self) -> Self:
        self._sample()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def cpu_s(self, name: str, start: float = 0.0, end: float = float("inf")) -> float:
        """User and system time of a process between two Unix times."""
        return self._at(name, end) - (self._at(name, start) if start else 0.0)

    def peak_mb(self, name: str) -> int:
        """Most resident memory that was seen, in MB."""
        return round(self._peak_bytes[name] / 1e6)

    def _at(self, name: str, moment: float) -> float:
        values, after = self._cpu_s[name], bisect_left(self._times, moment)
        if after == 0 or after == len(self._times):
            return values[min(after, len(values) - 1)]
        before = after - 1
        share = (moment - self._times[before]) / (self._times[after] - self._times[before])
        return values[before] + share * (values[after] - values[before])

    def _run(self) -> None:
        while not self._ended.wait(SAMPLE_S):
            self._sample()

    def _sample(self) -> None:
        try:
            used = {name: (process.cpu_times(), process.memory_info().rss) for name, process in self._processes.items()}
        except psutil.NoSuchProcess:
            return
        self._times.append(time.time())
        for name, (cpu, rss) in used.items():
            self._cpu_s[name].append(cpu.user + cpu.system)
            self._peak_bytes[name] = max(self._peak_bytes[name], rss)
