"""Several worker processes under one parent: `scoreline worker --processes N`.

The processes are workers as any other, of one consumer group; Kafka shares the partitions out among them. The parent
only starts, watches, starts again and ends them: it reads no record. Each process's standard input is a pipe that the
parent never writes to, so that one whose parent is gone, however it went, sees its end and goes too
(`scoreline_streams.process`).
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from subprocess import Popen
from threading import Event
from typing import Final

from scoreline.settings import Settings

log = logging.getLogger(__name__)

FAILED: Final = 1
"""Exit status of a process that cannot start: settings, topics or state are wrong, and stay so."""
CRASHED: Final = 70
"""Exit status of the parent whose processes could not be kept running: it is to be started again, as they are."""
PROCESSES_MAX = 256
STOP_S = 28.0
"""How long the processes may take to end before they are killed: longer than a partition may take to close."""
DEATHS_MAX = 10
"""Deaths of one process in a row, none of them ready for `HEALTHY_S` in between, after which the parent gives up."""
HEALTHY_S = 5.0
FIRST_BACKOFF_S, BACKOFF_S_MAX = 0.25, 15.0
WATCH_S = 0.1
CGROUP_CPU = Path("/sys/fs/cgroup/cpu.max")


def backoff_s(deaths: int) -> float:
    """How long to wait before the start that follows this many deaths in a row."""
    return min(FIRST_BACKOFF_S * 2.0 ** min(deaths - 1, 32), BACKOFF_S_MAX)


def cores() -> int:
    """Cores that this process may use: those it is bound to, or fewer where its control group has a smaller quota."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, _, period = CGROUP_CPU.read_text().strip().partition(" ")
        return min(bound, max(1, ceil(int(quota) / int(period))))
    except (OSError, ValueError):  # no control group, or one without a quota ("max")
        return bound


def process_name(number: int) -> str:
    """What the log calls this process; its folder in the state folder is called the same."""
    return f"worker-{number}"


def own_settings(settings: Settings, number: int) -> Settings:
    """The settings of one of the processes: a state folder, ready file, membership and observed port of its own."""
    folder = settings.state_dir / process_name(number)
    instance_id = None if settings.instance_id is None else f"{settings.instance_id}-{number}"
    port = settings.observe_port and settings.observe_port + number - 1
    update = {"state_dir": folder, "ready_file": folder / "ready", "instance_id": instance_id, "observe_port": port}
    return settings.model_copy(update=update)


def child_command(number: int, log_level: str) -> Sequence[str]:
    """How the process with this number is started."""
    return (sys.executable, "-m", "scoreline_streams.process", str(number), log_level)


def run(settings: Settings, processes: int, log_level: str) -> int:
    """Keep `processes` workers running until SIGTERM or SIGINT, then end them; call it from the main thread.

    Returns the exit status: 0 after a clean end; 1 when one cannot start, as where its settings are wrong or a topic is
    missing; 70 when one dies `DEATHS_MAX` times in a row or had to be killed at the end.
    """
    if processes > settings.partitions:
        log.warning(
            "%d processes for %d partitions (SCORELINE_PARTITIONS): %d have nothing to do until others end",
            processes,
            settings.partitions,
            processes - settings.partitions,
        )
    stopped = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stopped.set())
    return _Crew(settings, processes, log_level, stopped).run()


@dataclass(slots=True)
class _Child:
    """One of the processes, over all its lives."""

    number: int
    ready_file: Path
    process: Popen[bytes] | None = None
    deaths: int = 0
    """In a row."""
    ready_at: float | None = None
    """Since when it is ready, by the monotonic clock."""
    start_at: float = 0.0

    @property
    def name(self) -> str:
        return process_name(self.number)


class _Crew:
    def __init__(self, settings: Settings, processes: int, log_level: str, stopped: Event) -> None:
        self._ready_file, self._log_level, self._stopped = settings.ready_file, log_level, stopped
        numbers = range(1, processes + 1)
        self._children = [_Child(n, own_settings(settings, n).ready_file or Path()) for n in numbers]
        self._all_ready = False
        self._status = 0

    def run(self) -> int:
        self._show_readiness()
        try:
            while not self._stopped.is_set():
                for child in self._children:
                    self._tend(child)
                self._show_readiness()
                self._stopped.wait(WATCH_S)
        finally:
            self._end_all()
        return self._status

    def _tend(self, child: _Child) -> None:
        now = time.monotonic()
        if child.process is None:
            if now >= child.start_at:
                self._start(child)
            return
        code = child.process.poll()
        if code is not None:
            self._died(child, code, now)
        elif not child.ready_file.exists():
            child.ready_at = None
        elif child.ready_at is None:
            child.ready_at = now

    def _start(self, child: _Child) -> None:
        child.ready_file.unlink(missing_ok=True)
        # a session of its own: Ctrl-C reaches the parent alone, which ends all
        child.process = subprocess.Popen(
            child_command(child.number, self._log_level), stdin=subprocess.PIPE, start_new_session=True
        )
        log.info("%s: started, pid %d", child.name, child.process.pid)

    def _died(self, child: _Child, code: int, now: float) -> None:
        healthy = child.ready_at is not None and now - child.ready_at >= HEALTHY_S
        self._forget(child)
        if code in (FAILED, 2):
            log.critical("%s cannot start (exit status %d; its log says why): ending all", child.name, code)
            self._give_up(FAILED)
            return
        child.deaths = 1 if healthy else child.deaths + 1
        if child.deaths >= DEATHS_MAX:
            log.critical("%s died %d times in a row, last by %s: ending all", child.name, child.deaths, _cause(code))
            self._give_up(CRASHED)
            return
        delay_s = backoff_s(child.deaths)
        child.start_at = now + delay_s
        log.warning("%s: %s; starting it again in %.2f s", child.name, _cause(code), delay_s)

    def _give_up(self, status: int) -> None:
        self._status = status
        self._stopped.set()

    def _forget(self, child: _Child) -> None:
        if child.process is not None and child.process.stdin is not None:
            child.process.stdin.close()
        child.process, child.ready_at = None, None
        child.ready_file.unlink(missing_ok=True)

    def _show_readiness(self) -> None:
        """Ready is the parent while all its processes are."""
        ready = all(child.ready_at is not None for child in self._children)
        if ready is not self._all_ready:
            log.info("all %d processes are ready" if ready else "not all %d processes are ready", len(self._children))
            self._all_ready = ready
        if self._ready_file is not None:
            if ready:
                self._ready_file.touch()
            else:
                self._ready_file.unlink(missing_ok=True)

    def _end_all(self) -> None:
        if self._ready_file is not None:
            self._ready_file.unlink(missing_ok=True)
        living = [(child, child.process) for child in self._children if child.process is not None]
        for _, process in living:
            process.terminate()
        deadline = time.monotonic() + STOP_S
        for child, process in living:
            try:
                code = process.wait(max(0.0, deadline - time.monotonic()))
                log.info("%s: ended, %s", child.name, _cause(code))
            except subprocess.TimeoutExpired:
                log.critical("%s: still runs %.0f s after SIGTERM; killed", child.name, STOP_S)
                process.kill()
                code = process.wait()
            if code not in (0, -signal.SIGTERM):  # by the signal itself: before it had begun
                self._status = self._status or CRASHED
            self._forget(child)


def _cause(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
