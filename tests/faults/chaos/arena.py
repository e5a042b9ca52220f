"""The running parts of a campaign: the stack with its worker and sink as victims, proxies before Kafka, a crew."""

from __future__ import annotations

import os
import re
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psutil

from scoreline.settings import Settings, load_settings
from scoreline_local import stack
from scoreline_local.datadir import adopt, data_dir
from scoreline_local.plan import Backoff, Plan, ProcessSpec, StackState, State
from scoreline_local.recipe import PARTS, Brokers, make_plan
from scoreline_local.settings import LocalSettings
from tests.faults.chaos.crew import Crew
from tests.faults.chaos.proxy import Proxy
from tests.faults.chaos.trigger import Triggers
from tests.faults.chaos.victim import command, victim_environment

BACKOFF = Backoff(most_s=1.0)
"""A campaign kills far more often than anything dies; the supervisor's patience is not what it measures."""
DEATH_S_MAX = 10.0
_END = re.compile(r"WARNING (worker|sink): (exit status \d+);")


@dataclass(frozen=True)
class Victim:
    """A process that is ready and not frozen."""

    name: str
    pid: int

    @property
    def component(self) -> str:
        """`worker`, `sink`, `kafka` or `clickhouse`."""
        return self.name.partition("-")[0]


class Arena:
    """One stack in a folder of its own, emptied before, stopped at the end."""

    def __init__(self, folder: Path, brokers: Brokers, broken: str | None, say: Callable[[str], None]) -> None:
        self._say = say
        self.frozen: set[str] = set()
        """Names of processes that are stopped now."""
        self.folder = folder.resolve()
        self.data = data_dir(self.folder / "stack")
        stack.down(self.data.root, lambda _: None)
        shutil.rmtree(self.folder / "parts", ignore_errors=True)
        self.triggers = Triggers(self.folder / "parts" / "triggers")
        stack.fresh(self.data.root)
        adopt(self.data)
        local = LocalSettings(data_dir=self.data.root, kafka_port=0, clickhouse_port=0, gateway_port=0, ui_port=0)
        plan = make_plan(self.data, local, brokers, tuple(part for part in PARTS if part not in ("gateway", "ui")), say)
        assert plan.endpoints.kafka is not None
        assert plan.endpoints.clickhouse is not None
        server = {f"clickhouse_{name}": value for name, value in plan.endpoints.clickhouse.model_dump().items()}
        self.settings: Settings = load_settings(kafka=plan.endpoints.kafka, replication_factor=brokers, **server)
        self.proxy = Proxy(plan.endpoints.kafka.split(","))
        self.crew = Crew(self.data, self.folder / "parts", self.triggers.folder, broken)
        self.plan = self._with_victims(plan, self.proxy.start(), broken)

    def _with_victims(self, plan: Plan, bootstrap: str, broken: str | None) -> Plan:
        def as_victim(spec: ProcessSpec) -> ProcessSpec:
            if spec.name not in ("worker", "sink"):
                return spec
            harness = victim_environment(spec.name, self.triggers.folder, broken)
            env = {**spec.env, **harness, "SCORELINE_KAFKA": bootstrap}
            return spec.model_copy(update={"argv": command(spec.name), "env": env})

        specs = tuple(as_victim(spec) for spec in plan.processes)
        return plan.model_copy(update={"processes": specs, "backoff": BACKOFF})

    def __enter__(self) -> Self:
        stack.launch(self.plan, self._say)
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.crew.dismiss_all(signal.SIGKILL)
        finally:
            stack.down(self.data.root, self._say)
            self.proxy.stop()

    def spec(self, name: str) -> ProcessSpec:
        return next(spec for spec in self.plan.processes if spec.name == name)

    @property
    def brokers(self) -> list[str]:
        return [spec.name for spec in self.plan.processes if spec.name.startswith("kafka")]

    def victims(self) -> list[Victim]:
        """Everything that can be hit now."""
        state = StackState.model_validate_json(self.data.state.read_text())
        running = [(p.name, p.pid) for p in state.processes if p.state is State.READY and not p.runs_once]
        running += [(member.name, member.pid) for member in self.crew.members.values() if member.ready_file.exists()]
        return [Victim(name, pid) for name, pid in running if pid is not None and name not in self.frozen]

    def is_whole(self) -> bool:
        """Whether everything of the stack is ready, nobody frozen and no crew there."""
        names = {victim.name for victim in self.victims()}
        return not self.crew.members and names >= {spec.name for spec in self.plan.processes if not spec.runs_once}

    def ends(self) -> Counter[str]:
        """How workers and sinks ended that nobody killed."""
        logs = (self.data.logs / name for name in ("supervisor.log.1", "supervisor.log"))
        text = "".join(log.read_text(errors="replace") for log in logs if log.exists())
        return Counter(f"{name} {status}" for name, status in _END.findall(text)) + self.crew.ends


def send(pid: int, number: signal.Signals) -> bool:
    """A signal; whether there was anybody to get it."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def await_death(pid: int) -> None:
    """Return once nothing of a killed process can write any more."""
    deadline = time.monotonic() + DEATH_S_MAX
    while _lives(pid):
        assert time.monotonic() < deadline, f"process {pid} does not die"
        time.sleep(0.01)


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
