"""The supervisor: starts a plan in the order of its needs, restarts what dies, stops everything.

    python -m scoreline_local.supervisor PLAN.json

It lives as long as it holds the lock of the data folder, and writes `state.json` on every change. Children run in
sessions of their own, so that Ctrl-C reaches only the supervisor, and write straight into their log files, so that
they outlive a killed supervisor undisturbed until the next `up` or `down` ends them.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import signal
import sys
import time
from asyncio.subprocess import Process
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from scoreline.errors import StackError
from scoreline_local.datadir import DataDir, locked, write_private
from scoreline_local.plan import Phase, Plan, ProcessSpec, ProcessState, ReadyWhen, StackState, State, stop_waves
from scoreline_local.probes import probe_of

log = logging.getLogger("scoreline_local.supervisor")

Watcher = Callable[[StackState], None]

_LOCK_WAIT_S = 1.0
_PROBE_PAUSE_S = 0.1
_READY_PAUSE_S = 0.5
_HOUSEKEEPING_PAUSE_S = 2.0


@dataclass(frozen=True, slots=True)
class _Death:
    status: str
    clean: bool
    ready_s: float


@dataclass(slots=True)
class _Spell:
    """Since when a process has been ready, by the monotonic clock."""

    since: float | None = None

    def length_s(self) -> float:
        return 0.0 if self.since is None else time.monotonic() - self.since


class StartFailed(StackError):
    """A process of the plan did not become ready."""

    def __init__(self, process: str, what: str) -> None:
        super().__init__(f"{process}: {what}")
        self.process = process
        self.what = what


def supervise(plan: Plan, watch: Watcher) -> StackState:
    """Run `plan` until SIGTERM, SIGINT or SIGHUP, then stop it; `watch` sees every change of state.

    Returns the last state. Its phase is FAILED, with the process and what happened, when the start failed.
    Raises StackError: another supervisor runs on this data folder.
    """
    data = DataDir(plan.data_dir)
    with locked(data.supervisor_lock, wait_s=_LOCK_WAIT_S):
        return asyncio.run(_Supervisor(plan, data, watch).run())


class _Supervisor:
    def __init__(self, plan: Plan, data: DataDir, watch: Watcher) -> None:
        self._plan = plan
        self._data = data
        self._watch = watch
        self._began = time.monotonic()
        self._stop = asyncio.Event()
        self._ready_once = {spec.name: asyncio.Event() for spec in plan.processes}
        self._processes = {spec.name: ProcessState(name=spec.name, runs_once=spec.runs_once) for spec in plan.processes}
        me = psutil.Process()
        self._state = StackState(
            phase=Phase.STARTING,
            supervisor_pid=me.pid,
            supervisor_created_at=me.create_time(),
            endpoints=plan.endpoints,
            processes=tuple(self._processes.values()),
        )

    async def run(self) -> StackState:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, self._stop.set)
        self._publish()
        services = {spec.name: asyncio.create_task(self._keep(spec)) for spec in self._plan.processes}
        last = Phase.FAILED
        try:
            await self._until_stopped(*services.values())
            last = Phase.STOPPED
        except StartFailed as failure:
            log.error("%s", failure)
            self._state = self._state.model_copy(update={"failed": failure.process, "error": failure.what})
        finally:
            await self._end_all(services)
            self._publish(phase=last)
        return self._state

    async def _until_stopped(self, *services: asyncio.Task[None]) -> None:
        """Returns on a signal; raises what any of the tasks raises."""
        stop = asyncio.create_task(self._stop.wait())
        helpers: list[Coroutine[None, None, None]] = [self._await_start(), self._keep_house()]
        tasks: set[asyncio.Task[None]] = {asyncio.create_task(helper) for helper in helpers}
        try:
            pending: set[asyncio.Task[None] | asyncio.Task[bool]] = {stop, *services, *tasks}
            while not stop.done():
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
        finally:
            for task in (stop, *tasks):
                task.cancel()

    async def _await_start(self) -> None:
        try:
            async with asyncio.timeout(self._plan.start_s):
                for event in self._ready_once.values():
                    await event.wait()
        except TimeoutError:
            late = next(name for name, event in self._ready_once.items() if not event.is_set())
            raise StartFailed(late, f"not ready within {self._plan.start_s:.0f} s") from None
        log.info("all ready after %.1f s", time.monotonic() - self._began)
        self._publish(phase=Phase.READY)

    async def _end_all(self, services: dict[str, asyncio.Task[None]]) -> None:
        self._publish(phase=Phase.STOPPING)
        for wave in stop_waves(self._plan.processes):
            tasks = [services[name] for name in wave]
            for task in tasks:
                task.cancel()
            for name, result in zip(wave, await asyncio.gather(*tasks, return_exceptions=True), strict=True):
                if isinstance(result, Exception) and not isinstance(result, StartFailed):
                    log.error("%s: %r", name, result)

    async def _keep(self, spec: ProcessSpec) -> None:
        """Start one process when what it needs is ready, and again whenever it dies, until cancelled."""
        try:
            for need in spec.needs:
                await self._ready_once[need].wait()
            deaths = 0
            while True:
                death = await self._run(spec)
                if spec.runs_once and death.clean:
                    self._update(spec.name, state=State.DONE, pid=None, created_at=None)
                    self._mark_ready(spec.name)
                    return
                deaths = self._plan.backoff.deaths(deaths, death.ready_s)
                await self._back_off(spec, death, deaths)
        except asyncio.CancelledError:
            self._update(spec.name, state=State.STOPPED, pid=None, created_at=None)
            raise

    async def _back_off(self, spec: ProcessSpec, death: _Death, deaths: int) -> None:
        if deaths >= self._plan.start_deaths_max and not self._started:
            self._update(spec.name, state=State.FAILED, pid=None, created_at=None)
            raise StartFailed(spec.name, f"{death.status}, {deaths} times in a row")
        delay_s = self._plan.backoff.delay_s(deaths)
        log.warning("%s: %s; restart in %.2f s", spec.name, death.status, delay_s)
        restarts = self._processes[spec.name].restarts + 1
        self._update(spec.name, state=State.BACKOFF, pid=None, created_at=None, restarts=restarts)
        await asyncio.sleep(delay_s)

    @property
    def _started(self) -> bool:
        return all(event.is_set() for event in self._ready_once.values())

    async def _run(self, spec: ProcessSpec) -> _Death:
        """One life of one process; when cancelled, ends it first."""
        self._data.ready_file(spec.name).unlink(missing_ok=True)
        process = await self._spawn(spec)
        spell = _Spell()
        try:
            async with asyncio.TaskGroup() as group:
                following = group.create_task(self._follow(spec, spell))
                code = await process.wait()
                following.cancel()
        finally:
            await self._end(spec, process)
        return _Death(_status(code), code == 0, spell.length_s())

    async def _spawn(self, spec: ProcessSpec) -> Process:
        env = {**os.environ, **spec.env, "SCORELINE_READY_FILE": str(self._data.ready_file(spec.name))}
        try:
            with self._data.log(spec.name).open("ab") as output:
                process = await asyncio.create_subprocess_exec(
                    *spec.argv,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=output,
                    stderr=asyncio.subprocess.STDOUT,
                    env=env,
                    start_new_session=True,
                )
        except OSError as error:
            self._update(spec.name, state=State.FAILED)
            raise StartFailed(spec.name, f"{spec.argv[0]} cannot be started: {error.strerror}") from error
        self._update(spec.name, state=State.STARTING, pid=process.pid, created_at=_created_at(process.pid))
        log.info("%s: started, pid %d", spec.name, process.pid)
        return process

    async def _follow(self, spec: ProcessSpec, spell: _Spell) -> None:
        """Ask until the process is ready; go on asking where it can tell that it is not any more."""
        probe = probe_of(spec, self._data.ready_file(spec.name))
        while not spec.runs_once:
            ready = await asyncio.to_thread(probe)
            spell.since = (spell.since or time.monotonic()) if ready else None
            self._update(spec.name, state=State.READY if ready else State.STARTING)
            if ready:
                self._mark_ready(spec.name)
                if spec.ready is not ReadyWhen.FILE:
                    return
            await asyncio.sleep(_READY_PAUSE_S if ready else _PROBE_PAUSE_S)

    def _mark_ready(self, name: str) -> None:
        if not self._ready_once[name].is_set():
            self._update(name, ready_after_s=round(time.monotonic() - self._began, 2))
            self._ready_once[name].set()

    async def _end(self, spec: ProcessSpec, process: Process) -> None:
        if process.returncode is None:
            try:
                process.terminate()
                async with asyncio.timeout(spec.stop_s):
                    await process.wait()
            except TimeoutError:
                log.warning("%s: still runs %.0f s after SIGTERM; killed", spec.name, spec.stop_s)
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
            log.info("%s: stopped, %s", spec.name, _status(await process.wait()))

    async def _keep_house(self) -> None:
        """Put aside logs that grew too long; stop when the data folder is gone."""
        while self._data.supervisor_lock.exists():
            for path in self._data.logs.glob("*.log"):
                if path.stat().st_size > self._plan.log_bytes_max:
                    _put_aside(path)
            await asyncio.sleep(_HOUSEKEEPING_PAUSE_S)
        log.error("%s is gone: stopping", self._data.root)
        self._stop.set()

    def _update(self, name: str, **changes: object) -> None:
        before = self._processes[name]
        after = before.model_copy(update=changes)
        if after != before:
            self._processes[name] = after
            self._publish()

    def _publish(self, **changes: object) -> None:
        self._state = self._state.model_copy(update={**changes, "processes": tuple(self._processes.values())})
        try:
            write_private(self._data.state, self._state.model_dump_json(indent=1))
        except FileNotFoundError:
            log.error("%s is gone: stopping", self._data.root)
            self._stop.set()
        self._watch(self._state)


def _created_at(pid: int) -> float | None:
    try:
        return psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        return None


def _status(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"


def _put_aside(path: Path) -> None:
    # The child keeps its descriptor, opened for appending: copy and truncate, because a renamed file would be
    # written to for ever. Lines that arrive between the two are lost.
    shutil.copyfile(path, path.with_name(path.name + ".1"))
    os.truncate(path, 0)


def _main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stdout)
    plan = Plan.model_validate_json(Path(sys.argv[1]).read_text("utf-8"))
    try:
        last = supervise(plan, lambda _: None)
    except StackError as error:
        log.error("%s", error)
        return 1
    return 1 if last.phase is Phase.FAILED else 0


if __name__ == "__main__":
    sys.exit(_main())
