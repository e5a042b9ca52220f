"""How long a score takes from its acknowledgement until a query shows it, and what the stack costs when it is idle.

Starts a whole local stack as `scoreline up` does, with every component and the settings that a user gets, and beside
it a process that emits through the client at a steady rate (open loop: `paced`). Per event, by one clock:

    due ─► called ─► acknowledged ─► received by the broker ─► enriched ─► inserted ─► visible
                     └───────────────────────── latency ────────────────────────────┘

`acknowledged` is the client's delivery callback, `visible` when the first query that shows the row was answered. One
query is sent every 20 ms: about 10 ms of every figure, and some CPU of ClickHouse, are the watcher's. Every event must
be found exactly once: else the exit status is 1. Then nothing is sent, and the CPU time of every process is counted.
Takes about two minutes.

    python -m tests.benchmarks.latency --rate 5000 --seconds 60

Prints a table, writes build/latency.json and build/latency.svg. Aims: p50 250 ms, p99 1 s; idle 3 % of a core for each
of worker, sink and gateway. Other load on the machine shows at once in p99: measure on a quiet one.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from scoreline.settings import Settings, load_settings
from scoreline.topics import declare_topics
from scoreline_local import stack
from scoreline_local.recipe import PARTS
from scoreline_local.settings import LocalSettings
from tests.benchmarks.harness import local_stack, machine, say, table, write_report
from tests.benchmarks.paced import LEDGER
from tests.benchmarks.plots import Series, histogram
from tests.benchmarks.visibility import POLL_S, Array, Watch, enriched_at, log_ends, row_times, stored
from tests.support import DEADLINE_S, environment, eventually

REPORT = Path("build/latency.json")
DATA_DIR = Path("build/bench-latency")
P50_AIM_MS, P99_AIM_MS, IDLE_AIM = 250, 1000, 0.03
WARM_UP_S, IDLE_S = 10.0, 30.0
OURS = ("worker", "sink", "gateway")
BIN_MS = 10
SETTLE_S = 3.0
"""After the last row and before idle is measured: ClickHouse merges, lanes commit behind control records."""


@dataclass
class Spread:
    """How times are spread, in ms."""

    p50: float
    p90: float
    p99: float
    max: float


@dataclass
class Latency:
    """One run at one rate. Everything but the counts is of the events after the warm-up."""

    rate: int
    seconds: float
    sent: int
    acknowledged: int
    missing: int
    """Acknowledged and not in the table."""
    double: int
    """Rows more than events."""
    latency_ms: Spread
    """From acknowledged to visible."""
    warm_up_ms: Spread
    """The same of the first `WARM_UP_S` seconds."""
    from_due_ms: Spread
    """From when the event was due to visible: what the caller sees, the client's own time included."""
    late_ms: Spread
    """How late the producer called: more than a few ms and the load was not what it should be."""
    hops_ms: dict[str, Spread]
    inserts_per_minute: float
    """Each is one new part in ClickHouse."""
    transactions_per_s: float
    """Of the worker, counted by their markers in `scores.enriched`, warm-up included."""
    poll_ms: Spread
    """From one answer to the next."""
    cpu_share: dict[str, float]
    """Of one core, by process."""
    histogram: list[int]
    """Events by latency, `BIN_MS` wide from 0."""

    @property
    def is_exact(self) -> bool:
        return self.acknowledged == self.sent and not self.missing and not self.double


@dataclass
class Report:
    """The content of build/latency.json."""

    machine: dict[str, Any]
    settings: dict[str, str]
    """Other than the defaults."""
    poll_every_ms: float
    load: Latency
    idle_s: float
    idle_cpu_share: dict[str, float]
    """Of one core, by process, with nothing to do."""


def spread(seconds: Array) -> Spread:
    """Percentiles of times given in seconds; those that never came (NaN) are left out."""
    times = seconds[~np.isnan(seconds)] * 1e3
    if not len(times):
        return Spread(*[float("nan")] * 4)
    return Spread(*(round(float(value), 1) for value in (*np.percentile(times, (50, 90, 99)), times.max())))


def cpu_times(data_dir: Path) -> dict[str, float]:
    """Seconds of CPU that each process of a stack has used, with its children, by its name."""
    found: dict[str, float] = {}
    for process in stack.status(data_dir).processes:
        if process.pid is not None:
            parent = psutil.Process(process.pid)
            times = [each.cpu_times() for each in (parent, *parent.children(recursive=True))]
            found[process.name] = sum(each.user + each.system for each in times)
    return found


def shares(before: dict[str, float], after: dict[str, float], seconds: float) -> dict[str, float]:
    """CPU seconds by the clock's seconds."""
    return {name: round((after[name] - start) / seconds, 4) for name, start in before.items()}


def measure(settings: Settings, data_dir: Path, rate: int, seconds: float, warm_up_s: float = WARM_UP_S) -> Latency:
    """Emit at `rate` for `warm_up_s` and then `seconds`, to a stack that runs, and follow every event."""
    run, count = f"rate{rate}", round(rate * (warm_up_s + seconds))
    starts = log_ends(settings, declare_topics(settings).enriched.name)
    file = data_dir / f"{run}.npy"
    command = [sys.executable, "-m", "tests.benchmarks.paced", run, str(rate), str(warm_up_s + seconds), str(file)]
    watch = Watch(settings)
    process = subprocess.Popen(command, env=environment(settings))
    try:
        cpu_before, at = cpu_times(data_dir), time.monotonic()
        process.wait(warm_up_s + seconds + DEADLINE_S)
        cpu_share = shares(cpu_before, cpu_times(data_dir), time.monotonic() - at)
        if process.returncode:
            raise RuntimeError(f"the producer ended with status {process.returncode}")
        ledger = np.load(file).view(LEDGER)
        acknowledged = int((~np.isnan(ledger["acknowledged"])).sum())
        await_rows(watch, acknowledged)
    finally:
        process.kill()
        process.wait()
        watch.stop()
    visible = watch.visible_at(count)
    rows = stored(settings, run)
    found = np.bincount(rows["number"], minlength=count)
    warm = ledger["due"] >= ledger["due"][0] + warm_up_s
    latency = visible - ledger["acknowledged"]
    answers = np.array([answered for _, answered in watch.answers])
    ends = log_ends(settings, declare_topics(settings).enriched.name)
    markers = sum(ends.values()) - sum(starts.values()) - acknowledged
    missing = int(((found == 0) & ~np.isnan(ledger["acknowledged"])).sum())
    hops, inserts = hops_of(settings, run, ledger, visible, warm, starts) if not missing else ({}, 0.0)
    return Latency(
        rate=rate,
        seconds=seconds,
        sent=count,
        acknowledged=acknowledged,
        missing=missing,
        double=len(rows) - int((found > 0).sum()),
        latency_ms=spread(latency[warm]),
        warm_up_ms=spread(latency[~warm]),
        from_due_ms=spread((visible - ledger["due"])[warm]),
        late_ms=spread((ledger["called"] - ledger["due"])[warm]),
        hops_ms=hops,
        inserts_per_minute=inserts,
        transactions_per_s=round(markers / (warm_up_s + seconds), 1),
        poll_ms=spread(np.diff(answers)),
        cpu_share=cpu_share,
        histogram=counts(latency[warm]),
    )


def await_rows(watch: Watch, count: int) -> None:
    """Return when `count` rows were seen, or when they do not come: then the report says which are missing."""
    try:
        eventually(lambda: watch.seen >= count, "all rows")
    except AssertionError:
        say(f"only {watch.seen:,} of {count:,} rows within {DEADLINE_S:.0f} s")


def hops_of(
    settings: Settings, run: str, ledger: Array, visible: Array, warm: Array, starts: dict[int, int]
) -> tuple[dict[str, Spread], float]:
    """Where the time goes, and inserts a minute. The servers' times are whole milliseconds."""
    received, inserted = row_times(settings, run)
    enriched = enriched_at(settings, len(ledger), starts)
    hops = {
        "called → acknowledged": ledger["acknowledged"] - ledger["called"],
        "received by the broker → enriched": enriched - received,
        "enriched → insert begins": inserted - enriched,
        "insert begins → visible": visible - inserted,
    }
    inserts = len(np.unique(inserted[warm])) / (np.ptp(inserted[warm]) or 1.0) * 60
    return {name: spread(times[warm]) for name, times in hops.items()}, round(float(inserts), 1)


def counts(seconds: Array) -> list[int]:
    """Events in bins of `BIN_MS`."""
    bins = np.floor(np.maximum(seconds[~np.isnan(seconds)], 0.0) * 1e3 / BIN_MS).astype(int)
    return np.bincount(bins).tolist()


def idle(data_dir: Path, seconds: float) -> dict[str, float]:
    """CPU share of every process of a stack while nothing is sent."""
    time.sleep(SETTLE_S)
    before, at = cpu_times(data_dir), time.monotonic()
    time.sleep(seconds)
    return shares(before, cpu_times(data_dir), time.monotonic() - at)


def run(rate: int, seconds: float, idle_s: float, own: dict[str, str], data_dir: Path) -> Report:
    """The whole benchmark on a stack of its own with the settings `own`, which is stopped at the end."""
    conditions = machine()
    with local_stack(data_dir, PARTS, own, kafka_jvm=LocalSettings().kafka_jvm):
        load = measure(load_settings(), data_dir, rate, seconds)
        return Report(conditions, own, POLL_S * 1e3, load, idle_s, idle(data_dir, idle_s))


def show(report: Report) -> str:
    """The report as tables for people."""
    load = report.load
    lines = {
        "acknowledged → visible": load.latency_ms,
        "  first 10 s, not counted": load.warm_up_ms,
        **{f"  {name}": times for name, times in load.hops_ms.items()},
        "due → visible": load.from_due_ms,
        "producer called late by": load.late_ms,
        "one answer → the next": load.poll_ms,
    }
    times = [(name, *(f"{value:,.0f}" for value in asdict(each).values())) for name, each in lines.items()]
    busy, still = load.cpu_share, report.idle_cpu_share
    cost = [(name, f"{busy[name]:.1%}", f"{still[name]:.2%}", f"< {IDLE_AIM:.0%}" * (name in OURS)) for name in still]
    ours = sum(still[name] for name in OURS)
    return "\n".join(
        [
            f"{load.sent:,} sent at {load.rate:,}/s, {load.acknowledged:,} acknowledged, {load.missing} missing, "
            f"{load.double} double; {load.inserts_per_minute:.0f} inserts a minute, "
            f"{load.transactions_per_s:.0f} transactions a second",
            table([("ms", "p50", "p90", "p99", "max"), *times]),
            f"aimed at: p50 {P50_AIM_MS}, p99 {P99_AIM_MS}",
            "",
            table([("share of a core", "under load", "idle", "aim"), *cost]),
            f"worker, sink and gateway idle together: {ours:.2%}",
        ]
    )


def plot(report: Report, file: Path) -> None:
    """The histogram of the latency."""
    load = report.load
    found = f"p50 {load.latency_ms.p50:.0f} ms, p99 {load.latency_ms.p99:.0f} ms"
    title = f"Acknowledged → visible at {load.rate:,} events/s: {found}"
    edges = [number * BIN_MS for number in range(len(load.histogram))]
    marks = {"p50": load.latency_ms.p50, "p99": load.latency_ms.p99}
    histogram(file, title, Series("events", edges, load.histogram), "ms", f"events in {BIN_MS} ms", marks)


def main() -> int:
    """Entry point: exit status 1 when an event is missing or twice there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=5000, help="events a second (default 5000)")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long, after 10 s of warm-up (default 60)")
    parser.add_argument("--idle-seconds", type=float, default=IDLE_S, help="how long idle (default 30)")
    parser.add_argument("--data-dir", type=Path, default=DATA_DIR, help=f"emptied folder (default {DATA_DIR})")
    parser.add_argument(
        "--set", nargs="*", default=[], metavar="SCORELINE_…=VALUE", help="settings other than the defaults"
    )
    options = parser.parse_args()
    own = dict(each.split("=", 1) for each in options.set)
    report = run(options.rate, options.seconds, options.idle_seconds, own, options.data_dir.absolute())
    say(show(report))
    write_report(REPORT, asdict(report))
    plot(report, REPORT.with_suffix(".svg"))
    return 0 if report.load.is_exact else 1


if __name__ == "__main__":
    sys.exit(main())
