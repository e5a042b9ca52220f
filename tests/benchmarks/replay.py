"""How fast dead letters are sent again, and are rows.

Starts a whole pipeline of its own, emits scores of a config that does not exist, makes the config when all of them are
dead letters in ClickHouse, and lets `scoreline dlq replay` send them. Takes about a minute.

    python -m tests.benchmarks.replay --letters 200000

Prints a table and writes build/replay.json. The command shares the machine with broker, worker, sink and ClickHouse,
which take the replayed scores meanwhile.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from scoreline.client import Client
from scoreline.configs import ScoreConfig
from scoreline.events import DataType
from scoreline.settings import load_settings
from scoreline.stores import ConfigStore
from scoreline_local.recipe import PARTS
from scoreline_sink.clickhouse import ClickHouse
from tests.benchmarks.harness import local_stack, machine, say, table, write_report
from tests.support import eventually

REPORT = Path("build/replay.json")
DATA_DIR = Path("build/bench-replay")
LETTERS_PER_S_MIN = 500
"""A pipeline that is slower than this has stopped."""
NO_BREAKER = {"SCORELINE_REJECT_RUN_MAX": "0", "SCORELINE_REJECT_RATIO_MAX": "0"}
CONFIG = "made-later"


@dataclass
class Report:
    """The content of build/replay.json."""

    machine: dict[str, Any]
    letters: int
    replay_s: float
    """From the start of the command to its end: read, judged again, sent, acknowledged, and written down as done."""
    replay_cpu_s: float
    stored_s: float
    """From the start of the command until each letter's score is a row."""

    def summary(self) -> dict[str, int]:
        """Letters a second."""
        return {
            "replayed_per_s": round(self.letters / self.replay_s),
            "replayed_per_cpu_s": round(self.letters / self.replay_cpu_s),
            "stored_per_s": round(self.letters / self.stored_s),
        }


def run(letters: int, data_dir: Path) -> Report:
    """The whole benchmark on a pipeline of its own, which is stopped at the end."""
    with local_stack(data_dir, PARTS, NO_BREAKER):
        settings = load_settings()
        clickhouse = ClickHouse(settings)
        with Client(settings) as client:
            for number in range(letters):
                client.create_score(
                    name="accuracy", value=number % 100 / 100, trace_id=f"trace-{number}", config_id=CONFIG
                )
        await_rows(clickhouse, "rejected_scores", letters)
        say(f"{letters:,} dead letters are in ClickHouse")
        ConfigStore(settings).put([ScoreConfig(id=CONFIG, name="accuracy", data_type=DataType.NUMERIC, min=0, max=1)])
        cpu_s, started = children_cpu_s(), time.perf_counter()
        answer = replay()
        replay_s, cpu_s = time.perf_counter() - started, children_cpu_s() - cpu_s
        if answer["sent"] != letters:
            raise RuntimeError(f"not every letter was sent: {answer}")
        await_rows(clickhouse, "scores", letters)
        report = Report(machine(), letters, replay_s, cpu_s, time.perf_counter() - started)
        clickhouse.close()
        return report


def replay() -> dict[str, Any]:
    """What `scoreline dlq replay` says that it did."""
    command = [sys.executable, "-m", "scoreline.cli", "dlq", "replay", "--reason", "unknown_config", "--yes", "--json"]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def await_rows(clickhouse: ClickHouse, name: str, count: int) -> None:
    """Return once a table holds so many rows."""
    asked = f"SELECT count() FROM {clickhouse.database}.{name}"
    eventually(lambda: clickhouse.query(asked) == [(count,)], f"{count} rows in {name}", 60 + count / LETTERS_PER_S_MIN)


def children_cpu_s() -> float:
    """User and system time of the processes that this one has waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def show(report: Report) -> str:
    """The report as a table for people."""
    found = report.summary()
    return table(
        [
            (f"{report.letters:,} dead letters", "a second"),
            ("replayed, by the clock", f"{found['replayed_per_s']:,}"),
            ("replayed, by the command's CPU", f"{found['replayed_per_cpu_s']:,}"),
            ("replayed and stored, by the clock", f"{found['stored_per_s']:,}"),
        ]
    )


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--letters", type=int, default=200_000, help="dead letters (default 200000)")
    parser.add_argument("--data-dir", type=Path, default=DATA_DIR, help=f"emptied folder (default {DATA_DIR})")
    options = parser.parse_args()
    report = run(options.letters, options.data_dir.absolute())
    say(show(report))
    write_report(REPORT, asdict(report) | {"summary": report.summary()})


if __name__ == "__main__":
    main()
