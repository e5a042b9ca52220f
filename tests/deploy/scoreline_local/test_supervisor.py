"""The supervisor over stub processes: order, restarts, logs, a clean end, and what survives its own death."""

from __future__ import annotations

import os
import signal
import sys

import psutil
import pytest

from scoreline.errors import StackError
from scoreline_local import stack
from scoreline_local.datadir import DataDir, adopt, is_locked
from scoreline_local.plan import Backoff, Phase, Plan, ProcessSpec, ProcessState, ReadyWhen, StackState, State
from scoreline_local.supervisor import supervise
from tests.support import eventually

QUICK = Backoff(first_s=0.05, most_s=0.2, healthy_s=60.0)


def _silent(_: str) -> None:
    pass


def _python(
    name: str, code: str, *needs: str, ready: ReadyWhen = ReadyWhen.STARTED, stop_s: float = 5.0
) -> ProcessSpec:
    return ProcessSpec(name=name, argv=(sys.executable, "-S", "-c", code), needs=needs, ready=ready, stop_s=stop_s)


def _sleeper(name: str, *needs: str) -> ProcessSpec:
    return ProcessSpec(name=name, argv=("sleep", "300"), needs=needs)


def _plan(data: DataDir, *processes: ProcessSpec, start_s: float = 30.0, log_bytes_max: int = 1_000_000) -> Plan:
    return Plan(data_dir=data.root, processes=processes, backoff=QUICK, start_s=start_s, log_bytes_max=log_bytes_max)


def _state(data: DataDir) -> StackState:
    return StackState.model_validate_json(data.state.read_text())


def _pid(data: DataDir, name: str) -> int:
    pid = _state(data).process(name).pid
    assert pid is not None
    return pid


def _gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_process_starts_when_what_it_needs_is_ready(data: DataDir) -> None:
    """A step that runs once must have succeeded, a service must have made its ready file."""
    order = data.root.parent / "order"
    note = f"open({str(order)!r}, 'a').write"
    ready = "import os, time; time.sleep(0.3); open(os.environ['SCORELINE_READY_FILE'], 'w'); "
    stack.launch(
        _plan(
            data,
            _python("service", ready + f"{note}('service '); time.sleep(300)", ready=ReadyWhen.FILE),
            _python("step", f"{note}('step ')", "service", ready=ReadyWhen.DONE),
            _python("last", f"{note}('last '); import time; time.sleep(300)", "step"),
        ),
        _silent,
    )
    eventually(lambda: order.read_text() == "service step last ", "everything started in its order")
    assert {p.name: p.state for p in _state(data).processes} == {
        "service": State.READY,
        "step": State.DONE,
        "last": State.READY,
    }


def test_process_that_was_killed_is_started_again_and_counted(data: DataDir) -> None:
    """Its neighbours are left alone."""
    stack.launch(_plan(data, _sleeper("a"), _sleeper("b")), _silent)
    before, neighbour = _pid(data, "a"), _pid(data, "b")
    os.kill(before, signal.SIGKILL)
    eventually(lambda: _state(data).process("a").pid not in (None, before), "a was started again")
    assert _state(data).process("a").restarts == 1
    assert _state(data).process("b") == ProcessState(
        name="b",
        state=State.READY,
        pid=neighbour,
        created_at=psutil.Process(neighbour).create_time(),
        ready_after_s=_state(data).process("b").ready_after_s,
    )


def test_process_that_always_dies_is_restarted_for_ever_once_all_have_been_ready(data: DataDir) -> None:
    """A worker that cannot work now may be able to in an hour."""
    code = "import os, sys, pathlib, time; f = pathlib.Path(os.environ['SCORELINE_READY_FILE'] + '.seen')\n"
    code += "sys.exit(3) if f.exists() else f.touch()\n"
    code += "open(os.environ['SCORELINE_READY_FILE'], 'w'); time.sleep(1)"
    stack.launch(_plan(data, _python("flaky", code, ready=ReadyWhen.FILE)), _silent)
    eventually(lambda: _state(data).process("flaky").restarts > 5, "restarted beyond the bound of the start")
    assert _state(data).phase is Phase.READY


def test_start_fails_with_the_name_and_the_end_of_the_log(data: DataDir) -> None:
    """And leaves nothing running."""
    code = "import sys; print('no such topic: scores.raw', flush=True); sys.exit(7)"
    broken = _python("broken", code, "fine", ready=ReadyWhen.FILE)
    with pytest.raises(StackError) as caught:
        stack.launch(_plan(data, _sleeper("fine"), broken), _silent)
    for part in ("broken did not start", "exit status 7, 3 times in a row", "no such topic: scores.raw", "broken.log"):
        assert part in str(caught.value)
    assert not is_locked(data.supervisor_lock)
    state = _state(data)
    assert state.phase is Phase.FAILED
    assert {p.name: p.state for p in state.processes} == {"fine": State.STOPPED, "broken": State.FAILED}


def test_program_that_does_not_exist_fails_the_start(data: DataDir) -> None:
    """There is no use in trying again."""
    with pytest.raises(StackError, match="/no/such/java cannot be started: No such file"):
        stack.launch(_plan(data, ProcessSpec(name="kafka", argv=("/no/such/java",))), _silent)


def test_start_that_takes_too_long_fails(data: DataDir) -> None:
    """A process that never becomes ready must not make `up` wait for ever."""
    never = _python("never", "import time; time.sleep(300)", ready=ReadyWhen.FILE)
    with pytest.raises(StackError, match="never did not start: not ready within 1 s"):
        stack.launch(_plan(data, never, start_s=1.0), _silent)


def test_step_that_fails_first_is_tried_again(data: DataDir) -> None:
    """Migrations may meet a ClickHouse that answers its ping a moment before it can work."""
    code = "import os, sys; f = os.environ['SCORELINE_READY_FILE'] + '.tried'; seen = os.path.exists(f)\n"
    code += "open(f, 'w'); sys.exit(0 if seen else 1)"
    state = stack.launch(_plan(data, _python("step", code, ready=ReadyWhen.DONE)), _silent)
    assert state.process("step").state is State.DONE
    assert state.process("step").restarts == 1


def test_process_whose_ready_file_goes_is_not_ready(data: DataDir) -> None:
    """It removes the file when it cannot work, for example while ClickHouse is away."""
    code = "import os, time; open(os.environ['SCORELINE_READY_FILE'], 'w'); time.sleep(300)"
    stack.launch(_plan(data, _python("sink", code, ready=ReadyWhen.FILE)), _silent)
    data.ready_file("sink").unlink()
    eventually(lambda: _state(data).process("sink").state is State.STARTING, "not ready any more")
    data.ready_file("sink").touch()
    eventually(lambda: _state(data).process("sink").state is State.READY, "ready again")


def test_ready_file_of_a_former_life_does_not_count(data: DataDir) -> None:
    """kill -9 leaves it behind."""
    adopt(data)
    data.ready_file("sink").touch()
    never = _python("sink", "import time; time.sleep(300)", ready=ReadyWhen.FILE)
    with pytest.raises(StackError, match="not ready within 1 s"):
        stack.launch(_plan(data, never, start_s=1.0), _silent)


def test_down_stops_what_needs_before_what_is_needed(data: DataDir) -> None:
    """The worker can still commit while Kafka runs."""
    ends = data.root.parent / "ends"
    code = "import signal, sys, time\n"
    code += "def end(*_): open({!r}, 'a').write('{} '); sys.exit(0)\n"
    code += "signal.signal(signal.SIGTERM, end); open(__import__('os').environ['SCORELINE_READY_FILE'], 'w')\n"
    code += "time.sleep(300)"
    stack.launch(
        _plan(
            data,
            _python("kafka", code.format(str(ends), "kafka"), ready=ReadyWhen.FILE),
            _python("worker", code.format(str(ends), "worker"), "kafka", ready=ReadyWhen.FILE),
        ),
        _silent,
    )
    told: list[str] = []
    stack.down(data.root, told.append)
    assert ends.read_text() == "worker kafka "
    assert told == ["worker stopped", "kafka stopped", "stopped"]
    assert _state(data).phase is Phase.STOPPED


def test_process_that_ignores_sigterm_is_killed(data: DataDir) -> None:
    """`down` is bounded whatever runs."""
    code = "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    code += "open(os.environ['SCORELINE_READY_FILE'], 'w'); time.sleep(300)"
    stack.launch(_plan(data, _python("deaf", code, ready=ReadyWhen.FILE, stop_s=0.5)), _silent)
    pid = _pid(data, "deaf")
    stack.down(data.root, _silent)
    assert _gone(pid)
    assert "deaf: stopped, killed by SIGKILL" in data.log("supervisor").read_text()


def test_children_live_in_sessions_of_their_own(data: DataDir) -> None:
    """Ctrl-C in the terminal reaches the supervisor alone, which then stops them in order."""
    state = stack.launch(_plan(data, _sleeper("a"), _sleeper("b")), _silent)
    a, b = _pid(data, "a"), _pid(data, "b")
    assert len({os.getsid(a), os.getsid(b), os.getsid(state.supervisor_pid), os.getsid(0)}) == 4


def test_killed_supervisor_blocks_nothing_and_its_children_are_ended(data: DataDir) -> None:
    """The next start finds a stale state file, ends what it names, and starts anew."""
    ended = data.root.parent / "ended"
    code = "import os, pathlib, signal, sys, time\n"
    code += f"signal.signal(signal.SIGTERM, lambda *_: sys.exit(pathlib.Path({str(ended)!r}).touch()))\n"
    code += "open(os.environ['SCORELINE_READY_FILE'], 'w'); time.sleep(300)"
    first = stack.launch(_plan(data, _python("a", code, ready=ReadyWhen.FILE), _sleeper("b")), _silent)
    children = [_pid(data, "a"), _pid(data, "b")]
    os.kill(first.supervisor_pid, signal.SIGKILL)
    eventually(lambda: not is_locked(data.supervisor_lock), "the lock went with its holder")
    assert not any(_gone(pid) for pid in children)
    told: list[str] = []
    assert stack.end_orphans(data, told.append)
    assert told == ["ending 2 process(es) that a killed supervisor left behind"]
    assert all(_gone(pid) for pid in children)
    assert ended.exists()
    stack.launch(_plan(data, _sleeper("a")), _silent)
    assert _state(data).phase is Phase.READY


def test_process_that_only_reuses_a_recorded_pid_is_spared(data: DataDir) -> None:
    """After a reboot the pids of the state file belong to anybody."""
    adopt(data)
    me = psutil.Process()
    stale = StackState(
        phase=Phase.READY,
        supervisor_pid=me.pid,
        supervisor_created_at=me.create_time() - 3600,
        endpoints=stack.Endpoints(),
        processes=(ProcessState(name="kafka", pid=me.pid, created_at=me.create_time() - 3600),),
    )
    data.state.write_text(stale.model_dump_json())
    assert not stack.end_orphans(data, _silent)


def test_damaged_state_file_blocks_nothing(data: DataDir) -> None:
    """A full disk or a newer release may leave one that cannot be read."""
    adopt(data)
    data.state.write_text("{")
    assert not stack.end_orphans(data, _silent)
    stack.launch(_plan(data, _sleeper("a")), _silent)


def test_second_supervisor_is_refused(data: DataDir) -> None:
    """Two of them would each restart what the other stops."""
    stack.launch(_plan(data, _sleeper("a")), _silent)
    with pytest.raises(StackError, match="held by another process"):
        supervise(_plan(data, _sleeper("a")), lambda _: None)


def test_supervisor_whose_data_folder_is_deleted_stops_everything(data: DataDir) -> None:
    """Nobody could find it any more to stop it."""
    state = stack.launch(_plan(data, _sleeper("a")), _silent)
    pid = _pid(data, "a")
    data.root.rename(data.root.with_name("moved away"))
    eventually(lambda: _gone(pid) and _gone(state.supervisor_pid), "supervisor and child ended")


def test_log_that_grows_too_long_is_put_aside(data: DataDir) -> None:
    """At most two files of bounded size for each process, and the writer notices nothing."""
    code = "import time\nfor n in range(10**9): print('line', n, 'x' * 500, flush=True); time.sleep(0.001)"
    stack.launch(_plan(data, _python("chatty", code), log_bytes_max=100_000), _silent)
    aside, path = data.logs / "chatty.log.1", data.log("chatty")
    eventually(aside.exists, "the log was put aside")
    eventually(lambda: path.stat().st_size < aside.stat().st_size, "the log begins anew")
    eventually(lambda: path.stat().st_size > 0, "the log goes on")
    assert b"\0" not in path.read_bytes()


def test_data_folder_is_private(data: DataDir) -> None:
    """The data folder holds a password and what services log."""
    stack.launch(_plan(data, _sleeper("a")), _silent)
    assert data.root.stat().st_mode & 0o077 == 0
    for path in (data.plan, data.state):
        assert path.stat().st_mode & 0o077 == 0
