"""`make bench`: every benchmark, one after another, and build/bench.json with what each found.

Each starts what it needs and stops it, prints a table, and writes a file of its own; alone it is
`python -m tests.benchmarks.NAME`, with `--help`. The rows of the race, one an engine, stand in bench.json as `engines`.
Together they take about an hour and a half; with `--quick` ten minutes, in which nothing is warm: that tries the
benchmarks, its figures say nothing.

    python -m tests.benchmarks --quick
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.benchmarks.harness import say, write_report

BENCHMARKS = {
    "stages": "",
    "client": "--calls 50000",
    "gateway": "--seconds 2",
    "exactly_once": "--events 100000 --rounds 1",
    "restore": "--ids 400000",
    "replay": "--letters 10000",
    "latency": "--seconds 5 --idle-seconds 5",
    "growth": "--events 200000 --rounds 1 --ids 100000 --seconds 3",
    "sink": "--rows 200000 --rounds 1 --parts-seconds 5",
    "queries": "--quick",
    "page": "--rows 300000 --rounds 2",
    "race": "--events 200000 --rounds 1 --seconds 10",
}
"""Every benchmark, and what makes it quick."""
REPORT = Path("build/bench.json")


def main() -> int:
    """Entry point: exit status 1 when one failed; the others are run and reported all the same."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="only try whether they all work")
    is_quick = parser.parse_args().quick
    report: dict[str, Any] = {}
    failed: list[str] = []
    for name, quickly in BENCHMARKS.items():
        say(f"\n{name}")
        command = [sys.executable, "-m", f"tests.benchmarks.{name}", *(quickly.split() if is_quick else ())]
        if subprocess.run(command, check=False).returncode:
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
