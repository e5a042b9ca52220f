"""The document's pictures, each of an answer of `Analytics`, as SVG that is the same whenever it is drawn."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from scoreline_analytics import Analytics, Filter, Question

BLUE, ORANGE, GREY, INK = "#1f6fb2", "#c8601a", "#8a8f98", "#24292f"
STYLE: dict[str, Any] = {
    "svg.hashsalt": "scoreline",
    # Text stays text: small files, and the reader's font.
    "svg.fonttype": "none",
    "path.simplify": False,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Helvetica", "Arial"],
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": GREY,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e3e6ea",
    "figure.facecolor": "white",
}
RELEASED = datetime(2026, 10, 19, tzinfo=UTC)
END = datetime(2026, 11, 2, tzinfo=UTC)


def histogram(analytics: Analytics) -> str:
    """Win rates of all models, as counted and with the length of answers taken out."""
    answer = analytics.histogram(Question(project="leaderboard"), bins=20, range=(0, 100))

    def draw(figure: Figure) -> None:
        axes = figure.subplots(2, 1, sharex=True, sharey=True)
        for axis, group, colour in zip(axes, answer.groups, (BLUE, ORANGE), strict=True):
            axis.bar(
                [b.low for b in group.bins],
                [b.n for b in group.bins],
                [b.high - b.low for b in group.bins],
                align="edge",
                color=colour,
                edgecolor="white",
            )
            axis.set_title(f"{group.dimensions['name']}, {group.n} models", loc="left", fontsize=10)
            axis.set_ylabel("models")
            axis.grid(visible=False, axis="x")
        axes[-1].set_xlabel("win rate, %")
        axes[-1].set_xlim(0, 100)
        figure.subplots_adjust(0.09, 0.13, 0.98, 0.93, hspace=0.35)

    return _svg(draw, 7.2, 4.2)


def series(analytics: Analytics) -> str:
    """Accuracy day by day; a day without scores breaks the line."""
    question = Question(names=("accuracy",), by=("name",), where=("environment=live",))
    points = analytics.series(question, "1d").points

    def draw(figure: Figure) -> None:
        axis = figure.subplots()
        times = [point.time for point in points]
        means, lows, highs = (
            [float("nan") if value is None else value for value in values]
            for values in zip(*((p.figures.mean, p.figures.mean_low, p.figures.mean_high) for p in points), strict=True)
        )
        axis.fill_between(times, lows, highs, color=BLUE, alpha=0.18, linewidth=0)
        axis.plot(times, means, color=BLUE, marker="o", markersize=4)
        axis.axvline(RELEASED, color=GREY, linestyle="--", linewidth=1)
        axis.text(RELEASED, 1.01, " v2", color=INK, transform=axis.get_xaxis_transform())
        axis.set_ylabel("mean accuracy, 95% interval")
        axis.grid(visible=False, axis="x")
        axis.set_xticks(times[::7], [f"{time:%d %b}" for time in times[::7]])
        figure.subplots_adjust(0.1, 0.1, 0.98, 0.92)

    return _svg(draw, 7.2, 3.2)


def change(analytics: Analytics) -> str:
    """Accuracy of each model and language, two weeks before the release and two weeks after."""
    question = Question(
        names=("accuracy",),
        where=("environment=live",),
        by=("metadata.model", "metadata.language"),
        since=RELEASED,
        until=END,
    )
    groups = sorted(analytics.change(question).groups, key=lambda g: tuple(g.dimensions.values()), reverse=True)

    def draw(figure: Figure) -> None:
        axis = figure.subplots()
        for row, group in enumerate(groups):
            for at, figures, colour in ((row - 0.13, group.now, BLUE), (row + 0.13, group.before, GREY)):
                assert figures.mean is not None
                axis.plot([figures.mean_low, figures.mean_high], [at, at], color=colour, linewidth=2)
                axis.plot([figures.mean], [at], "o", color=colour, markersize=6)
        axis.set_yticks(range(len(groups)), [", ".join(group.dimensions.values()) for group in groups])
        axis.set_xlabel("mean accuracy, 95% interval")
        axis.grid(visible=False, axis="y")
        for place, colour, text in ((0.0, GREY, "● before, v1"), (0.22, BLUE, "● now, v2")):
            axis.text(place, 1.04, text, color=colour, transform=axis.transAxes)
        figure.subplots_adjust(0.17, 0.16, 0.98, 0.9)

    return _svg(draw, 7.2, 3.2)


def compare(analytics: Analytics) -> str:
    """The large model less the small one on the same questions."""
    sides = (Filter(project="support", where=(f"dataset_run_id=exam-{model}",)) for model in ("m-small", "m-large"))
    names = [compared for compared in analytics.compare(*sides).names if compared.difference is not None][::-1]

    def draw(figure: Figure) -> None:
        axis = figure.subplots()
        axis.axvline(0, color=GREY, linewidth=1)
        for row, compared in enumerate(names):
            difference, holm = compared.difference, compared.p_holm
            assert difference is not None
            assert holm is not None
            colour = BLUE if holm < 0.05 else GREY
            axis.plot([difference.low, difference.high], [row, row], color=colour, linewidth=2)
            axis.plot([difference.difference], [row], "s", color=colour, markersize=6)
            axis.text(
                1.02, row, f"{compared.pairs} pairs, p {holm:.2g}", va="center", transform=axis.get_yaxis_transform()
            )
        axis.set_yticks(range(len(names)), [compared.name for compared in names])
        axis.set_ylim(-0.6, len(names) - 0.4)
        axis.set_xlabel("m-large less m-small, 95% interval; blue: p (Holm) < 0.05")
        axis.grid(visible=False, axis="y")
        figure.subplots_adjust(0.16, 0.16, 0.76, 0.97)

    return _svg(draw, 7.2, 3.2)


PICTURES: dict[str, Callable[[Analytics], str]] = {
    "histogram.svg": histogram,
    "series.svg": series,
    "change.svg": change,
    "compare.svg": compare,
}
"""File under docs/analytics → how it is drawn."""


def _svg(draw: Callable[[Figure], None], width: float, height: float) -> str:
    file = io.StringIO()
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width, height))
        FigureCanvasSVG(figure)
        draw(figure)
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return "".join(f"{line.rstrip()}\n" for line in file.getvalue().splitlines())
