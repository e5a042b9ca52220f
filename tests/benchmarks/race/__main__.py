"""The race: our worker against other engines that do the same work on the same topic.

One broker of the benchmark's own holds one input: events of about 370 bytes in four partitions, five in a hundred of
them repetitions spread over the whole. Each engine checks every event strictly, drops repeated ids by a state that
survives a crash, adds the fields of `scores.enriched`, and writes JSON to a topic of its own. They take turns, one at a
time; the order turns round from round to round. Quick engines (ours, Kafka Streams) read the whole input, so that the
JVM is warm in the later half; the others are stopped some time after their first output. Every output is decoded and
compared with its event. The peers' packages are fetched the first time, into build/race and the cache of jars.
Takes about twenty minutes.

    python -m tests.benchmarks.race --events 3000000 --rounds 2 --seconds 60

Prints a table and writes build/race.json. Exit status 1 when an engine wrote something wrong or failed. Speeds are
those between the first and the last output, by the broker's clock; CPU time is that of all processes of the engine,
without the broker, which shares the machine. Aims: ours 30 times stock Faust and 1.6 times a warm Kafka Streams.

Not alike: stock Faust and Bytewax promise at-least-once only; Bytewax keeps its ids in memory and SQLite snapshots.
Only ours follows score configs and lookups, tells a repeated id with other content from a repeated event and has dead
letters; peers print what they refuse. Details stand in peers/, where each peer says what it leaves out. Ids are
version 7 UUIDs, as our client makes them; `--ids random` is harder for an engine whose store is sorted by id, which
ours, sorted by a hash, is not.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scoreline.kafka import ensure_topics
from tests.benchmarks.harness import NotAvailable, broker, machine, say, write_report
from tests.benchmarks.race.engines import DEFAULT, ENGINES, Engine, provide
from tests.benchmarks.race.load import IDS, Ids, preload, read_back
from tests.benchmarks.race.report import Row, as_json, rows, show, tell
from tests.benchmarks.race.turn import Result, take_turn

REPORT = Path("build/race.json")
BUILD = Path("build/race")
DATA_DIR = Path("build/bench-race")
PARTITIONS = 4


def provide_all(names: Sequence[str]) -> tuple[list[Engine], dict[str, str]]:
    """The engines that this machine can run, and why it cannot run the others."""
    engines: list[Engine] = []
    unavailable: dict[str, str] = {}
    BUILD.mkdir(parents=True, exist_ok=True)
    for name in names:
        try:
            engines.append(provide(name, BUILD.absolute()))
        except NotAvailable as error:
            unavailable[name] = str(error)
            say(f"{name} is not available: {error}")
    return engines, unavailable


def run(engines: Sequence[Engine], events: int, ids: Ids, rounds: int, seconds: float, data_dir: Path) -> list[Result]:
    """All turns on a broker of their own, which is stopped at the end."""
    results: list[Result] = []
    with broker(data_dir, PARTITIONS) as settings:
        ensure_topics(settings)
        size = preload(settings, events, ids)
        log = read_back(settings, events, ids)
        say(f"{log.records:,} records of {size} bytes, {log.distinct:,} {ids.name} ids")
        for number in range(1, rounds + 1):
            for engine in engines if number % 2 else reversed(engines):
                results.append(take_turn(engine, settings, number, seconds, log, data_dir / "turn"))
                say(tell(results[-1]))
    return results


def report(
    found: Sequence[Row], results: Sequence[Result], unavailable: dict[str, str], options: argparse.Namespace
) -> dict[str, Any]:
    """The content of build/race.json."""
    return {
        "machine": machine(),
        "events": options.events,
        "ids": options.ids,
        "rounds": options.rounds,
        "seconds": options.seconds,
        "engines": as_json(found),
        "unavailable": unavailable,
        "turns": [turn.as_json() for turn in results],
    }


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=3_000_000, help="records of the input (default 3000000)")
    parser.add_argument("--ids", choices=list(IDS), default="time-ordered", help="(default time-ordered)")
    parser.add_argument("--rounds", type=int, default=2, help="turns of each engine (default 2)")
    parser.add_argument("--seconds", type=float, default=60.0, help="of a slow engine's turn (default 60)")
    parser.add_argument(
        "--engines",
        nargs="+",
        choices=list(ENGINES),
        default=list(DEFAULT),
        metavar="ENGINE",
        help=f"of {', '.join(ENGINES)} (default {' '.join(DEFAULT)})",
    )
    parser.add_argument("--data-dir", type=Path, default=DATA_DIR, help=f"emptied folder (default {DATA_DIR})")
    options = parser.parse_args()
    engines, unavailable = provide_all(options.engines)
    data_dir = options.data_dir.absolute()
    results = run(engines, options.events, IDS[options.ids], options.rounds, options.seconds, data_dir)
    found = rows(engines, results)
    say(show(engines, found, unavailable))
    write_report(REPORT, report(found, results, unavailable, options))
    return 1 if any(row.wrong for row in found) else 0


if __name__ == "__main__":
    sys.exit(main())
