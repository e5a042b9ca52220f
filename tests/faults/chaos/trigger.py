"""How a campaign tells one process at which step to die, and learns that it did: two files a process.

The campaign arms points in `<name>.armed`; the process takes the first of them away when it gets there, adds a line to
`hits` and kills itself. Points that follow are for its next lives. Disarming and dying compete for one file, so that a
point which was disarmed is never hit.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn


@dataclass(frozen=True)
class Hit:
    """One death at a named point."""

    process: str
    point: str
    at: float
    """Unix seconds."""


class Triggers:
    """The campaign's side: the triggers of all processes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def arm(self, process: str, *points: str) -> None:
        """`process` shall die at these points, one a life."""
        part = self.folder / f"{process}.part"
        part.write_text("\n".join(points))
        part.replace(self._armed(process))

    def disarm(self, process: str) -> None:
        self._armed(process).unlink(missing_ok=True)

    def is_armed(self, process: str) -> bool:
        return self._armed(process).exists()

    def hits(self) -> list[Hit]:
        """Every death at a point so far, in order."""
        try:
            lines = (self.folder / "hits").read_text().splitlines()
        except FileNotFoundError:
            return []
        return [Hit(**json.loads(line)) for line in lines]

    def _armed(self, process: str) -> Path:
        return self.folder / f"{process}.armed"


@dataclass(frozen=True)
class Trigger:
    """The process's own side."""

    folder: Path
    process: str

    def reach(self, point: str, before: Callable[[], object] = lambda: None) -> None:
        """Die here if `point` is the next one armed; do `before` first."""
        if self.take(point):
            before()
            self.die(point)

    def take(self, point: str) -> bool:
        """Whether to die at `point`; if so, the caller has to see to it."""
        armed = self.folder / f"{self.process}.armed"
        try:
            if armed.read_text().splitlines()[:1] != [point]:
                return False
            armed.rename(self._taken)
        except FileNotFoundError:
            return False
        return True

    def die(self, point: str) -> NoReturn:
        """Let the campaign know, and kill this process with no chance to tidy up."""
        later = self._taken.read_text().splitlines()[1:]
        if later:
            Triggers(self.folder).arm(self.process, *later)
        line = json.dumps({"process": self.process, "point": point, "at": time.time()}) + "\n"
        file = os.open(self.folder / "hits", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(file, line.encode())
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("a killed process does not get here")

    @property
    def _taken(self) -> Path:
        return self.folder / f"{self.process}.taken"
