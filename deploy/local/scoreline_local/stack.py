"""`up`, `down` and `status` as functions, for the command line, the demo and the tests."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
from pydantic import BaseModel, ConfigDict, ValidationError

from scoreline.errors import StackError
from scoreline.lag import pipeline_lag
from scoreline.settings import PREFIX, load_settings
from scoreline_local.datadir import DataDir, adopt, data_dir, erase, is_locked, locked, write_private
from scoreline_local.jars import FETCH_S_MAX
from scoreline_local.plan import ClickHouseEndpoint, Endpoints, Phase, Plan, ProcessState, StackState, State
from scoreline_local.recipe import PARTS, Brokers, make_plan
from scoreline_local.settings import LocalSettings
from scoreline_local.supervisor import supervise

Tell = Callable[[str], None]

_POLL_S = 0.1
_ORPHAN_STOP_S = 15.0
_STOP_S_MAX = 120.0
_APPEAR_S_MAX = 20.0
_LOG_LINES = 15
_SAME_PROCESS_S = 1.0
"""A process's creation time is counted from boot, whose time shifts a little when the clock is set."""


NO_LAG: dict[str, int | None] = {"worker": None, "sink": None}


class ProcessStatus(BaseModel):
    """One process of the stack."""

    model_config = ConfigDict(frozen=True)

    name: str
    pid: int | None
    state: State
    restarts: int


class StackStatus(BaseModel):
    """A running stack, as `scoreline status --json` prints it."""

    model_config = ConfigDict(frozen=True)

    kafka: str | None = None
    clickhouse: ClickHouseEndpoint | None = None
    gateway: str | None = None
    ui: str | None = None
    observe: dict[str, str] = {}
    """Part → base URL of its /metrics, /healthz and /readyz."""
    processes: tuple[ProcessStatus, ...] = ()
    lag: dict[str, int | None] = NO_LAG
    """Records that worker and sink have still to read; None when Kafka does not tell."""


def up(
    settings: LocalSettings,
    *,
    parts: tuple[str, ...] = PARTS,
    brokers: Brokers | None = None,
    tell: Tell = print,
) -> Endpoints:
    """Start the stack under a supervisor of its own and return when all is ready; a running one is left as it is.

    Raises StackError: names the part that did not start, with the end of its log, or the taken port.
    """
    data = data_dir(settings.data_dir)
    adopt(data)
    with locked(data.command_lock, wait_s=FETCH_S_MAX):
        if is_locked(data.supervisor_lock):
            _require_running(data, parts)
            tell(f"runs already on {data.root}")
            _await_ready(data, tell)
        else:
            end_orphans(data, tell)
            launch(make_plan(data, settings, brokers, parts, tell), tell)
    return endpoints(settings.data_dir)


def run(
    settings: LocalSettings,
    *,
    parts: tuple[str, ...] = PARTS,
    brokers: Brokers | None = None,
    tell: Tell = print,
) -> None:
    """Start the stack in this process and stay until Ctrl-C or SIGTERM has stopped it.

    Raises StackError: as `up`, or when a stack runs already on this data folder.
    """
    data = data_dir(settings.data_dir)
    adopt(data)
    with locked(data.command_lock, wait_s=FETCH_S_MAX):
        if is_locked(data.supervisor_lock):
            raise StackError(f"a stack runs already on {data.root}; `scoreline down` stops it")
        end_orphans(data, tell)
        plan = make_plan(data, settings, brokers, parts, tell)
    last = supervise(plan, _Narrator(tell).see)
    if last.phase is Phase.FAILED:
        raise StackError(_why_failed(data, last))


def launch(plan: Plan, tell: Tell = print) -> StackState:
    """Start a supervisor for `plan` in a session of its own and return when all is ready.

    Raises StackError: the start failed; everything that had been started is stopped.
    """
    data = DataDir(plan.data_dir)
    adopt(data)
    data.state.unlink(missing_ok=True)
    write_private(data.plan, plan.model_dump_json(indent=1))
    try:
        _spawn_supervisor(data)
        return _await_ready(data, tell)
    except KeyboardInterrupt:
        deadline = time.monotonic() + _APPEAR_S_MAX
        while not data.state.exists() and time.monotonic() < deadline:
            time.sleep(_POLL_S)
        _stop(data, tell)
        raise


def down(path: Path, tell: Tell = print) -> None:
    """Stop the stack on this data folder, Kafka and ClickHouse last; also what a killed supervisor left running.

    Raises StackError: it could not be stopped.
    """
    data = data_dir(path)
    if is_locked(data.supervisor_lock):
        _stop(data, tell)
        tell("stopped")
    elif not end_orphans(data, tell):
        tell(f"nothing runs on {data.root}")


def fresh(path: Path) -> None:
    """Delete everything that a stack keeps in this data folder.

    Raises StackError: a stack runs on it, or the folder is not one that `up` has made.
    """
    data = data_dir(path)
    if is_locked(data.supervisor_lock):
        raise StackError(f"a stack runs on {data.root}; `scoreline down` stops it, then --fresh can delete its data")
    end_orphans(data, lambda _: None)
    erase(data)


def status(path: Path) -> StackStatus:
    """The stack on this data folder; one without processes when none runs."""
    state = _running(data_dir(path))
    if state is None:
        return StackStatus()
    kafka = state.endpoints.kafka
    answers = any(p.state is State.READY and p.name.startswith("kafka") for p in state.processes)
    shown = [p for p in state.processes if p.state is not State.DONE]
    return StackStatus(
        kafka=kafka,
        clickhouse=state.endpoints.clickhouse,
        gateway=state.endpoints.gateway,
        ui=state.endpoints.ui,
        observe=state.endpoints.observe,
        processes=tuple(ProcessStatus(name=p.name, pid=p.pid, state=p.state, restarts=p.restarts) for p in shown),
        lag=_lag(state.endpoints) if kafka and answers else NO_LAG,
    )


def _lag(endpoints: Endpoints) -> dict[str, int | None]:
    admin = {name.removeprefix(PREFIX).lower(): value for name, value in endpoints.admin.items()}
    reach = {"kafka": endpoints.kafka, "topic_prefix": endpoints.topic_prefix, **admin}
    return pipeline_lag(load_settings(**reach))


def endpoints(path: Path) -> Endpoints:
    """Where the stack on this data folder answers; an empty one when none runs."""
    state = _running(data_dir(path))
    return state.endpoints if state else Endpoints()


def _running(data: DataDir) -> StackState | None:
    return _state(data) if is_locked(data.supervisor_lock) else None


def end_orphans(data: DataDir, tell: Tell) -> bool:
    """End what a killed supervisor has left running; whether there was anything."""
    state = _state(data)
    recorded = state.processes if state else ()
    orphans = [process for each in recorded if (process := _living(each.pid, each.created_at))]
    if not orphans:
        return False
    tell(f"ending {len(orphans)} process(es) that a killed supervisor left behind")
    for process in orphans:
        _signal(process.terminate)
    deadline = time.monotonic() + _ORPHAN_STOP_S
    while any(_lives(process) for process in orphans):
        if time.monotonic() > deadline:
            for process in orphans:
                _signal(process.kill)
        time.sleep(_POLL_S)
    return True


class _Narrator:
    """Tells what changed between one state and the next."""

    def __init__(self, tell: Tell, known: StackState | None = None) -> None:
        self._tell = tell
        self._before = {process.name: process for process in known.processes} if known else {}

    def see(self, state: StackState) -> None:
        ending = state.phase in (Phase.STOPPING, Phase.STOPPED)
        for now in reversed(state.processes) if ending else state.processes:
            before = self._before.get(now.name, ProcessState(name=now.name))
            if before.ready_after_s is None and now.ready_after_s is not None:
                self._tell(f"{now.name} {'done' if now.runs_once else 'ready'} {now.ready_after_s:.1f} s")
            if now.restarts > before.restarts:
                self._tell(f"{now.name} died, starting it again")
            if now.state is State.STOPPED and before.state not in (State.STOPPED, State.WAITING):
                self._tell(f"{now.name} stopped")
            self._before[now.name] = now


def _spawn_supervisor(data: DataDir) -> None:
    # Through a shell that ends at once, so that the supervisor is nobody's child and leaves no zombie here.
    command = ["sh", "-c", '"$@" &', "sh", sys.executable, "-m", "scoreline_local.supervisor", str(data.plan)]
    with data.log("supervisor").open("ab") as output:
        subprocess.run(
            command, check=True, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )


def _await_ready(data: DataDir, tell: Tell) -> StackState:
    """The state once all is ready; the supervisor bounds the time."""
    narrator = _Narrator(tell)
    deadline = time.monotonic() + _APPEAR_S_MAX
    while True:
        lives = is_locked(data.supervisor_lock)
        state = _state(data)
        if state:
            narrator.see(state)
            if state.phase is Phase.READY:
                return state
        if not lives and (state or time.monotonic() > deadline):
            raise StackError(_why_failed(data, state))
        time.sleep(_POLL_S)


def _stop(data: DataDir, tell: Tell) -> None:
    narrator = _Narrator(tell, _state(data))
    deadline = time.monotonic() + _STOP_S_MAX
    asked = False
    while is_locked(data.supervisor_lock):
        state = _state(data)
        supervisor = _living(state.supervisor_pid, state.supervisor_created_at) if state else None
        if state:
            narrator.see(state)
        if supervisor and not asked:
            _signal(supervisor.terminate)
            asked = True
        if time.monotonic() > deadline:
            if supervisor:
                _signal(supervisor.kill)
            raise StackError(f"the supervisor did not stop within {_STOP_S_MAX:.0f} s; see {data.log('supervisor')}")
        time.sleep(_POLL_S)
    if state := _state(data):
        narrator.see(state)


def _require_running(data: DataDir, parts: tuple[str, ...]) -> None:
    """Raises StackError when the stack that runs lacks one of `parts`."""
    state = _state(data)
    names = {process.name.partition("-")[0] for process in state.processes} if state else set(parts)
    lacking = sorted(set(parts) - names)
    if lacking:
        raise StackError(
            f"a stack without {', '.join(lacking)} runs on {data.root}; `scoreline down` stops it, then `up` starts all"
        )


def _state(data: DataDir) -> StackState | None:
    """What the last supervisor wrote; None when there is nothing, or nothing this release can read."""
    try:
        return StackState.model_validate_json(data.state.read_text("utf-8"))
    except (FileNotFoundError, ValidationError):
        return None


def _why_failed(data: DataDir, state: StackState | None) -> str:
    failed = state.failed if state and state.failed else "supervisor"
    what = state.error if state and state.error else "stopped before all was ready"
    path = data.log(failed)
    end = path.read_text("utf-8", "replace").splitlines()[-_LOG_LINES:] if path.is_file() else []
    return "\n  ".join([f"{failed} did not start: {what}; the end of {path}:", *(end or ["(empty)"])])


def _living(pid: int | None, created_at: float | None) -> psutil.Process | None:
    """The process with this pid, unless it is gone or a later one."""
    if pid is None or created_at is None:
        return None
    try:
        process = psutil.Process(pid)
        return process if abs(process.create_time() - created_at) < _SAME_PROCESS_S and _lives(process) else None
    except psutil.NoSuchProcess:
        return None


def _lives(process: psutil.Process) -> bool:
    """A zombie does not: where init reaps nothing it stays for ever."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _signal(send: Callable[[], None]) -> None:
    with suppress(psutil.NoSuchProcess):
        send()
