"""`scoreline worker` or `scoreline sink`, with points to die at, and broken on request.

CHAOS_DIR=… CHAOS_NAME=worker-2 [CHAOS_BREAK=…] python -m tests.faults.chaos.victim worker
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from scoreline import cli
from tests.documents import ROOT
from tests.faults.chaos.breaks import BREAKS
from tests.faults.chaos.points import instrument_sink, instrument_worker
from tests.faults.chaos.trigger import Trigger

_INSTRUMENT = {"worker": instrument_worker, "sink": instrument_sink}


def command(process: str) -> tuple[str, ...]:
    """What runs `process`, `worker` or `sink`, as a victim."""
    return (sys.executable, "-m", "tests.faults.chaos.victim", process)


def victim_environment(name: str, folder: Path, broken: str | None) -> dict[str, str]:
    """What a victim has in its environment besides its settings."""
    return {
        "CHAOS_NAME": name,
        "CHAOS_DIR": str(folder),
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
        **({"CHAOS_BREAK": broken} if broken else {}),
    }


def main() -> None:
    """Entry point."""
    process = sys.argv[1]
    _INSTRUMENT[process](Trigger(Path(os.environ["CHAOS_DIR"]), os.environ["CHAOS_NAME"]))
    broken = BREAKS.get(os.environ.get("CHAOS_BREAK", ""))
    if broken is not None and broken.process == process:
        broken.install()
    cli.main()


if __name__ == "__main__":
    main()
