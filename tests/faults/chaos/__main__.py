"""The command: `python -m tests.faults.chaos`."""

from __future__ import annotations

import argparse
import logging
import math
import signal
import sys
import time
from pathlib import Path

from tests.faults import chaos
from tests.faults.chaos.breaks import BREAKS
from tests.faults.chaos.campaign import Bounds, run, write
from tests.faults.chaos.kinds import KINDS

REPORT = Path("build/chaos.json")
SECONDS = 300.0
SECONDS_MAX = 24 * 60 * 60.0


def main() -> int:
    """Entry point: exit status 1 when a score was lost, doubled or unaccounted for."""
    parser = argparse.ArgumentParser(description=chaos.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--seconds", type=float, help=f"default {SECONDS:.0f}, or until --kills are reached")
    parser.add_argument("--kills", type=int, help="end after so many kills")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS), metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("--break", dest="broken", choices=BREAKS, help="break the protocol: the account must notice")
    parser.add_argument("--brokers", type=int, choices=(1, 3), default=3)
    parser.add_argument("--data-dir", type=Path, default=Path("build/chaos"))
    options = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):
        # also where the shell that started it in the background has it ignored
        signal.signal(number, signal.default_int_handler)
    logging.getLogger("clickhouse_connect").setLevel(logging.CRITICAL)

    def say(text: str) -> None:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()

    kills = options.kills or math.inf
    bounds = Bounds(
        options.seconds or (SECONDS_MAX if options.kills else SECONDS), lambda report: report.kills.total() >= kills
    )
    say(f"seed {options.seed}, {options.brokers} broker(s)")
    report = run(
        options.seed,
        bounds,
        options.data_dir,
        say,
        brokers=3 if options.brokers == 3 else 1,
        kinds=tuple(options.kinds),
        broken=options.broken,
    )
    say(write(report, REPORT))
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main())
