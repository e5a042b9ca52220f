"""What the turns of a race come to: one row an engine, medians over the rounds, and the table for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from tests.benchmarks.harness import table
from tests.benchmarks.race.engines import OURS, Engine
from tests.benchmarks.race.turn import COMPLETE, Result


@dataclass
class Row:
    """An engine's figures; medians over its turns. Ratios are its own to ours in the same round."""

    engine: str
    guarantee: str
    rounds: int
    events: int
    """Input events that it got through in its shortest turn."""
    events_per_s: float
    events_per_cpu_s: float
    peak_rss_mb: int
    ratio_to_ours: float | None
    """By the clock; None where ours took no part."""
    ratio_to_ours_by_cpu: float | None
    warm_events_per_s: float
    warm_events_per_cpu_s: float
    warm_ratio_to_ours: float | None
    warm_ratio_to_ours_by_cpu: float | None
    complete: bool
    """Whether it went through the whole input in every turn."""
    wrong: bool
    """Whether a turn failed, or wrote what it may not."""


FIGURES: Sequence[Callable[[Result], float]] = (
    lambda turn: turn.whole.per_s,
    lambda turn: turn.whole.per_cpu_s,
    lambda turn: turn.warm.per_s,
    lambda turn: turn.warm.per_cpu_s,
)


def rows(engines: Sequence[Engine], results: Sequence[Result]) -> list[Row]:
    """One row for each engine that had a turn."""
    taken = [(engine, [turn for turn in results if turn.engine == engine.name]) for engine in engines]
    ours = {turn.round: turn for turn in results if turn.engine == OURS}
    return [_row(engine, turns, ours) for engine, turns in taken if turns]


def _row(engine: Engine, turns: list[Result], ours: Mapping[int, Result]) -> Row:
    speed, by_cpu, warm, warm_by_cpu = (round(median(figure(turn) for turn in turns)) for figure in FIGURES)
    ratio, ratio_by_cpu, warm_ratio, warm_ratio_by_cpu = (_ratio(figure, turns, ours) for figure in FIGURES)
    return Row(
        engine.name,
        engine.guarantee,
        len(turns),
        min(turn.whole.events for turn in turns),
        speed,
        by_cpu,
        max(turn.peak_rss_mb for turn in turns),
        ratio,
        ratio_by_cpu,
        warm,
        warm_by_cpu,
        warm_ratio,
        warm_ratio_by_cpu,
        all(turn.ended == COMPLETE for turn in turns),
        any(turn.is_wrong for turn in turns),
    )


def _ratio(figure: Callable[[Result], float], turns: list[Result], ours: Mapping[int, Result]) -> float | None:
    pairs = [(figure(turn), figure(ours[turn.round])) for turn in turns if turn.round in ours]
    return round(median(its / own for its, own in pairs), 4) if pairs and all(own for _, own in pairs) else None


def show(engines: Sequence[Engine], found: Sequence[Row], unavailable: Mapping[str, str]) -> str:
    """The rows as a table for people; how many times as fast ours is beside each figure."""
    titles = {engine.name: engine.title for engine in engines}
    head = (
        "",
        "events/s",
        "ours ×",
        "per CPU s",
        "ours ×",
        "warm/s",
        "ours ×",
        "warm/CPU s",
        "ours ×",
        "MB",
        "outputs",
    )
    lines = [head]
    for row in found:
        figures = (
            (row.events_per_s, row.ratio_to_ours),
            (row.events_per_cpu_s, row.ratio_to_ours_by_cpu),
            (row.warm_events_per_s, row.warm_ratio_to_ours),
            (row.warm_events_per_cpu_s, row.warm_ratio_to_ours_by_cpu),
        )
        cells = [cell for speed, ratio in figures for cell in (f"{speed:,.0f}", f"{1 / ratio:.2f}" if ratio else "")]
        verdict = "WRONG" if row.wrong else "right" if row.complete else f"right, {row.events:,} read"
        lines.append((titles[row.engine], *cells, f"{row.peak_rss_mb:,}", verdict))
    promised = table([("promises", ""), *((titles[row.engine], row.guarantee) for row in found)])
    missing = "".join(f"\nnot available: {name}: {why}" for name, why in unavailable.items())
    return f"{table(lines)}\n\n{promised}{missing}"


def tell(turn: Result) -> str:
    """One turn in a line, and what was wrong with it."""
    found = turn.findings
    line = (
        f"round {turn.round}, {turn.engine}: {turn.whole.per_s:,.0f} events/s, {turn.whole.per_cpu_s:,.0f} by CPU; "
        f"warm {turn.warm.per_s:,.0f} and {turn.warm.per_cpu_s:,.0f}; {turn.peak_rss_mb:,} MB; {turn.ended}, "
        f"{found.distinct:,} of {found.distinct + found.missing:,} ids"
    )
    if not turn.is_wrong:
        return line
    counts = f"{found.duplicates} twice, {found.strangers} strange, {found.changed} changed, {found.gaps} gaps"
    return "\n  ".join((f"{line}; WRONG: {counts}, {found.missing} missing", *found.examples))


def as_json(found: Sequence[Row]) -> list[dict[str, Any]]:
    """The rows of `engines` in build/bench.json."""
    return [asdict(row) for row in found]
