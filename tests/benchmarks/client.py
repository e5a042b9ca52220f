"""What a call of the client costs, and what importing it does.

Starts a broker of its own. The import is timed in processes of their own, from the statement to its end, with
everything on disk in the page cache. A call is `scoreline.create_score` with what an evaluator usually says; its CPU
time counts all threads of the process until the broker has acknowledged everything. Takes about a minute.

    python -m tests.benchmarks.client --calls 500000

Prints a table and writes build/client.json. Aims: 150 ms for the import, 10 µs a call and 20 µs of CPU with delivery.
"""

from __future__ import annotations

import argparse
import gc
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from scoreline.client import Client
from scoreline.kafka import ensure_topics
from scoreline.topics import declare_topics
from tests.benchmarks.harness import broker, machine, say, table, write_report
from tests.support import log_end

REPORT = Path("build/client.json")
DATA_DIR = Path("build/bench-client")
IMPORT = "import time; at = time.perf_counter(); import scoreline; print(time.perf_counter() - at)"
WARM_UP = 20_000
IMPORTS = 15


@dataclass
class Report:
    """The content of build/client.json."""

    machine: dict[str, Any]
    import_ms_min: float
    import_ms_median: float
    calls: int
    call_us_p50: float
    call_us_p99: float
    calls_per_s: float
    """From the first call to the last acknowledgement."""
    cpu_us: float
    """A call, delivery included."""
    blocks_grown: int
    """Blocks of memory that Python holds more after all calls were delivered than before them."""


def import_ms() -> list[float]:
    """How long `import scoreline` takes in a new process, several times."""
    times: list[float] = []
    for _ in range(IMPORTS + 1):
        done = subprocess.run([sys.executable, "-c", IMPORT], check=True, capture_output=True, text=True)
        times.append(float(done.stdout) * 1000)
    return times[1:]


def emit(client: Client, calls: int) -> list[float]:
    """Seconds of each call."""
    clock, create, times = time.perf_counter, client.create_score, list[float]()
    for number in range(calls):
        value, trace_id, observation_id = number % 1000 / 1000, f"{number:032x}", f"{number:016x}"
        at = clock()
        create(
            name="accuracy",
            value=value,
            trace_id=trace_id,
            observation_id=observation_id,
            comment="close to the reference answer",
            metadata={"model": "judge-large"},
        )
        times.append(clock() - at)
    return times


def run(calls: int, data_dir: Path) -> Report:
    """The whole benchmark on a broker of its own, which is stopped at the end."""
    imports = import_ms()
    with broker(data_dir, 4) as bare:
        # room for all: a full queue would measure the broker
        settings = bare.model_copy(update={"queue_events_max": calls, "service": "bench", "environment": "bench"})
        ensure_topics(settings)
        with Client(settings) as client:
            emit(client, WARM_UP)
            client.flush()
            gc.collect()
            blocks = sys.getallocatedblocks()
            cpu, at = time.process_time(), time.perf_counter()
            times = emit(client, calls)
            left = client.flush(120)
            cpu_s, seconds = time.process_time() - cpu, time.perf_counter() - at
            cuts = quantiles(times, n=100)
            times.clear()
            gc.collect()
            blocks_grown = sys.getallocatedblocks() - blocks
        written = log_end(settings, declare_topics(settings).raw.name, settings.partitions)
    if left or written != WARM_UP + calls:
        raise RuntimeError(f"{left} scores unsent, {written} of {WARM_UP + calls} in the topic")
    return Report(
        machine(),
        round(min(imports), 1),
        round(median(imports), 1),
        calls,
        round(cuts[49] * 1e6, 2),
        round(cuts[98] * 1e6, 2),
        round(calls / seconds),
        round(cpu_s / calls * 1e6, 2),
        blocks_grown,
    )


def show(report: Report) -> str:
    """The report as a table for people."""
    return table(
        [
            ("", "found", "aim"),
            ("import scoreline, ms, best", f"{report.import_ms_min}", "<= 150"),
            ("  median", f"{report.import_ms_median}", ""),
            ("create_score, us, p50", f"{report.call_us_p50}", "<= 10"),
            ("  p99", f"{report.call_us_p99}", ""),
            ("CPU a call with delivery, us", f"{report.cpu_us}", "<= 20"),
            ("calls/s until all is acknowledged", f"{report.calls_per_s:,.0f}", ">= 100,000"),
            (f"blocks of memory more after {report.calls:,} calls", f"{report.blocks_grown:,}", "no growth"),
        ]
    )


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=300_000, help="calls that are measured (default 300000)")
    parser.add_argument("--data-dir", type=Path, default=DATA_DIR, help=f"emptied folder (default {DATA_DIR})")
    options = parser.parse_args()
    report = run(options.calls, options.data_dir.absolute())
    say(show(report))
    write_report(REPORT, asdict(report))


if __name__ == "__main__":
    main()
