"""Figures of the benchmarks as SVG files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

STYLE: Mapping[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "scoreline",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.edgecolor": "#888888",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "grid.color": "#e4e4e4",
    "lines.linewidth": 1.8,
    "lines.markersize": 5,
    "legend.frameon": False,
}
COLOURS = ("#1f5fa8", "#c8591c", "#3a8a4d", "#7a4fa3")
INCHES = (6.4, 3.6)


@dataclass(frozen=True)
class Series:
    """One line: a figure at each of some sizes."""

    label: str
    xs: Sequence[float]
    ys: Sequence[float]


@dataclass(frozen=True)
class Panel:
    """One pair of axes: lines of one unit. The y axis begins at 0."""

    y_label: str
    lines: Sequence[Series]


def histogram(file: Path, title: str, bins: Series, x_label: str, y_label: str, marks: Mapping[str, float]) -> None:
    """Bars of equal width at their left edges, and dashed lines at `marks`."""
    with mpl.rc_context(dict(STYLE)):
        figure = Figure(INCHES, layout="constrained")
        axes: Any = figure.subplots()
        width = bins.xs[1] - bins.xs[0] if len(bins.xs) > 1 else 1.0
        axes.bar(bins.xs, bins.ys, width=width, align="edge", color=COLOURS[0])
        for name, at in marks.items():
            axes.axvline(at, color=COLOURS[1], linestyle="--", linewidth=1)
            axes.annotate(f" {name}", (at, 1), xycoords=("data", "axes fraction"), va="top", color=COLOURS[1])
        axes.set(title=title, xlabel=x_label, ylabel=y_label, xlim=(0, None))
        axes.grid(visible=False, axis="x")
        axes.yaxis.set_major_formatter(FuncFormatter(short))
        _write(figure, file)


def growth(file: Path, title: str, x_label: str, panels: Sequence[Panel], *, x_scale: str = "log") -> None:
    """Panels side by side over one quantity; its sizes are the ticks."""
    with mpl.rc_context(dict(STYLE)):
        figure = Figure((4.2 * len(panels), 3.4), layout="constrained")
        figure.suptitle(title, x=0.01, ha="left", fontsize=11)
        grid: Any = figure.subplots(1, len(panels), squeeze=False)
        for axes, panel in zip(grid[0], panels, strict=True):
            for line, colour in zip(panel.lines, COLOURS, strict=False):
                axes.plot(line.xs, line.ys, marker="o", color=colour, label=line.label)
            axes.set(xlabel=x_label, ylabel=panel.y_label)
            axes.set_xscale(x_scale, **({"linthresh": 1e6} if x_scale == "symlog" else {}))
            axes.set_xticks(panel.lines[0].xs)
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_major_formatter(FuncFormatter(short))
                axis.set_minor_formatter(NullFormatter())
            axes.tick_params(which="minor", length=0)
            axes.set_ylim(0, 1.1 * max(max(line.ys) for line in panel.lines))
            if len(panel.lines) > 1:
                axes.legend(loc="best")
        _write(figure, file)


def short(value: float, _position: object = None) -> str:
    """`value` with a unit of thousands: 4000 is 4k, 50000000 is 50M."""
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"


def _write(figure: Figure, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, format="svg", metadata={"Date": None})
