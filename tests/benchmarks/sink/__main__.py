"""How fast the sink drains a backlog, against what ClickHouse takes at all, and against Kafka Connect.

Starts a broker and a ClickHouse of its own and puts enriched records on `scores.enriched` as the worker makes and
writes them. Four ways take turns to get them into empty tables, in another order each round:

- ceiling: a bare HTTP client that posts the very bodies that the sink posts, prepared before (`bodies.py`), over as
  many connections as the sink has plans open;
- one_connection: the same, one body after the other;
- sink: `scoreline sink` as a user starts it;
- connect: Kafka Connect with ClickHouse's connector (`connect.py`), at least once.

Then a sink takes a low and a middle rate for a minute each, and the parts that it makes are counted (`parts.py`).
Takes about eight minutes.

    python -m tests.benchmarks.sink --rows 2000000 --rounds 3

Prints tables and writes build/sink.json; exit status 1 if a table was not exactly the backlog. Rows a second are those
of all blocks behind the second, from its `inserted_at` to that of the last; CPU time is that of the client in the same
time, user and system. Aims: 90 % of the ceiling, 150,000 rows/s, 300,000 a CPU second. Other load on the machine moves
the ways alike, so trust the ratios before the speeds.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from scoreline.kafka import ensure_topics
from scoreline.settings import Settings, load_settings
from scoreline_local import stack
from scoreline_sink.plan import OPEN_PLANS_MAX
from tests.benchmarks.harness import NotAvailable, local_stack, machine, say, table, write_report
from tests.benchmarks.sink import connect
from tests.benchmarks.sink.bodies import prepare
from tests.benchmarks.sink.parts import Rate, bound_per_minute, measure
from tests.benchmarks.sink.records import preload
from tests.benchmarks.sink.turn import SINK, Turn, Way, take_turn

REPORT = Path("build/sink.json")
DATA_DIR = Path("build/bench-sink")
CONNECTOR = Path("build/clickhouse-kafka-connect")
PARTITIONS = 4
RATES = (10, 1000)
CEILINGS = {"ceiling": OPEN_PLANS_MAX, "one_connection": 1}
"""Way → its connections."""
WAYS = (*CEILINGS, "sink", "connect")


@dataclass
class Report:
    """The content of build/sink.json."""

    machine: dict[str, Any]
    rows: int
    record_bytes: int
    insert_rows_max: int
    turns: list[Turn] = field(default_factory=list[Turn])
    not_available: dict[str, str] = field(default_factory=dict[str, str])
    """Way → why this machine cannot run it."""
    rates: list[Rate] = field(default_factory=list[Rate])

    def of(self, way: str) -> list[Turn]:
        return [turn for turn in self.turns if turn.way == way]

    def ratios(self, way: str) -> list[float]:
        """The sink's speed as a multiple of another way's, round by round."""
        return [a.rows_per_s / b.rows_per_s for a, b in zip(self.of("sink"), self.of(way), strict=True)]

    def summary(self) -> dict[str, Any]:
        """Medians over the rounds."""
        ways = {
            turns[0].way: {
                "rows_per_s": round(median(turn.rows_per_s for turn in turns)),
                "rows_per_cpu_s": round(median(turn.rows_per_cpu_s for turn in turns)),
                "clickhouse_us_per_row": round(median(turn.clickhouse_us for turn in turns), 2),
                "peak_rss_mb": max(turn.peak_rss_mb for turn in turns),
                "rows_per_part": round(median(turn.rows_per_part for turn in turns)),
                "parts_per_minute": round(median(turn.parts / turn.seconds * 60 for turn in turns)),
            }
            for turns in (self.of(way) for way in WAYS)
            if turns
        }
        ratios = {f"sink_to_{way}": round(median(self.ratios(way)), 3) for way in ways if way != "sink"}
        rates = {str(rate.rows_per_s): round(rate.parts_per_minute, 1) for rate in self.rates}
        return ways | ratios | {"parts_per_minute_at_rows_per_s": rates}


def ways(settings: Settings, bodies: Path, connector: Path, report: Report) -> list[Way]:
    """What this machine can run; notes in the report what it cannot. The bodies go into that folder."""
    prepare(settings, report.rows, bodies)
    found = [Way("sink", lambda *_: SINK, True)]
    for name, connections in CEILINGS.items():
        post = (sys.executable, "-m", "tests.benchmarks.sink.bodies", str(connections), str(bodies))
        found.append(Way(name, lambda *_, post=post: post, True))
    try:
        jar = connect.connector_jar(connector)
    except NotAvailable as error:
        report.not_available["connect"] = str(error)
        say(f"connect is left out: {error}")
    else:
        found.append(Way("connect", lambda own, folder: connect.command(own, folder, jar), False))
    return found


def run(rows: int, rounds: int, insert_rows: int, parts_s: float, data_dir: Path, connector: Path) -> Report:
    """Everything, on a broker and a ClickHouse of its own, which are stopped at the end."""
    own_files = data_dir.with_name(f"{data_dir.name}-files")
    shutil.rmtree(own_files, ignore_errors=True)
    own = {"SCORELINE_PARTITIONS": str(PARTITIONS), "SCORELINE_INSERT_ROWS_MAX": str(insert_rows)}
    with local_stack(data_dir, ("kafka", "clickhouse"), own):
        settings = load_settings()
        ensure_topics(settings)
        known = preload(settings, rows)
        report = Report(machine(), rows, known.bytes // rows, settings.insert_rows_max)
        pids = {process.name: process.pid for process in stack.status(data_dir).processes if process.pid}
        choice = ways(settings, own_files / "bodies", connector, report)
        for number in range(rounds):
            for way in choice[number % len(choice) :] + choice[: number % len(choice)]:
                name = f"{way.name}_{number}"
                database = {"clickhouse_database": f"scoreline_{name}"}
                turn = take_turn(settings.model_copy(update=database), way, known, pids, own_files / name)
                report.turns.append(turn)
                wrong = f"; WRONG: {'; '.join(turn.wrong)}" if turn.wrong else ""
                say(f"{name}: {turn.rows_per_s:,.0f} rows/s, {turn.rows_per_cpu_s:,.0f} a CPU second{wrong}")
        report.rates.extend(_rates(settings, parts_s, own_files, report))
    shutil.rmtree(own_files)
    return report


def _rates(settings: Settings, parts_s: float, folder: Path, report: Report) -> Iterator[Rate]:
    for rate in RATES if parts_s else ():
        own = {"topic_prefix": f"rate-{rate}.", "clickhouse_database": f"scoreline_rate_{rate}"}
        yield measure(settings.model_copy(update=own), rate, parts_s, folder / f"rate-{rate}")
    for turn in report.of("sink")[-1:]:
        yield Rate(turn.rows_per_s, turn.seconds, turn.rows, turn.parts, bound_per_minute(settings, turn.rows_per_s))


def show(report: Report) -> str:
    """The report as tables for people."""
    found = report.summary()
    head = ("", "rows/s", "a CPU second", "ClickHouse CPU", "peak memory", "rows a part", "sink's ratio")
    rows = [head]
    for way in WAYS:
        if way not in found:
            rows.append((way, *["not available"] + [""] * (len(head) - 2)))
            continue
        of = found[way]
        ratio = f"{found[f'sink_to_{way}']:.2f}" if way != "sink" else ""
        speeds = (f"{of['rows_per_s']:,}", f"{of['rows_per_cpu_s']:,}", f"{of['clickhouse_us_per_row']} µs/row")
        rows.append((way, *speeds, f"{of['peak_rss_mb']} MB", f"{of['rows_per_part']:,}", ratio))
    parts = [("rows/s", "parts a minute", "at the most")]
    parts += [
        (f"{rate.rows_per_s:,.0f}", f"{rate.parts_per_minute:,.0f}", f"{rate.bound_per_minute:,.0f}")
        for rate in report.rates
    ]
    return f"{table(rows)}\n\n{table(parts)}"


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2_000_000, help="records of the backlog (default 2000000)")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each way (default 3)")
    rows_max = Settings().insert_rows_max
    parser.add_argument("--insert-rows", type=int, default=rows_max, help=f"rows an insert (default {rows_max})")
    parser.add_argument("--parts-seconds", type=float, default=60.0, help="how long each rate is kept (default 60)")
    parser.add_argument("--connector", type=Path, default=CONNECTOR, help=f"connector's folder (default {CONNECTOR})")
    parser.add_argument("--data-dir", type=Path, default=DATA_DIR, help=f"emptied folder (default {DATA_DIR})")
    given = parser.parse_args()
    folders = given.data_dir.absolute(), given.connector.absolute()
    report = run(given.rows, given.rounds, given.insert_rows, given.parts_seconds, *folders)
    say(show(report))
    write_report(REPORT, asdict(report) | {"summary": report.summary()})
    return 1 if any(turn.wrong for turn in report.turns) else 0


if __name__ == "__main__":
    sys.exit(main())
