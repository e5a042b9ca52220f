"""How long questions take on a hundred million scores, and what a score takes on disk.

Starts a ClickHouse of its own, makes scores in the real tables by SQL (`scores.sql`), waits for the merges, asks each
question of `questions.py` warm, and the rollups' questions once more of the rows alone, to compare the answers.
Needs 15 GB of disk for a hundred million; takes about twelve minutes on two cores.

    python -m tests.benchmarks.queries --rows 100000000

Prints a table and writes build/queries.json; exit status 1 if a rollup differed from its rows. Milliseconds are the
median from the request to the last row at the client; no cache of conditions or results is used. Aims: 100 ms for what
the rollups answer, 50 ms for lookups by an id, 2 s for anything over a month.
"""

from __future__ import annotations

import argparse
import math
import re
import sys
import time
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from threading import Event
from typing import Any

import clickhouse_connect

from scoreline.settings import Settings, load_settings
from scoreline_sink.schema import migrate
from tests.benchmarks.harness import local_stack, machine, say, table, write_report
from tests.benchmarks.queries.questions import EXAMPLE, IDS, NAME, PROJECT, QUESTIONS, ROLLUP_MS, Question, parameters
from tests.support import eventually

REPORT = Path("build/queries.json")
DATA_DIR = Path("build/bench-queries")
BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
DAYS = 180
CHUNK_ROWS = 2_500_000
ROUNDS = 9
MERGES_S = 900.0
NO_CACHES = {"use_query_condition_cache": 0, "use_query_cache": 0}
_READ = re.compile(r"ReadFromMergeTree \((?:\w+\.)?(\w+)\)|^\s*Name: (\w+)")
_driver: Any = clickhouse_connect


@dataclass
class Timed:
    """One question."""

    name: str
    aim_ms: int
    ms: float
    rows_read: int
    bytes_read: int
    answer_rows: int
    read_from: str
    """What of the table: its rows (`scores`) or projections."""
    agrees: bool
    """Whether the rows alone give the same answer; True where that was not asked."""


@dataclass
class Report:
    """The content of build/queries.json."""

    machine: dict[str, Any]
    rows: int
    days: int
    load_s: float
    """Until the last row was in."""
    merges_s: float
    """After that, until no merge was left."""
    parts: int
    bytes_per_row: float
    """Of everything on disk: columns, primary index, projections, skip indexes."""
    columns: dict[str, float] = field(default_factory=dict[str, float])
    """Column → bytes a row."""
    projections: dict[str, float] = field(default_factory=dict[str, float])
    """Projection → bytes a row of the table."""
    questions: list[Timed] = field(default_factory=list[Timed])

    def summary(self) -> dict[str, Any]:
        return {question.name: round(question.ms, 1) for question in self.questions} | {
            "bytes_per_row": self.bytes_per_row,
            "missed": [question.name for question in self.questions if question.ms > question.aim_ms],
        }


class Asker:
    """A connection as an analyst has it."""

    def __init__(self, settings: Settings) -> None:
        self.client = _driver.get_client(
            host=settings.clickhouse_host,
            port=settings.clickhouse_port,
            username=settings.clickhouse_user,
            password=settings.clickhouse_password.get_secret_value(),
            database=settings.clickhouse_database,
            send_receive_timeout=600,
            query_retries=0,
        )

    def rows(self, sql: str, values: dict[str, Any] | None = None, **settings: Any) -> list[tuple[Any, ...]]:
        return self.client.query(sql, parameters=values, settings=settings).result_rows

    def time(self, question: Question, values: dict[str, str]) -> Timed:
        self.rows(question.sql, values, **NO_CACHES)
        times: list[float] = []
        for _ in range(ROUNDS):
            start = time.perf_counter()
            answer = self.client.query(question.sql, parameters=values, settings=NO_CACHES)
            times.append((time.perf_counter() - start) * 1000)
        plan = "\n".join(line for (line,) in self.rows(f"EXPLAIN projections = 1 {question.sql}", values))
        read = dict.fromkeys(a or b for a, b in re.findall(_READ.pattern, plan, re.MULTILINE))
        is_rollup = question.aim_ms == ROLLUP_MS
        alone = self.rows(question.sql, values, optimize_use_projections=0) if is_rollup else answer.result_rows
        return Timed(
            question.name,
            question.aim_ms,
            median(times),
            int(answer.summary["read_rows"]),
            int(answer.summary["read_bytes"]),
            len(answer.result_rows),
            ", ".join(read),
            _same(answer.result_rows, alone),
        )


def _same(one: list[tuple[Any, ...]], other: list[tuple[Any, ...]]) -> bool:
    """Whether two answers are the same but for the order of rows and the last digits of sums."""

    def key(row: tuple[Any, ...]) -> str:
        return repr([cell for cell in row if not isinstance(cell, float)])

    def is_like(a: Any, b: Any) -> bool:
        return math.isclose(a, b, rel_tol=1e-9) if isinstance(a, float) and isinstance(b, float) else a == b

    pairs = list(zip(sorted(one, key=key), sorted(other, key=key), strict=False))
    return len(one) == len(other) and all(all(map(is_like, a, b)) for a, b in pairs)


def fill(asker: Asker, rows: int, days: int = DAYS) -> None:
    """Insert that many scores."""
    sql = Path(__file__).with_name("scores.sql").read_text("utf-8")
    for first in range(0, rows, CHUNK_ROWS):
        count = min(CHUNK_ROWS, rows - first)
        values = {"rows": rows, "first": first, "count": count, "days": days, "begin": int(BEGIN.timestamp())}
        asker.client.command(sql, parameters=values)
        if first // CHUNK_ROWS % 4 == 3:
            say(f"{first + count:,} rows")


def settle(asker: Asker) -> None:
    """Return once the server has merged what it wants to."""
    quiet: list[bool] = []

    def is_quiet() -> bool:
        quiet.append(asker.rows("SELECT count() FROM system.merges") == [(0,)])
        return len(quiet) > 60 and all(quiet[-60:])

    eventually(is_quiet, "the merges end", MERGES_S)


def run(rows: int, data_dir: Path) -> Report:
    """Everything, on a ClickHouse of its own, which is stopped and emptied at the end."""
    with local_stack(data_dir, ("clickhouse",), {}):
        settings = load_settings()
        migrate(settings, Event())
        asker = Asker(settings)
        start = time.monotonic()
        fill(asker, rows)
        filled = time.monotonic()
        settle(asker)
        merged = time.monotonic()
        (found,) = asker.rows(EXAMPLE, {"project": PROJECT, "name": NAME})
        report = Report(machine(), rows, DAYS, filled - start, merged - filled, *_disk(asker))
        report.columns, report.projections = _columns(asker, rows), _projections(asker, rows)
        since = BEGIN + timedelta(days=60)
        moments = (since, since + timedelta(days=1), since + timedelta(days=90))
        values = parameters(dict(zip(IDS, found, strict=True)), *(f"{moment:%Y-%m-%d %H:%M:%S}" for moment in moments))
        report.questions.extend(asker.time(question, values) for question in QUESTIONS)
    return report


_OF_PARTS = "database = currentDatabase() AND table = 'scores' AND active"


def _disk(asker: Asker) -> tuple[int, float]:
    """Parts, and bytes a row."""
    [row] = asker.rows(f"SELECT count(), sum(bytes_on_disk) / sum(rows) FROM system.parts WHERE {_OF_PARTS}")
    return row[0], row[1]


def _columns(asker: Asker, rows: int) -> dict[str, float]:
    return dict(
        asker.rows(
            f"SELECT column, sum(column_bytes_on_disk) / {rows} AS bytes FROM system.parts_columns WHERE {_OF_PARTS} "
            "GROUP BY column ORDER BY bytes DESC"
        )
    )


def _projections(asker: Asker, rows: int) -> dict[str, float]:
    return dict(
        asker.rows(
            f"SELECT name, sum(bytes_on_disk) / {rows} AS bytes FROM system.projection_parts WHERE {_OF_PARTS} "
            "GROUP BY name ORDER BY bytes DESC"
        )
    )


def show(report: Report) -> str:
    """The report as tables for people."""
    head = ("", "ms", "aim", "rows read", "MB read", "answer", "from")
    rows = [head]
    for asked in report.questions:
        verdict = "" if asked.agrees else " WRONG"
        rows.append(
            (
                asked.name,
                f"{asked.ms:,.1f}",
                f"{asked.aim_ms:,}{'' if asked.ms <= asked.aim_ms else ' missed'}",
                f"{asked.rows_read:,}",
                f"{asked.bytes_read / 1e6:,.1f}",
                f"{asked.answer_rows:,}",
                asked.read_from + verdict,
            )
        )
    sizes = [("column", "bytes a row"), *((name, f"{size:.2f}") for name, size in report.columns.items())]
    sizes += [(f"projection {name}", f"{size:.2f}") for name, size in report.projections.items()]
    sizes += [("all", f"{report.bytes_per_row:.1f}")]
    made = (
        f"{report.rows:,} rows over {report.days} days in {report.load_s:.0f} s, merged {report.merges_s:.0f} s later "
        f"into {report.parts} parts"
    )
    return f"{made}\n\n{table(rows)}\n\n{table(sizes)}"


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000_000, help="scores in the table (default 100000000)")
    parser.add_argument("--quick", action="store_true", help="2 million rows")
    parser.add_argument("--data-dir", type=Path, default=DATA_DIR, help=f"emptied folder (default {DATA_DIR})")
    given = parser.parse_args()
    report = run(2_000_000 if given.quick else given.rows, given.data_dir.absolute())
    say(show(report))
    write_report(REPORT, asdict(report) | {"summary": report.summary()})
    return 0 if all(question.agrees for question in report.questions) else 1


if __name__ == "__main__":
    sys.exit(main())
