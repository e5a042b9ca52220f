"""How many parts the sink makes at a rate that stays the same.

An insert is one part of each month of arrival in it, so of one, and a table's parts are its inserts. The lane inserts
when the oldest buffered row has waited for `SCORELINE_INSERT_LINGER_S` or `SCORELINE_INSERT_ROWS_MAX` rows are there:
that bounds the parts a minute whatever arrives.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from scoreline.kafka import ensure_topics
from scoreline.settings import Settings
from scoreline_sink.clickhouse import ClickHouse
from scoreline_sink.schema import migrate
from tests.benchmarks.sink.records import trickle
from tests.benchmarks.sink.turn import SINK, Process, await_rows, drop, parts_made
from tests.support import DEADLINE_S, eventually


@dataclass
class Rate:
    """Parts at one rate."""

    rows_per_s: float
    seconds: float
    rows: int
    parts: int
    bound_per_minute: float

    @property
    def parts_per_minute(self) -> float:
        return self.parts / self.seconds * 60


def bound_per_minute(settings: Settings, rows_per_s: float) -> float:
    """Inserts that a lane begins in a minute at the most."""
    lingering = 60 / settings.insert_linger_s if settings.insert_linger_s else float("inf")
    return lingering + 60 * rows_per_s / settings.insert_rows_max


def measure(settings: Settings, rate: int, seconds: float, folder: Path) -> Rate:
    """Let a sink take `rate` rows a second for so long, on topics and tables of its own."""
    folder.mkdir(parents=True)
    ensure_topics(settings)
    migrate(settings, Event())
    rows, ready = round(rate * seconds), folder / "ready"
    own = settings.model_copy(update={"ready_file": ready})
    with closing(ClickHouse(settings)) as clickhouse, Process(SINK, own, folder / "log") as process:
        eventually(lambda: process.require() or ready.exists(), "the sink is ready", DEADLINE_S)
        trickle(settings, rows, rate)
        await_rows(clickhouse, rows, process)
        parts = parts_made(clickhouse, "scores")
        drop(clickhouse)
    return Rate(rate, seconds, rows, parts, bound_per_minute(settings, rate))
