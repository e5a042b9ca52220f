"""`make bench`: every benchmark, one after another, and build/bench.json with what each found.

Each starts what it needs and stops it, prints a table, and writes a file of its own; alone it is
<<<<<<< HEAD
`python -m tests.benchmarks.NAME`, with `--help`. The rows of the race, one an engine, stand in bench.json as `engines`.
Together they take well over half an hour.
=======
`python -m tests.benchmarks.NAME`, with `--help`. Together they take about three quarters of an hour.
>>>>>>> a1b2e72 (Count growth among the benchmarks)
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.benchmarks.harness import say, write_report

BENCHMARKS = ("stages", "client", "gateway", "exactly_once", "restore", "replay", "latency", "growth", "sink", "race")
REPORT = Path("build/bench.json")


def main() -> int:
    """Entry point: exit status 1 when one failed; the others are run and reported all the same."""
    report: dict[str, Any] = {}
    failed: list[str] = []
    for name in BENCHMARKS:
        say(f"\n{name}")
        if subprocess.run([sys.executable, "-m", f"tests.benchmarks.{name}"], check=False).returncode:
            failed.append(name)
        else:
            report[name] = json.loads(REPORT.with_name(f"{name}.json").read_text())
    if "race" in report:
        report = {"engines": report["race"].pop("engines")} | report
    write_report(REPORT, report)
    if failed:
        say(f"failed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
