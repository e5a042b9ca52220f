"""What processes cost while a backlog drains: CPU time and memory, sampled beside them."""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np
import psutil

from tests.benchmarks.sampling import Sampler

SAMPLE_S = 0.05


class Meter(Sampler):
    """Samples processes by name."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        super().__init__(SAMPLE_S)
        self._processes = {name: psutil.Process(pid) for name, pid in pids.items()}
        self._times: list[float] = []
        self._cpu_s: dict[str, list[float]] = {name: [] for name in pids}
        self._peak_bytes = dict.fromkeys(pids, 0)

    def cpu_s(self, name: str, start: float = 0.0, end: float = float("inf")) -> float:
        """User and system time of a process between two Unix times."""
        return self._at(name, end) - (self._at(name, start) if start else 0.0)

    def peak_mb(self, name: str) -> int:
        """Most resident memory that was seen, in MB."""
        return round(self._peak_bytes[name] / 1e6)

    def _at(self, name: str, moment: float) -> float:
        return float(np.interp(moment, self._times, self._cpu_s[name]))

    def _sample(self) -> None:
        try:
            used = {name: (process.cpu_times(), process.memory_info().rss) for name, process in self._processes.items()}
        except psutil.NoSuchProcess:
            return
        self._times.append(time.time())
        for name, (cpu, rss) in used.items():
            self._cpu_s[name].append(cpu.user + cpu.system)
            self._peak_bytes[name] = max(self._peak_bytes[name], rss)
