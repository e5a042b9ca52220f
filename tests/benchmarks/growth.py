"""How what the worker does, costs and holds grows: with partitions, ids, event size, batches, duplicates, workers.

Every point is the real worker process that drains preloaded events (valid, about 370 bytes, all ids new where nothing
else is said) from a broker of the benchmark's own, from its first commit to its last. Points of one series take turns,
in as many rounds; what is shown is the median of the rounds. With ids in the state, and with duplicates, a turn with
an empty state and new ids stands directly before each, and the ratio is of the two: other load on the machine moves
both. The last series is the latency of a whole stack (`tests.benchmarks.latency`) at several rates.

    python -m tests.benchmarks.growth
    python -m tests.benchmarks.growth --series ids --ids 1000000 --events 100000 --rounds 1

Prints tables, writes build/growth.json and build/growth-SERIES.svg. Aims: with 50 million ids, and with nothing but
duplicates, at least 90 % of the speed of an empty state; two workers on two cores at least 1.7 times one. The broker
shares the cores here, so the events per CPU second of two workers say more than the clock does. Takes 25 minutes.
"""

from __future__ import annotations

import argparse
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

from scoreline.kafka import ensure_topics, topic_id
from scoreline.settings import Settings, load_settings
from scoreline.topics import declare_topics, record_key
from scoreline_local.recipe import PARTS
from scoreline_local.settings import LocalSettings
from scoreline_streams.deduplicate import pack_seen
from scoreline_streams.state import State
from tests.benchmarks.draining import Drained, drain, events, preload
from tests.benchmarks.harness import broker, delete_topics, local_stack, machine, say, table, write_report
from tests.benchmarks.latency import Latency, measure
from tests.benchmarks.plots import Panel, Series, growth

REPORT = Path("build/growth.json")
DATA_DIR = Path("build/bench-growth")
PARTITIONS = 4
PARTITIONS_FED = 16
"""More of them get more events."""
IDS = (1_000_000, 10_000_000, 50_000_000)
RATES = (100, 1000, 5000, 10_000)
SPEED_AIM, WORKERS_AIM = 0.9, 1.7
COMPACTED_S = 600.0
FILL_ENTRIES, FILL_PROCESSES = 16_384, 2
LATENCY_S, LATENCY_WARM_UP_S = 20.0, 8.0


@dataclass
class Point:
    """One size of one series: its turns, and those of an empty state with new ids right before each."""

    at: float
    turns: list[Drained] = field(default_factory=list[Drained])
    beside: list[Drained] = field(default_factory=list[Drained])

    def summary(self) -> dict[str, Any]:
        """Medians, and the ratio to what stood beside."""
        found: dict[str, Any] = {
            "at": self.at,
            "events_per_s": round(median(turn.events_per_s for turn in self.turns)),
            "events_per_cpu_s": round(median(turn.events_per_cpu_s for turn in self.turns)),
            "events_per_commit": round(median(turn.events / turn.commits for turn in self.turns)),
            "peak_rss_mib": round(max(turn.rss_bytes for turn in self.turns) / 2**20),
        }
        for name in ("events_per_s", "events_per_cpu_s") if self.beside else ():
            pairs = zip(self.turns, self.beside, strict=True)
            found[f"{name}_ratio"] = round(median(getattr(a, name) / getattr(b, name) for a, b in pairs), 3)
        return found


class World:
    """Topics and a state of their own on a broker; its turns follow one another as a worker's restarts do."""

    def __init__(self, bare: Settings, name: str, data_dir: Path, **own: Any) -> None:
        update = {"topic_prefix": f"{name}.", "state_dir": data_dir / "state" / name, **own}
        self.settings = bare.model_copy(update=update)
        self._folder = data_dir
        ensure_topics(self.settings)

    def turn(self, records: Iterable[tuple[bytes, bytes]], count: int, workers: int = 1) -> Drained:
        """Preload `records`, `count` of them, and let workers take them."""
        preload(self.settings, records)
        return drain(self.settings, count, self._folder, workers=workers)

    def fill(self, ids: int) -> None:
        """Put `ids` more ids into the state of the worker with the number 0, at the positions that it has."""
        topics = declare_topics(self.settings)
        identity = "/".join(topic_id(self.settings, topic.name) for topic in (topics.raw, topics.changelog))
        folder, count = self.settings.state_dir / "0" / topics.raw.name, self.settings.partitions
        started = time.monotonic()
        with ProcessPoolExecutor(FILL_PROCESSES, get_context("spawn")) as pool:
            filled = [pool.submit(fill_state, folder / str(n), identity, ids // count) for n in range(count)]
            cpu_us = sum(done.result() for done in filled) / ids * 1e6
        took_s = time.monotonic() - started
        say(f"  {ids:,} ids put into the state in {took_s:.0f} s, {cpu_us:.2f} CPU µs each with all their compaction")

    def end(self) -> None:
        """Delete topics and state."""
        delete_topics(self.settings)
        shutil.rmtree(self.settings.state_dir, ignore_errors=True)


def fill_state(folder: Path, identity: str, ids: int) -> float:
    """Write random ids, and wait until RocksDB has compacted what it wants to; returns the CPU seconds of both.

    A compaction comes after some eight million ids and would fall into a turn of fewer whole, or not at all: a turn
    begins after one, and what they cost an id is what is returned.
    """
    began_s = time.process_time()
    state = State(folder, identity)
    for start in range(0, ids, FILL_ENTRIES):
        numbers = range(start, min(start + FILL_ENTRIES, ids))
        # hashes, as the real ones are: nothing in them can be compressed
        noise = os.urandom(24 * len(numbers))
        parts = [noise[at : at + 24] for at in range(0, len(noise), 24)]
        state.write({part[:16]: pack_seen(n, part[16:]) for n, part in zip(numbers, parts, strict=True)})
    await_compaction(state)
    state.close()  # flushes one file more, which may be the one too many
    state = State(folder, identity)
    await_compaction(state)
    state.close()
    return time.process_time() - began_s


def await_compaction(state: State) -> None:
    """Wait until RocksDB has nothing more to compact."""
    database: Any = state._db
    names = [f"rocksdb.{name}" for name in ("compaction-pending", "num-running-compactions")]
    deadline = time.monotonic() + COMPACTED_S
    while any(database.property_int_value(name) for name in names):
        if time.monotonic() > deadline:
            raise RuntimeError(f"RocksDB still compacts after {COMPACTED_S:g} s")
        time.sleep(0.1)


def sized(numbers: Iterable[int], size: int) -> Iterator[tuple[bytes, bytes]]:
    """Events whose values are `size` bytes long, as our client writes them: what is needed, and words of a comment."""
    words = os.urandom(1 << 16).hex()
    for number in numbers:
        score_id = f"bench-{number:012d}"
        head = f'{{"score_id":"{score_id}","name":"accuracy","value":{number % 1000 / 1000},"trace_id":"{number:016x}"'
        head, tail = f'{head},"comment":"', '","timestamp":"2026-01-31T12:00:00Z"}'
        at, length = number * 61 % len(words) // 2, max(1, size - len(head) - len(tail))
        yield record_key("default", score_id), f"{head}{words[at : at + length]}{tail}".encode()


class Sweep:
    """All series but the last, on one broker. Each method is one; it returns its points."""

    def __init__(self, bare: Settings, data_dir: Path, count: int, rounds: int, ids: tuple[int, ...]) -> None:
        self._bare, self._data_dir, self._count, self._rounds, self._ids = bare, data_dir, count, rounds, ids
        self._worlds = 0

    def world(self, **own: Any) -> World:
        self._worlds += 1
        return World(self._bare, f"w{self._worlds}", self._data_dir, **own)

    def fresh(self, make: Callable[[Iterable[int]], Iterator[tuple[bytes, bytes]]], count: int, **own: Any) -> Drained:
        """One turn of `count` new ids, made by `make`, in a world that is made for it."""
        world = self.world(**own)
        try:
            return world.turn(make(range(count)), count)
        finally:
            world.end()

    def each(self, title: str, points: list[Point], turn: Callable[[float], Drained]) -> list[Point]:
        """All points in turns, as often as there are rounds."""
        for _ in range(self._rounds):
            for point in points:
                point.turns.append(turn(point.at))
                tell(title, point)
        return points

    def partitions(self) -> list[Point]:
        """Partitions of one worker."""

        def turn(at: float) -> Drained:
            # for several transactions of each partition, or only its first one is measured
            return self.fresh(events, max(self._count, round(self._count * at / PARTITIONS_FED)), partitions=int(at))

        return self.each("partitions", [Point(at) for at in (1, 4, 16, 64)], turn)

    def batch(self) -> list[Point]:
        """Events of one partition in one transaction, at most."""
        points = [Point(at) for at in (250, 1000, 4000, 16_000)]
        return self.each("batch", points, lambda at: self.fresh(events, self._count, batch_events_max=int(at)))

    def bytes(self) -> list[Point]:
        """Bytes of an event."""

        def turn(size: float) -> Drained:
            # the same number of bytes from 1 KiB on, so that no point takes long
            count = round(self._count * min(1.0, 1024 / size))
            return self.fresh(partial(sized, size=int(size)), count)

        return self.each("bytes", [Point(at) for at in (200, 1024, 4096, 16_384)], turn)

    def ids(self) -> list[Point]:
        """Ids that the state holds before the turn, new ones come; the last point's turns are repeated as a replay."""
        world, points, held, count = self.world(), [Point(0)], 0, self._count
        try:
            points[0].turns.append(world.turn(events(range(count)), count))
            tell("ids", points[0])
            held = count
            for ids in self._ids:
                world.fill(ids - held)
                point, held = Point(ids), ids
                for _ in range(self._rounds):
                    point.beside.append(self.fresh(events, count))
                    points[0].turns.append(point.beside[-1])
                    point.turns.append(world.turn(events(range(held, held + count)), count))
                    held += count
                    tell("ids", point)
                points.append(point)
            self.replayed = Point(held)
            for _ in range(self._rounds):
                self.replayed.beside.append(self.fresh(events, count))
                self.replayed.turns.append(world.turn(events(range(count)), count))
                tell("ids, nothing but duplicates", self.replayed)
            require_duplicates(self.replayed, 1.0)
        finally:
            world.end()
        return points

    def duplicates(self) -> list[Point]:
        """Share of events whose id the state holds."""
        points, count = [Point(share) for share in (0.0, 0.5, 1.0)], self._count
        for _ in range(self._rounds):
            world, new = self.world(), count
            try:
                beside = world.turn(events(range(count)), count)
                for point in points:
                    known = round(count * point.at)
                    numbers = mixed(range(known), range(new, new + count - known))
                    point.beside.append(beside)
                    point.turns.append(world.turn(events(numbers), count))
                    new += count - known
                    tell("duplicates", point)
                    require_duplicates(point, point.at)
            finally:
                world.end()
        return points

    def workers(self) -> list[Point]:
        """Worker processes."""
        points = [Point(1), Point(2)]

        def turn(workers: float) -> Drained:
            world, count = self.world(), 2 * self._count
            try:
                return world.turn(events(range(count)), count, int(workers))
            finally:
                world.end()

        return self.each("workers", points, turn)


def mixed(known: Iterable[int], new: Iterable[int]) -> Iterator[int]:
    """Numbers of both, in turn as long as there are both."""
    first, second = iter(known), iter(new)
    for number in first:
        yield number
        yield from [other] if (other := next(second, None)) is not None else []
    yield from second


def require_duplicates(point: Point, share: float) -> None:
    """A figure of duplicates is worth nothing when they were taken for new."""
    last = point.turns[-1]
    if abs(last.duplicates - share * last.events) > 0.02 * last.events:
        raise RuntimeError(f"{last.duplicates} of {last.events} events were duplicates, not a share of {share}")


def tell(title: str, point: Point) -> None:
    turn = point.turns[-1]
    say(
        f"{title} {point.at:,g}: {turn.events_per_s:,.0f} events/s, {turn.events_per_cpu_s:,.0f} by CPU, "
        f"{turn.rss_bytes / 2**20:.0f} MiB"
    )


AXES = {
    "partitions": ("Partitions of one worker", "partitions", "log"),
    "ids": ("Ids in the state", "ids in the state of one worker", "symlog"),
    "bytes": ("Size of an event", "bytes of an event", "log"),
    "batch": ("Batch size", "events of a transaction, at most (SCORELINE_BATCH_EVENTS_MAX)", "log"),
    "duplicates": ("Duplicates", "share of events that are duplicates", "linear"),
    "workers": ("Workers on two cores, the broker beside them", "worker processes", "linear"),
}
LATENCY = "latency"


def rates(data_dir: Path, seconds: float) -> list[Latency]:
    """Latency of a whole stack at each rate."""
    found: list[Latency] = []
    with local_stack(data_dir, PARTS, {}, kafka_jvm=LocalSettings().kafka_jvm):
        for rate in RATES:
            one = measure(load_settings(), data_dir, rate, seconds, LATENCY_WARM_UP_S)
            found.append(one)
            say(f"{rate:,} events/s: p50 {one.latency_ms.p50:.0f} ms, p99 {one.latency_ms.p99:.0f} ms")
            if not one.is_exact:
                raise RuntimeError(f"{one.missing} events missing, {one.double} double at {rate} events/s")
    return found


def plot(name: str, points: list[dict[str, Any]]) -> None:
    """One SVG: speed by clock and by CPU time, and memory."""
    title, x_label, scale = AXES[name]
    xs = [point["at"] for point in points]

    def line(label: str, figure: str) -> Series:
        return Series(label, xs, [point[figure] for point in points])

    speed = Panel("events/s", [line("by the clock", "events_per_s"), line("by CPU time", "events_per_cpu_s")])
    memory = Panel("peak resident memory, MiB", [line("", "peak_rss_mib")])
    growth(REPORT.with_name(f"growth-{name}.svg"), title, x_label, [speed, memory], x_scale=scale)


def plot_rates(found: list[Latency]) -> None:
    """One SVG: percentiles of the latency, and what the processes use."""
    xs = [one.rate for one in found]
    times = [Series(p, xs, [getattr(one.latency_ms, p) for one in found]) for p in ("p50", "p99")]
    names = ("kafka", "clickhouse", "worker", "sink")
    cost = [Series(name, xs, [one.cpu_share[name] * 100 for one in found]) for name in names]
    panels = [Panel("ms, acknowledged → visible", times), Panel("% of a core", cost)]
    growth(REPORT.with_name("growth-latency.svg"), "Latency against rate, whole stack on two cores", "events/s", panels)


def show(name: str, points: list[dict[str, Any]]) -> str:
    """The points of a series as a table for people."""
    names = [*points[0], *(key for key in points[-1] if key not in points[0])]
    rows = [tuple(f"{point[key]:,g}" if key in point else "" for key in names) for point in points]
    return f"\n{AXES[name][0]}\n" + table([tuple(key.replace("_", " ") for key in names), *rows])


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", nargs="+", choices=[*AXES, LATENCY], default=[*AXES, LATENCY])
    parser.add_argument("--events", type=int, default=400_000, help="events of one turn (default 400000)")
    parser.add_argument("--rounds", type=int, default=2, help="turns of each point (default 2)")
    parser.add_argument("--ids", type=int, nargs="+", default=IDS, help="sizes of the state, rising")
    parser.add_argument("--seconds", type=float, default=LATENCY_S, help="of each rate's latency (default 20)")
    parser.add_argument("--data-dir", type=Path, default=DATA_DIR, help=f"emptied folder (default {DATA_DIR})")
    options = parser.parse_args()
    data_dir = options.data_dir.absolute()
    report: dict[str, Any] = {"machine": machine(), "events": options.events, "rounds": options.rounds}
    swept = [name for name in AXES if name in options.series]
    if swept:
        with broker(data_dir, PARTITIONS) as bare:
            sweep = Sweep(bare, data_dir, options.events, options.rounds, tuple(options.ids))
            sweep.fresh(events, options.events)  # the broker's machine code
            for name in swept:
                points = [point.summary() for point in getattr(sweep, name)()]
                report[name] = points
                if name == "ids":
                    report["ids_replayed"] = sweep.replayed.summary()
                say(show(name, [*points, *([report["ids_replayed"]] if name == "ids" else [])]))
                plot(name, points)
                write_report(REPORT, report)
    if LATENCY in options.series:
        found = rates(data_dir, options.seconds)
        report[LATENCY] = [asdict(replace(one, histogram=[])) for one in found]
        plot_rates(found)
    write_report(REPORT, report)


if __name__ == "__main__":
    main()
