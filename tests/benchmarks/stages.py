"""What each stage of the worker costs an event, alone: a regression shows where it is.

One batch of events as `tests.benchmarks.draining` makes them goes through each stage again and again; the figure is the
best CPU time of all repetitions, so that other load on the machine matters little. Whole is a batch from bytes to what
its transaction writes. The worker costs more than the sum: fetching, transactions and colder caches come on top. Needs
no broker: what is produced is thrown away. Takes about twenty seconds.

    python -m tests.benchmarks.stages --events 4000

Prints a table and writes build/stages.json.
"""

from __future__ import annotations

import argparse
import gc
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from scoreline.judging import Judged, judge
from scoreline.observe import meter
from scoreline.observe.catalogue import Process
from scoreline.reading import Event
from scoreline.validation import read_exactly
from scoreline_streams import metering
from scoreline_streams.batch import Known, Outcome, id_hashes, read, settle
from scoreline_streams.changelog import pack
from scoreline_streams.deduplicate import content_hash
from scoreline_streams.enrich import enrich
from scoreline_streams.state import State
from tests.benchmarks.draining import events
from tests.benchmarks.harness import machine, say, table, write_report

REPORT = Path("build/stages.json")
REPEATED = 60
RECEIVED_MS = 1_790_000_000_000
KNOWN = Known({}, {})


@dataclass(frozen=True, slots=True)
class Record:
    """A consumed record."""

    key: bytes
    value: bytes
    offset: int
    timestamp: int = RECEIVED_MS
    headers: tuple[tuple[str, bytes], ...] = ()


def cost_us(count: int, stage: Callable[[], object], again: Callable[[], object] = lambda: None) -> float:
    """CPU microseconds of `stage` an event, the best of all repetitions; `again` prepares the next one, untimed."""
    best = float("inf")
    for _ in range(REPEATED):
        start = time.process_time()
        stage()
        best = min(best, time.process_time() - start)
        again()
    return best / count * 1e6


def reordered(record: Record) -> Record:
    """The record as another language's client may send it: the same fields in another order."""
    fields = sorted(json.loads(record.value).items(), reverse=True)
    return Record(record.key, json.dumps(dict(fields), separators=(",", ":")).encode(), record.offset)


def measure(count: int, folder: Path) -> dict[str, float]:
    """Microseconds an event, by stage."""
    records = [Record(key, value, number) for number, (key, value) in enumerate(events(range(count)))]
    foreign = [reordered(record) for record in records]
    values, hashes, nothing = [record.value for record in records], id_hashes(records), [None] * count
    taken = [event for event in read(records) if isinstance(event, Event)]
    judged = [verdict for event in taken if isinstance(verdict := judge(event, None), Judged)]
    assert len(judged) == count
    outcome = settle("scores.raw", 0, records, taken, hashes, nothing, KNOWN)
    state = State(folder, "stages")
    producer = Producer({"bootstrap.servers": "127.0.0.1:1", "log_level": 0, "queue.buffering.max.messages": 2 * count})

    def produce() -> None:
        for key, value in outcome.enriched:
            producer.produce("scores.enriched", value, key, 0)

    def whole() -> Outcome:
        return settle("scores.raw", 0, records, read(records), id_hashes(records), nothing, KNOWN)

    meter.start(Process.WORKER)

    def forget() -> None:
        producer.purge()
        producer.poll(0)

    found = {
        "decode and validate": cost_us(count, lambda: read(records)),
        "  fields in another order": cost_us(count, lambda: read(foreign)),
        "  by pydantic": cost_us(count, lambda: [read_exactly(value) for value in values]),
        "hash ids": cost_us(count, lambda: id_hashes(records)),
        "look up in the state": cost_us(count, lambda: state.look_up(hashes), lambda: state.write(outcome.entries)),
        "judge": cost_us(count, lambda: [judge(event, None) for event in taken]),
        "hash content": cost_us(count, lambda: [content_hash(*pair) for pair in zip(taken, judged, strict=True)]),
        "enrich and encode": cost_us(
            count, lambda: [enrich(*pair, {}, RECEIVED_MS, 0, 1) for pair in zip(taken, judged, strict=True)]
        ),
        "read and settle, whole": cost_us(count, whole),
        "write the state": cost_us(count, lambda: state.write(outcome.entries)),
        "pack the changelog": cost_us(count, lambda: list(pack(outcome.entries))),
        "hand to librdkafka": cost_us(count, produce, forget),
        "count for Prometheus": cost_us(count, lambda: metering.committed(count, outcome, 0.1)),
    }
    state.close()
    return {stage: round(us, 4) for stage, us in found.items()}


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=4000, help="events of a batch (default 4000)")
    count = parser.parse_args().events
    gc.freeze()
    gc.disable()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(count, Path(folder) / "state")
    say(table([("CPU µs an event", ""), *((stage, f"{us:.3f}") for stage, us in found.items())]))
    report: dict[str, Any] = {"machine": machine(), "events": count, "us": found}
    write_report(REPORT, report)


if __name__ == "__main__":
    main()
