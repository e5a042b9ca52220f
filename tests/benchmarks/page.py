"""How long the page takes to show ten million scores: in Chromium, from navigation to painted charts.

Starts a ClickHouse of its own, makes scores in the real table by SQL (20 projects, 12 names, 60 days), and the page as
a process over it. Every load is a browser without a cache; `table` is when the figures stand, `charts` when every
trend is painted too, `all` when the changes stand beside them.
Needs 2 GB of disk and chromium; takes about two minutes on two cores.

    python -m tests.benchmarks.page --rows 10000000

Prints a table and writes build/page.json; exit status 1 when the overview's charts took longer than 1.5 s (median).
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from threading import Event
from typing import Any
from urllib.request import urlopen

import clickhouse_connect
from playwright.sync_api import Browser, sync_playwright

from scoreline.settings import Settings, load_settings
from scoreline_sink.schema import migrate
from tests.benchmarks.harness import local_stack, machine, say, table, write_report
from tests.support import DEADLINE_S, eventually

REPORT = Path("build/page.json")
DATA_DIR = Path("build/bench-page")
AIM_MS = 1500
ROUNDS = 7
CHUNK_ROWS = 2_500_000
DAYS = 60
ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run")
VIEWS = (
    ("overview of a project", "/?project=p0"),
    ("overview of all, 100 names", "/"),
    ("overview of all, 90 days", "/?range=90d"),
    ("one score, 30 days", "/score?project=p0&name=name-0&range=30d"),
)
PAINTED = """() => {
  // Charts of the overview are sparklines; only its changes come later.
  const isTable = document.querySelector('tr[data-name], [data-figure]');
  if (isTable && !window.tableAt) window.tableAt = performance.now();
  const isDone = !document.querySelector('.wait, .is-busy, [data-ready="0"]');
  if (isTable && document.querySelector('svg.spark path, .chart svg path')) window.chartsAt ??= performance.now();
  if (!window.chartsAt || !isDone) return false;
  window.allAt ??= performance.now();
  return true;
}"""
SCORES = """
INSERT INTO scores (
    score_id, project, name, status, data_type, value, label, trace_id, target, metadata, timestamp, source,
    evaluator_model, service, environment, release, received_at, raw_partition, raw_offset, src_partition, src_offset
)
WITH
    cityHash64(number) AS random, 1 + number % 12 AS kind, now64(6, 'UTC') AS present,
    multiIf(kind > 10, 'CATEGORICAL', kind > 8, 'BOOLEAN', 'NUMERIC') AS type, random % 200 = 0 AS is_failed,
    sqrt((random % 10007) / 10007) AS quality,
    present - toIntervalMicrosecond(toInt64((1 - number / {rows:UInt64}) * {days:UInt32} * 86400e6)) AS judged
SELECT
    toString(number), concat('p', toString(toUInt8(floor(20 * pow((random % 100003) / 100003, 2))))),
    concat('name-', toString(kind - 1)), if(is_failed, 'failed', 'ok'), type,
    multiIf(is_failed OR kind > 10, NULL, kind > 8, toFloat64(quality > 0.3), quality),
    multiIf(is_failed OR kind <= 8, '', kind > 10, ['good', 'fair', 'poor'][1 + random % 3],
        if(quality > 0.3, 'true', 'false')),
    lower(hex(sipHash128(intDiv(number, 4)))), 'trace', map('item', toString(random % 3000)), judged, 'EVAL',
    ['judge-large', 'judge-small', 'rules'][1 + random % 3], concat('service-', toString(random % 8)), 'production',
    concat('2026.', toString(intDiv(number * 30, {rows:UInt64}))), judged, 0, number, 0, number
FROM numbers({first:UInt64}, {count:UInt64})
"""


@dataclass
class Load:
    """One view, medians of the rounds in milliseconds since the navigation began."""

    view: str
    table_ms: float
    charts_ms: float
    worst_ms: float
    """The slowest of the rounds until the charts were painted."""
    all_ms: float
    """Until everything stood, changes too."""
    kilobytes: float
    """What came over the wire, of the first load."""


def fill(settings: Settings, rows: int) -> None:
    """Insert that many scores."""
    client: Any = clickhouse_connect.get_client(
        host=settings.clickhouse_host,
        port=settings.clickhouse_port,
        username=settings.clickhouse_user,
        password=settings.clickhouse_password.get_secret_value(),
        database=settings.clickhouse_database,
        send_receive_timeout=600,
    )
    for first in range(0, rows, CHUNK_ROWS):
        values = {"rows": rows, "days": DAYS, "first": first, "count": min(CHUNK_ROWS, rows - first)}
        client.command(SCORES, parameters=values)
    eventually(lambda: client.query("SELECT count() FROM system.merges").result_rows == [(0,)], "the merges end", 600)
    client.close()


@contextmanager
def page(log_file: Path) -> Iterator[str]:
    """The page as a process; its address."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.sinks.scoreline_analytics.ui.serving", str(port)],
            env=os.environ | {"SCORELINE_UI_LOGIN": "false"},
            stdout=log,
            stderr=log,
        )
    url = f"http://127.0.0.1:{port}/ui"
    try:
        eventually(lambda: process.poll() is not None or _answers(url), "the page answers", DEADLINE_S)
        yield url
    finally:
        process.terminate()
        process.wait(DEADLINE_S)


def _answers(url: str) -> bool:
    try:
        with urlopen(f"{url}/", timeout=10) as answer:
            return answer.status == 200
    except OSError:
        return False


def open_view(browser: Browser, url: str) -> tuple[float, float, float, float]:
    """Table, charts and everything in milliseconds, kilobytes; in a browser without a cache."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    try:
        tab = context.new_page()
        tab.goto(url, wait_until="commit")
        tab.wait_for_function(PAINTED, polling="raf", timeout=60_000)
        found = tab.evaluate(
            "[tableAt, chartsAt, allAt, "
            "performance.getEntries().reduce((sum, e) => sum + (e.transferSize ?? 0), 0) / 1000]"
        )
    finally:
        context.close()
    return found[0], found[1], found[2], found[3]


def measure(browser: Browser, url: str, times: int) -> list[Load]:
    """Every view; the rounds go over all views in turn, the first one warms up."""
    found: dict[str, list[tuple[float, float, float, float]]] = {name: [] for name, _ in VIEWS}
    for number in range(times + 1):
        for name, path in VIEWS:
            loaded = open_view(browser, url + path)
            if number:
                found[name].append(loaded)
    return [
        Load(
            name,
            median(table_ms for table_ms, *_ in rounds),
            median(charts_ms for _, charts_ms, *_ in rounds),
            max(charts_ms for _, charts_ms, *_ in rounds),
            median(all_ms for *_, all_ms, _ in rounds),
            rounds[0][-1],
        )
        for name, rounds in found.items()
    ]


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000, help="scores in the table (default 10000000)")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"loads of each view (default {ROUNDS})")
    parser.add_argument("--data-dir", type=Path, default=DATA_DIR, help=f"emptied folder (default {DATA_DIR})")
    given = parser.parse_args()
    chromium = shutil.which("chromium")
    if chromium is None:
        say("no chromium is installed: apt-get install chromium")
        return 1
    with local_stack(given.data_dir.absolute(), ("clickhouse",), {}):
        settings = load_settings()
        migrate(settings, Event())
        started = time.monotonic()
        fill(settings, given.rows)
        say(f"{given.rows:,} scores in {time.monotonic() - started:.0f} s")
        with page(given.data_dir / "page.log") as url, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=list(ARGUMENTS))
            loads = measure(browser, url, given.rounds)
            browser.close()
    rows = [
        (
            load.view,
            f"{load.table_ms:,.0f}",
            f"{load.charts_ms:,.0f}",
            f"{load.worst_ms:,.0f}",
            f"{load.all_ms:,.0f}",
            f"{load.kilobytes:,.0f}",
        )
        for load in loads
    ]
    say(table([("milliseconds to", "table", "charts", "slowest", "all", "kB"), *rows]))
    summary = {load.view: round(load.charts_ms) for load in loads}
    write_report(
        REPORT,
        {"machine": machine(), "rows": given.rows, "loads": [asdict(load) for load in loads], "summary": summary},
    )
    return 0 if loads[0].charts_ms <= AIM_MS else 1


if __name__ == "__main__":
    sys.exit(main())
