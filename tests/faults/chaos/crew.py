"""Workers and sinks that a campaign adds to those of the stack: started, started again when they die, let go."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from scoreline_local.datadir import DataDir
from scoreline_local.plan import ProcessSpec
from tests.documents import ROOT
from tests.faults.chaos.victim import victim_environment

SIZE_MAX = 3
"""Processes of one kind, that of the stack included."""
RESTART_S = 0.25
SESSION_S = 8.0
"""Shorter than the default: one that is let go without a word leaves its partitions idle for so long."""
STOP_S_MAX = 30.0


@dataclass
class Member:
    """One process and how to start it again."""

    name: str
    argv: tuple[str, ...]
    env: dict[str, str]
    ready_file: Path
    log: Path
    process: subprocess.Popen[bytes] | None = None
    restart_at: float = 0.0

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process is not None and self.process.poll() is None else None


@dataclass
class Crew:
    """All that are there now."""

    data: DataDir
    folder: Path
    triggers: Path
    broken: str | None
    members: dict[str, Member] = field(default_factory=dict[str, Member])
    ends: Counter[str] = field(default_factory=Counter[str])
    """How those ended that the campaign neither killed nor stopped."""

    def hire(self, like: ProcessSpec, *, static: bool) -> str | None:
        """One more of this kind, a static member of its group or not; None when there are enough."""
        free = [f"{like.name}-{number}" for number in range(2, SIZE_MAX + 1)]
        name = next((name for name in free if name not in self.members), None)
        if name is None:
            return None
        env = {**os.environ, **like.env, **victim_environment(name, self.triggers, self.broken)}
        env["SCORELINE_SESSION_TIMEOUT_S"] = str(SESSION_S)
        env["SCORELINE_STATE_DIR"] = str(self.folder / name)
        env["SCORELINE_READY_FILE"] = str(self.data.ready_file(name))
        # its port is the one that it is like
        env.pop("SCORELINE_OBSERVE_PORT", None)
        env.pop("SCORELINE_INSTANCE_ID", None)
        if static:
            env["SCORELINE_INSTANCE_ID"] = f"chaos-{name}"
        self.members[name] = Member(name, like.argv, env, self.data.ready_file(name), self.data.log(name))
        self.tend()
        return name

    def tend(self) -> None:
        """Start those that are not running, a moment after their death."""
        for member in self.members.values():
            if member.process is not None and member.process.poll() is None:
                continue
            now = time.monotonic()
            if member.process is not None:
                code = member.process.returncode
                if code >= 0:
                    self.ends[f"{member.name.partition('-')[0]} exit status {code}"] += 1
                member.process, member.restart_at = None, now + RESTART_S
            elif now >= member.restart_at:
                member.ready_file.unlink(missing_ok=True)
                with member.log.open("ab") as log:
                    member.process = subprocess.Popen(
                        member.argv,
                        cwd=ROOT,
                        env=member.env,
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=log,
                        start_new_session=True,
                    )

    def dismiss(self, name: str, number: signal.Signals) -> None:
        """End one for good, by SIGTERM or SIGKILL."""
        member = self.members.pop(name, None)
        if member is None or member.process is None:
            return
        member.process.send_signal(signal.SIGCONT)
        member.process.send_signal(number)
        try:
            member.process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            self.ends[f"{name.partition('-')[0]} did not stop on {number.name}"] += 1
            member.process.kill()
            member.process.wait()

    def dismiss_all(self, number: signal.Signals) -> None:
        for name in list(self.members):
            self.dismiss(name, number)
