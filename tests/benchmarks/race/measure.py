"""What an engine cost: CPU time and memory of its processes while it ran, cut to the time of its outputs."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import psutil
from numpy.typing import NDArray

from tests.benchmarks.sampling import Sampler

SAMPLE_S = 0.2


class Watch(Sampler):
    """Samples a process and all that it started."""

    def __init__(self, pid: int) -> None:
        super().__init__(SAMPLE_S)
        self._root = psutil.Process(pid)
        self._cpu_s: dict[tuple[int, float], float] = {}
        self._times: list[float] = []
        self._totals: list[float] = []
        self.peak_rss_bytes = 0

    def cpu_s_between(self, start: float, end: float) -> float:
        """User and system time between two Unix times."""
        at_start, at_end = np.interp((start, end), self._times, self._totals)
        return float(at_end - at_start)

    def _sample(self) -> None:
        rss = 0
        try:
            processes = [self._root, *self._root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return
        for process in processes:
            try:
                with process.oneshot():
                    used, identity = process.cpu_times(), (process.pid, process.create_time())
                    rss += process.memory_info().rss
            except psutil.NoSuchProcess:
                continue
            self._cpu_s[identity] = used.user + used.system
        self._times.append(time.time())
        self._totals.append(sum(self._cpu_s.values()))
        self.peak_rss_bytes = max(self.peak_rss_bytes, rss)


@dataclass
class Speed:
    """Events by the clock and by CPU time."""

    events: int
    seconds: float
    cpu_s: float

    @property
    def per_s(self) -> float:
        return self.events / self.seconds if self.seconds else 0.0

    @property
    def per_cpu_s(self) -> float:
        return self.events / self.cpu_s if self.cpu_s else 0.0


def speeds(watch: Watch, times_ms: NDArray[np.int64], events_an_output: float, until_ms: float) -> tuple[Speed, Speed]:
    """The speed between the first and the last of the outputs that were appended until then, and that of the later half
    of them, when whatever has to become warm is.

    `times_ms` are sorted; events are counted as read from the input, of which an output stands for `events_an_output`.
    """
    counted = times_ms[times_ms <= until_ms]

    def since(skipped: int) -> Speed:
        start, end = counted[skipped] / 1000, counted[-1] / 1000
        events = round((len(counted) - skipped) * events_an_output)
        return Speed(events, float(end - start), watch.cpu_s_between(start, end))

    if not len(counted):
        return Speed(0, 0.0, 0.0), Speed(0, 0.0, 0.0)
    return since(0), since(len(counted) // 2)
