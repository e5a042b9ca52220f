"""What exactly-once costs: the worker with its transactions against the same worker without them.

Both drain the same number of preloaded events (valid, all ids new, about 370 bytes) from a broker of the benchmark's
own. `transactions` is the product; `plain` writes the same records with an idempotent producer, flushes, and commits
the offset with a consumer, which is at-least-once. They take turns, each on fresh topics, and each pair of turns gives
one ratio; which of a pair goes first changes from pair to pair. The first pair warms the broker up and is not counted.
Takes about five minutes.

    python -m tests.benchmarks.exactly_once --events 500000 --rounds 3

Prints a table and writes build/exactly_once.json. Aimed at: at most 15 % dearer. The events per second are the
worker's, from its first commit to its last, by the clock and by its CPU time (user and system). Other load on the
machine moves both ways alike, so trust the ratio before the speeds.
"""

from __future__ import annotations

import argparse
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import mean, median
from typing import Any

from scoreline.kafka import ensure_topics
from tests.benchmarks.draining import Drained, drain, events, preload
from tests.benchmarks.harness import broker, delete_topics, machine, say, table, write_report

REPORT = Path("build/exactly_once.json")
DATA_DIR = Path("build/bench-exactly-once")
WAYS = ("transactions", "plain")
PARTITIONS = 4
DEARER_AIM = 0.15


@dataclass(frozen=True, kw_only=True)
class Turn(Drained):
    """One worker's life."""

    way: str
    counted: bool
    load: float


@dataclass
class Report:
    """The content of build/exactly_once.json."""

    machine: dict[str, Any]
    events: int
    event_bytes: int
    turns: list[Turn] = field(default_factory=list[Turn])

    def of(self, way: str) -> list[Turn]:
        return [turn for turn in self.turns if turn.way == way and turn.counted]

    def dearer(self) -> dict[str, list[float]]:
        """By how much each counted pair's events cost more with transactions than without; 0.1 is a tenth more."""
        pairs = list(zip(self.of("transactions"), self.of("plain"), strict=True))
        return {
            "clock": [round(plain.events_per_s / exact.events_per_s - 1, 3) for exact, plain in pairs],
            "cpu": [round(plain.events_per_cpu_s / exact.events_per_cpu_s - 1, 3) for exact, plain in pairs],
        }

    def summary(self) -> dict[str, Any]:
        """Medians over the counted turns, and the ratios' spread."""
        speeds = {
            way: {
                "events_per_s": round(median(turn.events_per_s for turn in self.of(way))),
                "events_per_cpu_s": round(median(turn.events_per_cpu_s for turn in self.of(way))),
                "events_per_commit": round(mean(turn.events / turn.commits for turn in self.of(way))),
            }
            for way in WAYS
        }
        dearer = {
            f"dearer_by_{by}": {"median": median(ratios), "min": min(ratios), "max": max(ratios)}
            for by, ratios in self.dearer().items()
        }
        return speeds | dearer


def run(count: int, rounds: int, data_dir: Path) -> Report:
    """All turns, on a broker of their own, which is stopped at the end."""
    report = Report(machine(), count, 0)
    with broker(data_dir, PARTITIONS) as bare:
        for number in range(rounds + 1):
            for way in WAYS if number % 2 else reversed(WAYS):
                own = {"topic_prefix": f"{way}-{number}.", "state_dir": data_dir / "state"}
                settings = bare.model_copy(update=own)
                ensure_topics(settings)
                report.event_bytes = preload(settings, events(range(count)))
                shutil.rmtree(settings.state_dir, ignore_errors=True)
                drained = drain(settings, count, data_dir, way)
                turn = Turn(way=way, counted=number > 0, load=machine()["load_1_min"], **asdict(drained))
                report.turns.append(turn)
                what = f"round {number}" if number else "warming up"
                say(f"{what}, {way}: {turn.events_per_s:,.0f} events/s, {turn.events_per_cpu_s:,.0f} by CPU")
                delete_topics(settings)
    return report


def show(report: Report) -> str:
    """The report as a table for people."""
    found = report.summary()
    rows = [("", *WAYS, "dearer by", "spread")]
    for title, figure, ratio in (
        ("events/s", "events_per_s", "dearer_by_clock"),
        ("events per CPU second", "events_per_cpu_s", "dearer_by_cpu"),
    ):
        spread = found[ratio]
        speeds = [f"{found[way][figure]:,}" for way in WAYS]
        rows.append((title, *speeds, f"{spread['median']:.1%}", f"{spread['min']:.1%} – {spread['max']:.1%}"))
    rows.append(("events per commit", *(f"{found[way]['events_per_commit']:,}" for way in WAYS), "", ""))
    return f"{table(rows)}\naimed at: at most {DEARER_AIM:.0%} dearer"


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=500_000, help="events of one turn (default 500000)")
    parser.add_argument("--rounds", type=int, default=3, help="counted turns of each way (default 3)")
    parser.add_argument("--data-dir", type=Path, default=DATA_DIR, help=f"emptied folder (default {DATA_DIR})")
    options = parser.parse_args()
    report = run(options.events, options.rounds, options.data_dir.absolute())
    say(show(report))
    write_report(REPORT, asdict(report) | {"summary": report.summary(), "dearer": report.dearer()})


if __name__ == "__main__":
    main()
