"""A world in which the product's own code runs one step at a time, in an order that a seed decides.

A task is a thread that runs only while it holds the turn. Every call into a model (`model_kafka`, `model_clickhouse`)
and every wait gives the turn back, and the world draws who has it next; so two processes interleave at every call, a
process can be killed or stopped at every call, and the same seed gives the same run. The clock jumps when every
task waits: a wait costs nothing.
"""

from __future__ import annotations

import math
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any

STEPS_MAX = 20_000
STEP_S = 1e-5
PRODUCT = ("scoreline_streams", "scoreline_sink")


class Killed(SystemExit):
    """Ends the tasks of a killed process. A SystemExit, so that no loop and no `except Exception` goes on after it."""


class Stuck(AssertionError):
    """The run does not come to rest."""


def _taken() -> threading.Lock:
    lock = threading.Lock()
    lock.acquire()
    return lock


@dataclass(eq=False)
class Process:
    """Something that is killed or stopped as a whole."""

    name: str
    tasks: list[Task] = field(default_factory=list)
    dead: bool = False
    stopped: bool = False
    silent_since: float = math.inf
    """When it was killed or stopped."""

    @property
    def silent(self) -> bool:
        return self.dead or self.stopped


@dataclass(eq=False)
class Task:
    """One thread, and what it waits for."""

    process: Process
    condition: Callable[[], bool] | None = None
    deadline: float = 0.0
    turn: threading.Lock = field(default_factory=_taken)
    """Released by whoever hands the turn to this task."""
    thread: threading.Thread = field(default_factory=threading.current_thread)
    killer: Task | None = None

    def is_ready(self, now: float) -> bool:
        return self.condition is None or self.deadline <= now or self.condition()


class World:
    """Tasks, a clock, and the random numbers of one seed. The thread that makes it is the director's."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.now = 1000.0
        self.steps = 0
        self.crash_points: set[str] = set()
        """Lines of the product at which a process was killed, each with the line of the model it had called."""
        self._patience = self.random.choice((0.0, 0.3, 0.8))
        self._failure: BaseException | None = None
        self._director = Task(Process("director"))
        self._tasks = [self._director]
        self._current = self._director

    @property
    def process(self) -> Process:
        """Whose task has the turn."""
        return self._current.process

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def spawn(self, process: Process, work: Callable[[], object]) -> None:
        """Start a task of `process`; it gets its first turn when it is drawn."""
        task = Task(process)
        task.thread = threading.Thread(target=self._run, args=(task, work), daemon=True)
        process.tasks.append(task)
        self._tasks.append(task)
        task.thread.start()

    def step(self) -> None:
        """Somebody else may have the turn, or this process may end here."""
        self.wait(None)

    def wait(self, condition: Callable[[], bool] | None, timeout_s: float = math.inf) -> bool:
        """Give up the turn until `condition` holds or the time is over; returns whether it holds."""
        task = self._current
        self._check(task)
        task.condition, task.deadline = condition, self.now + timeout_s
        self._hand_to(self._next(task), task)
        self._check(task)
        return condition is None or condition()

    def sleep(self, seconds: float) -> None:
        self.wait(_never, seconds)

    def kill(self, process: Process) -> None:
        """End every task of `process` where it stands."""
        self._silence(process)
        process.dead, process.stopped = True, False
        caller = self._current
        for task in [task for task in process.tasks if task is not caller]:
            self.crash_points.add(_where(task))
            task.killer = caller
            self._hand_to(task, caller)
        if caller.process is process:
            raise Killed

    def stop(self, process: Process) -> None:
        """SIGSTOP: none of its tasks gets a turn."""
        self._silence(process)
        process.stopped = True

    def resume(self, process: Process) -> None:
        """SIGCONT."""
        process.stopped, process.silent_since = False, math.inf

    def fail(self, error: BaseException) -> None:
        """End the run with this error, the first one if there are more."""
        self._failure = self._failure or error

    def close(self) -> None:
        """End all tasks. For the director."""
        for process in {id(task.process): task.process for task in self._tasks}.values():
            if process is not self._director.process:
                self.kill(process)

    def _silence(self, process: Process) -> None:
        process.silent_since = min(process.silent_since, self.now)

    def _run(self, task: Task, work: Callable[[], object]) -> None:
        task.turn.acquire()
        try:
            if not task.process.dead:
                work()
        except Killed:
            pass
        except BaseException as error:  # noqa: BLE001 (handed to the director)
            self.fail(error)
        self._tasks.remove(task)
        task.process.tasks.remove(task)
        self._current = task.killer or self._next(None)
        self._current.turn.release()

    def _check(self, task: Task) -> None:
        if task.process.dead:
            raise Killed
        if task is self._director and self._failure is not None:
            raise self._failure
        if task is self._director and self.steps > STEPS_MAX:
            raise Stuck(f"not at rest after {STEPS_MAX} steps")

    def _hand_to(self, task: Task, me: Task) -> None:
        if task is me:
            return
        self._current = task
        task.turn.release()
        me.turn.acquire()

    def _next(self, current: Task | None) -> Task:
        self.steps += 1
        self.now += STEP_S
        if self.steps > STEPS_MAX or self._failure is not None:
            return self._director
        while True:
            running = [task for task in self._tasks if not task.process.stopped]
            ready = [task for task in running if task.is_ready(self.now)]
            if current in ready and self.random.random() < self._patience:
                return current
            if ready:
                return self.random.choice(ready)
            self.now = min(task.deadline for task in running)
            if self.now == math.inf:
                self.fail(Stuck("every task waits for another"))
                return self._director


class Tasks(Executor):
    """An executor whose calls are tasks of the process that submits them."""

    def __init__(self, world: World) -> None:
        self._world = world

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = fn(*args, **kwargs)
            except BaseException as error:
                future.set_exception(error)
                if isinstance(error, Killed):
                    raise
            else:
                future.set_result(result)

        self._world.spawn(self._world.process, run)
        return future


class Clock:
    """Stands for the module `time`."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.sleep = world.sleep

    def monotonic(self) -> float:
        return self._world.now


def _never() -> bool:
    return False


def _where(task: Task) -> str:
    """`product file:line > model file:line` of a waiting task."""
    frame: FrameType | None = sys._current_frames().get(task.thread.ident or 0)
    model = ""
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if path.parent.name in PRODUCT:
            return f"{path.name}:{frame.f_lineno} > {model}"
        if not model and path.name.startswith("model_"):
            model = f"{path.name}:{frame.f_lineno}"
        frame = frame.f_back
    return f"between calls > {model}"
