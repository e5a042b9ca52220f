"""What a supervisor shall run, as data, and what is known of it while it runs."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field, model_validator


class _Frozen(BaseModel):
    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid")


class ReadyWhen(StrEnum):
    """How a process shows that those which need it may start."""

    DONE = "done"
    """It has ended with status 0: a step that runs once."""
    STARTED = "started"
    FILE = "file"
    """The file `SCORELINE_READY_FILE` exists: the process makes it when it can work and removes it when it cannot."""
    HTTP = "http"
    """`http://<address>/ping` answers 200."""
    BROKER = "broker"
    """The Kafka broker at this address is a member of its cluster and answers metadata requests."""


class ProcessSpec(_Frozen):
    """One process: how to start it, what must be ready before, when it is ready itself."""

    name: str
    argv: tuple[str, ...] = Field(min_length=1)
    env: dict[str, str] = Field(default_factory=dict[str, str], repr=False)
    """Added to the supervisor's own environment."""
    needs: tuple[str, ...] = ()
    ready: ReadyWhen = ReadyWhen.STARTED
    address: str = ""
    """`host:port` that HTTP and BROKER ask."""
    client: dict[str, str] = Field(default_factory=dict[str, str])
    """librdkafka's options for asking BROKER: where it wants proof, the files that give it."""
    stop_s: float = 20.0
    """How long it may take from SIGTERM to its end before it is killed."""

    @property
    def runs_once(self) -> bool:
        return self.ready is ReadyWhen.DONE


class Backoff(_Frozen):
    """How long to wait before a restart: doubled with every death in a row, up to a bound."""

    first_s: float = 0.25
    most_s: float = 15.0
    healthy_s: float = 5.0
    """A process that was ready for this long has recovered: its next death counts as the first."""

    def deaths(self, before: int, ready_s: float) -> int:
        """Deaths in a row, after one that followed `ready_s` of being ready."""
        return 1 if ready_s >= self.healthy_s else before + 1

    def delay_s(self, deaths: int) -> float:
        """The wait after this many deaths in a row."""
        return min(self.first_s * 2.0 ** min(deaths - 1, 32), self.most_s)


class ClickHouseEndpoint(_Frozen):
    """Where ClickHouse answers HTTP, and for whom."""

    host: str
    port: int
    user: str
    password: str = Field(repr=False)
    database: str


class Endpoints(_Frozen):
    """Where the parts of a stack answer; None for a part that is not in it."""

    kafka: str | None = None
    """Bootstrap servers, `host:port[,host:port…]`; of a secured stack those that want a password."""
    admin: dict[str, str] = Field(default_factory=dict[str, str])
    """Of a secured stack, the settings by which its owner reaches Kafka: paths of files, no secrets."""
    clickhouse: ClickHouseEndpoint | None = None
    gateway: str | None = None
    """Base URL of the gateway."""
    ui: str | None = None
    """Base URL of the page and the API of the read side."""
    observe: dict[str, str] = Field(default_factory=dict[str, str])
    """Part → base URL of its /metrics, /healthz and /readyz."""
    topic_prefix: str = ""

    @property
    def environment(self) -> dict[str, str]:
        """The settings by which any scoreline process reaches this stack."""
        env: dict[str, str] = {}
        if self.kafka:
            env |= {"SCORELINE_KAFKA": self.kafka, **self.admin}
        if self.clickhouse:
            fields = {**self.clickhouse.model_dump(), "secure": "false"}
            env |= {f"SCORELINE_CLICKHOUSE_{name.upper()}": str(value) for name, value in fields.items()}
        return env


class Plan(_Frozen):
    """Everything a supervisor needs to know."""

    data_dir: Path
    processes: tuple[ProcessSpec, ...]
    endpoints: Endpoints = Endpoints()
    backoff: Backoff = Backoff()
    start_s: float = 120.0
    """How long all may take to become ready before the start counts as failed."""
    start_deaths_max: int = 3
    """Deaths in a row that make the start fail; once all have been ready, a process is restarted for ever."""
    log_bytes_max: int = 10_000_000
    """A longer log file is put aside as `<name>.log.1`, replacing the one before."""

    @model_validator(mode="after")
    def _needs_come_before(self) -> Plan:
        seen: set[str] = set()
        for spec in self.processes:
            if not seen.issuperset(spec.needs) or spec.name in seen:
                raise ValueError(f"{spec.name}: must be unique and come after what it needs ({', '.join(spec.needs)})")
            seen.add(spec.name)
        return self


class State(StrEnum):
    """Of one process."""

    WAITING = "waiting"
    """What it needs is not ready yet."""
    STARTING = "starting"
    READY = "ready"
    BACKOFF = "backoff"
    """It died and is restarted after a wait."""
    DONE = "done"
    """It runs once and has succeeded."""
    STOPPED = "stopped"
    FAILED = "failed"


class Phase(StrEnum):
    """Of the whole stack."""

    STARTING = "starting"
    READY = "ready"
    """All have been ready; from now on what dies is restarted."""
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"
    """The start failed and everything was stopped."""


class ProcessState(_Frozen):
    """What is known of one process."""

    name: str
    state: State = State.WAITING
    runs_once: bool = False
    pid: int | None = None
    created_at: float | None = None
    """When the process with this pid was made, Unix seconds: tells it from a later one with the same pid."""
    restarts: int = 0
    ready_after_s: float | None = None
    """From the start of the stack until it was ready for the first time."""


class StackState(_Frozen):
    """What is known of a stack; the supervisor writes it on every change."""

    phase: Phase
    supervisor_pid: int
    supervisor_created_at: float
    endpoints: Endpoints
    processes: tuple[ProcessState, ...]
    failed: str | None = None
    """The process for which the start failed."""
    error: str | None = None
    """What happened to it."""

    def process(self, name: str) -> ProcessState:
        """The process of this name."""
        return next(process for process in self.processes if process.name == name)


def stop_waves(processes: tuple[ProcessSpec, ...]) -> list[list[str]]:
    """Names in the order of stopping: each wave is needed by none that is still running."""
    left = {spec.name: spec for spec in processes}
    waves: list[list[str]] = []
    while left:
        needed = {name for spec in left.values() for name in spec.needs}
        wave = [name for name in left if name not in needed]
        waves.append(wave)
        for name in wave:
            del left[name]
    return waves
