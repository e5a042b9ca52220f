"""How fast a lost state comes back from its changelog, and what an id costs on disk, in Kafka and in memory.

Starts a broker of its own, writes the changelog through the worker's own transactions (batches of 4000 new ids), and
restores it with the worker's own code into empty folders: first one partition after the other, then all side by side
as a worker does that starts without its state. Takes one or two minutes.

    python -m tests.benchmarks.restore --ids 5000000

Prints a table and writes build/restore.json. Bounds that are aimed at: 500,000 ids/s into one partition, 48 bytes of
disk and 48 bytes of changelog an id. Other load on the machine makes the speeds lower, not the bytes.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from scoreline.kafka import ensure_topics
from scoreline.settings import Settings
from scoreline.topics import declare_groups, declare_topics, record_key
from scoreline_streams.batch import Outcome
from scoreline_streams.changelog import FORMAT, pack, restore
from scoreline_streams.deduplicate import id_hash, pack_seen
from scoreline_streams.state import State
from scoreline_streams.transactions import Transactions
from tests.benchmarks.harness import broker, machine, say, table, write_report

REPORT = Path("build/restore.json")
DATA_DIR = Path("build/bench-restore")
LOOK_UPS = 100_000
IDENTITY = RAW_ID = "benchmark"
SPEED_AIM, BYTES_AIM = 500_000, 48


@dataclass
class Restored:
    """One partition's way back."""

    ids: int
    seconds: float
    cpu_s: float
    """User and system time of the process, RocksDB's and librdkafka's threads included."""
    flushed_bytes: int
    compacted_bytes: int


@dataclass
class Report:
    """The content of build/restore.json."""

    machine: dict[str, Any]
    ids: int
    partitions: int
    one_by_one: list[Restored] = field(default_factory=list[Restored])
    side_by_side_s: float = 0.0
    side_by_side_cpu_s: float = 0.0
    changelog_record_bytes: int = 0
    """Keys and values."""
    changelog_segment_bytes: int = 0
    """The .log files, with batch headers and transaction markers."""
    memory_per_partition: dict[str, int] = field(default_factory=dict[str, int])
    """Bytes of an open, restored state after `LOOK_UPS` look-ups, as RocksDB counts them, and what the process grew."""

    def summary(self) -> dict[str, float]:
        """The figures that are aimed at, and their neighbours."""
        restored = sum(each.ids for each in self.one_by_one)
        speeds = [each.ids / each.seconds for each in self.one_by_one]
        return {
            "ids_per_s_median": round(median(speeds)),
            "ids_per_s_min": round(min(speeds)),
            "ids_per_s_max": round(max(speeds)),
            "cpu_s_per_million_ids": round(sum(each.cpu_s for each in self.one_by_one) / restored * 1e6, 2),
            "ids_per_s_side_by_side": round(self.ids / self.side_by_side_s),
            "side_by_side_cpu_s_per_million_ids": round(self.side_by_side_cpu_s / self.ids * 1e6, 2),
            "state_bytes_per_id_flushed": round(sum(each.flushed_bytes for each in self.one_by_one) / restored, 1),
            "state_bytes_per_id_compacted": round(sum(each.compacted_bytes for each in self.one_by_one) / restored, 1),
            "changelog_record_bytes_per_id": round(self.changelog_record_bytes / self.ids, 1),
            "changelog_segment_bytes_per_id": round(self.changelog_segment_bytes / self.ids, 1),
        }


def write_changelog(settings: Settings, ids: int) -> int:
    """Commit `ids` ids over all partitions as the worker does; returns the bytes of keys and values."""
    topics, group = declare_topics(settings), declare_groups(settings).worker
    size, done, started, told = 0, 0, time.monotonic(), time.monotonic()
    for partition in range(settings.partitions):
        transactions = Transactions(settings, topics, group, partition, RAW_ID)
        transactions.open(lambda: False)
        per_partition = ids // settings.partitions
        for start in range(0, per_partition, settings.batch_events_max):
            end = min(start + settings.batch_events_max, per_partition)
            entries: dict[bytes, bytes | None] = {
                id_hash(record_key("default", f"bench-{partition}-{offset}")): pack_seen(offset, os.urandom(8))
                for offset in range(start, end)
            }
            transactions.begin(Outcome(entries=entries), end)
            transactions.commit()
            size += sum(len(FORMAT) + len(value) for value in pack(entries))
            done += end - start
            if time.monotonic() - told > 5:
                told = time.monotonic()
                say(f"  {done:,} of {ids:,} ids written, {done / (told - started):,.0f}/s")
        transactions.close()
    return size


def restore_one(settings: Settings, partition: int, folder: Path) -> Restored:
    """Restore one partition into an empty folder and weigh it."""
    topic = declare_topics(settings).changelog.name
    state = State(folder, IDENTITY, settings.state_horizon_days)
    started, cpu = time.perf_counter(), time.process_time()
    ids = restore(settings, topic, partition, state, RAW_ID, lambda: False)
    seconds, cpu_s = time.perf_counter() - started, time.process_time() - cpu
    state.close()
    flushed = table_bytes(folder)
    again = State(folder, IDENTITY, settings.state_horizon_days)
    again._db.compact_range(None, None)
    again.close()
    return Restored(ids, seconds, cpu_s, flushed, table_bytes(folder))


def restore_all(settings: Settings, folder: Path) -> tuple[float, float]:
    """Restore every partition at the same time; (seconds, seconds of CPU)."""
    topic = declare_topics(settings).changelog.name
    states = [State(folder / str(n), IDENTITY, settings.state_horizon_days) for n in range(settings.partitions)]
    started, cpu = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(len(states)) as pool:
        runs = [
            pool.submit(restore, settings, topic, n, state, RAW_ID, lambda: False) for n, state in enumerate(states)
        ]
        for run in runs:
            run.result()
    took = time.perf_counter() - started, time.process_time() - cpu
    for state in states:
        state.close()
    return took


def table_bytes(folder: Path) -> int:
    """What RocksDB's tables take on disk."""
    return sum(file.stat().st_size for file in folder.glob("*.sst"))


def segment_bytes(data_dir: Path, topic: str) -> int:
    """What all partitions of a topic take in the broker's log."""
    return sum(file.stat().st_size for file in data_dir.glob(f"kafka/**/{topic}-*/*.log"))


def open_states(folder: Path, partitions: int, ids_per_partition: int) -> dict[str, int]:
    """Open restored states, look ids up, and count the memory of each; in a process of its own."""
    process = psutil.Process()
    before = process.memory_info().rss
    states = [State(folder / str(partition), IDENTITY) for partition in range(partitions)]
    for partition, state in enumerate(states):
        for start in range(0, min(LOOK_UPS, ids_per_partition), 1000):
            known = [id_hash(record_key("default", f"bench-{partition}-{n}")) for n in range(start, start + 1000)]
            assert None not in state.look_up(known)
    grown = process.memory_info().rss - before
    counted = {
        name: sum(state._db.property_int_value(f"rocksdb.{name}") or 0 for state in states) // partitions
        for name in ("estimate-table-readers-mem", "cur-size-all-mem-tables")
    }
    return counted | {"process_growth": grown // partitions}


def run(ids: int, partitions: int, data_dir: Path) -> Report:
    """The whole benchmark on a broker of its own, which is stopped at the end."""
    report = Report(machine(), ids, partitions)
    states = data_dir / "state"
    with broker(data_dir, partitions) as settings:
        ensure_topics(settings)
        say(f"writing a changelog of {ids:,} ids over {partitions} partitions")
        report.changelog_record_bytes = write_changelog(settings, ids)
        report.changelog_segment_bytes = segment_bytes(data_dir, declare_topics(settings).changelog.name)
        for partition in range(partitions):
            restored = restore_one(settings, partition, states / "one" / str(partition))
            report.one_by_one.append(restored)
            say(f"partition {partition}: {restored.ids:,} ids, {restored.ids / restored.seconds:,.0f}/s")
        report.side_by_side_s, report.side_by_side_cpu_s = restore_all(settings, states / "all")
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            counted = pool.submit(open_states, states / "one", partitions, ids // partitions).result()
        report.memory_per_partition = counted
    return report


def show(report: Report) -> str:
    """The report as a table for people."""
    found = report.summary()
    mib = {name: f"{size / 2**20:.1f} MiB" for name, size in report.memory_per_partition.items()}
    return table(
        [
            ("", "found", "aim"),
            ("restore into one partition, ids/s", f"{found['ids_per_s_median']:,.0f}", f">= {SPEED_AIM:,}"),
            ("  slowest and fastest", f"{found['ids_per_s_min']:,.0f} – {found['ids_per_s_max']:,.0f}", ""),
            ("  CPU s per million ids", f"{found['cpu_s_per_million_ids']}", ""),
            (f"all {report.partitions} side by side, ids/s", f"{found['ids_per_s_side_by_side']:,.0f}", ""),
            ("  CPU s per million ids", f"{found['side_by_side_cpu_s_per_million_ids']}", ""),
            ("state on disk, bytes an id, flushed", f"{found['state_bytes_per_id_flushed']}", f"<= {BYTES_AIM}"),
            ("  compacted", f"{found['state_bytes_per_id_compacted']}", f"<= {BYTES_AIM}"),
            ("changelog, bytes an id, records", f"{found['changelog_record_bytes_per_id']}", f"<= {BYTES_AIM}"),
            ("  segments in the broker", f"{found['changelog_segment_bytes_per_id']}", f"<= {BYTES_AIM}"),
            ("memory of an open partition, index and filters", mib["estimate-table-readers-mem"], ""),
            ("  growth of the process", mib["process_growth"], ""),
        ]
    )


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ids", type=int, default=4_000_000, help="ids in the changelog (default 4000000)")
    parser.add_argument("--partitions", type=int, default=4, help="over so many partitions (default 4)")
    parser.add_argument("--data-dir", type=Path, default=DATA_DIR, help=f"emptied folder (default {DATA_DIR})")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="  %(message)s")
    report = run(options.ids, options.partitions, options.data_dir)
    say(show(report))
    write_report(REPORT, asdict(report) | {"summary": report.summary()})


if __name__ == "__main__":
    main()
