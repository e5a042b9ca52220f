"""Answers as pictures: ECharts options, and sparklines as SVG. Pure.

Colours are the page's CSS variables, so that a chart follows the theme without being drawn again; ECharts has to render
SVG for that. Every text that comes out of a score is escaped: ECharts' tooltips are HTML.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from html import escape
from itertools import pairwise
from typing import Any

from scoreline_analytics.figures import Figures
from scoreline_analytics.histogram import Bars
from scoreline_analytics.series import Point
from scoreline_analytics.ui import texts

Option = dict[str, Any]
ACCENT, BAND, LINE, STRONG, MUTED, TEXT = (
    f"var(--{name})" for name in ("accent", "band", "line", "line-strong", "muted", "text")
)
SPARK_WIDTH, SPARK_HEIGHT = 168.0, 36.0
_PAD = 3.0
CATEGORIES_MAX = 20
"""Bars of a category chart."""
FONT = "system-ui, sans-serif"
_FONT = {"fontFamily": FONT, "fontSize": 12, "color": MUTED}
_TIP = "(p) => (Array.isArray(p) ? p.find((q) => q.data && q.data.tip) : p)?.data?.tip ?? ''"
_FOREST = """(params, api) => {
  const y = api.coord([0, api.value(0)])[1];
  const [low, high] = [2, 3].map((column) => api.coord([api.value(column), 0])[0]);
  const style = { stroke: 'var(--accent)', lineWidth: 1.5, fill: 'none' };
  const line = (x1, y1, x2, y2) => ({ type: 'line', shape: { x1, y1, x2, y2 }, style });
  const ends = [low, high].map((x) => line(x, y - 4, x, y + 4));
  return { type: 'group', children: [line(low, y, high, y), ...ends] };
}"""


def sparkline(points: Sequence[Figures]) -> str:
    """The mean over time in its interval, gaps as gaps, as an SVG; where there is no mean the counts as bars."""
    if not any(figures.mean is not None for figures in points):
        return _svg(_count_bars([figures.n for figures in points]), "scores over time")
    spots = [
        None
        if f.mean is None
        else (f.mean, f.mean if f.mean_low is None else f.mean_low, f.mean if f.mean_high is None else f.mean_high)
        for f in points
    ]
    means = [spot[0] for spot in spots if spot is not None]
    # Where one bucket of two scores has an interval as wide as the sea, the line would be flat: the means rule.
    low, high = min(means), max(means)
    margin = (high - low) * 0.25 or abs(high) * 0.05 or 1.0
    low, high = low - margin, high + margin

    def x(index: int) -> float:
        return _PAD + (SPARK_WIDTH - 2 * _PAD) * (index / max(1, len(points) - 1) if len(points) > 1 else 0.5)

    def y(value: float) -> float:
        return _PAD + (SPARK_HEIGHT - 2 * _PAD) * (high - min(max(value, low), high)) / (high - low)

    drawn: list[str] = []
    for run in _runs([spot is not None for spot in spots]):
        kept = [(index, spot) for index in run if (spot := spots[index]) is not None]
        if len(kept) == 1:
            ((index, spot),) = kept
            drawn.append(f'<path d="M{x(index):.1f} {y(spot[0]):.1f}h0" style="stroke-width:4"/>')
            continue
        upper = "L".join(f"{x(index):.1f} {y(spot[2]):.1f}" for index, spot in kept)
        lower = "L".join(f"{x(index):.1f} {y(spot[1]):.1f}" for index, spot in reversed(kept))
        drawn.append(f'<path class="band" d="M{upper}L{lower}Z"/>')
        drawn.append('<path d="M' + "L".join(f"{x(index):.1f} {y(spot[0]):.1f}" for index, spot in kept) + '"/>')
    return _svg("".join(drawn), f"mean over time, {texts.number(min(means))} to {texts.number(max(means))}")


def _svg(inner: str, label: str) -> str:
    return (
        f'<svg class="spark" viewBox="0 0 {SPARK_WIDTH:g} {SPARK_HEIGHT:g}" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(label)}">{inner}</svg>'
    )


def _count_bars(counts: Sequence[int]) -> str:
    most = max(counts, default=0)
    if not most:
        return ""
    width = (SPARK_WIDTH - 2 * _PAD) / len(counts)
    heights = [(SPARK_HEIGHT - 2 * _PAD) * n / most for n in counts]
    return "".join(
        f'<rect x="{_PAD + width * i:.1f}" y="{SPARK_HEIGHT - _PAD - h:.1f}" width="{max(0.5, width * 0.8):.1f}" '
        f'height="{h:.1f}"/>'
        for i, h in enumerate(heights)
        if h
    )


def _runs(present: Sequence[bool]) -> list[range]:
    """Stretches of what is there."""
    edges = [i for i, (a, b) in enumerate(pairwise([False, *present, False])) if a != b]
    return [range(start, end) for start, end in zip(edges[::2], edges[1::2], strict=True)]


def trend(points: Sequence[Point], data_type: str | None, width: timedelta) -> Option:
    """The mean over time as a line in the band of its interval; a bucket without scores is a gap in both."""
    is_share = data_type == "BOOLEAN"
    lines: list[Option] = []
    lows: list[list[Any]] = []
    bands: list[list[Any]] = []
    for point in points:
        f = point.figures
        at = _axis_time(point.time)
        lines.append({"value": [at, f.mean], "tip": _trend_tip(point, data_type)})
        has_band = f.mean_low is not None and f.mean_high is not None
        lows.append([at, f.mean_low if has_band else f.mean])
        bands.append([at, (f.mean_high or 0.0) - (f.mean_low or 0.0) if has_band else None if f.mean is None else 0.0])
    alone = _alone([point.figures.mean is not None for point in points])
    for index, line in enumerate(lines):
        line["symbolSize"] = 6 if index in alone else 0
    ground = {"type": "line", "stack": "band", "stackStrategy": "all", "symbol": "none", "silent": True, "z": 1}
    return {
        **_base(),
        "grid": {"left": 8, "right": 16, "top": 16, "bottom": 8, "containLabel": True},
        "xAxis": {
            "type": "time",
            **_axis(),
            "splitLine": {"show": False},
            "minInterval": int(width.total_seconds() * 1000),
        },
        "yAxis": {"type": "value", "scale": True, **_axis(is_share=is_share), "axisLine": {"show": False}},
        "tooltip": {**_base()["tooltip"], "trigger": "axis", ":formatter": _TIP},
        "series": [
            {**ground, "data": lows, "lineStyle": {"opacity": 0}},
            {**ground, "data": bands, "lineStyle": {"opacity": 0}, "areaStyle": {"color": BAND, "opacity": 1}},
            {
                "type": "line",
                "name": "mean",
                "data": lines,
                "symbol": "circle",
                "showSymbol": True,
                "lineStyle": {"color": ACCENT, "width": 2},
                "itemStyle": {"color": ACCENT},
                "z": 2,
            },
        ],
    }


def _alone(present: Sequence[bool]) -> set[int]:
    """Buckets between gaps: a line cannot show them."""
    return {run.start for run in _runs(present) if len(run) == 1}


def _trend_tip(point: Point, data_type: str | None) -> str:
    f = point.figures
    head = f"<b>{escape(f'{point.time:%Y-%m-%d %H:%M}')}</b><br>"
    if f.mean is None:
        return f"{head}no numbers" + (f", {f.failed} failed" if f.failed else "")
    ends = texts.interval(f.mean_low, f.mean_high, data_type)
    failed = f", {texts.count(f.failed)} failed" if f.failed else ""
    return f"{head}{texts.number(f.mean, data_type)}{f' ({ends})' if ends else ''}<br>{texts.count(f.n)} scores{failed}"


def volume(points: Sequence[Point]) -> Option:
    """How many scores each bucket has: the trend of what has no mean."""
    data = [{"value": [_axis_time(p.time), p.figures.n], "tip": _trend_tip_count(p.time, p.figures)} for p in points]
    return {
        **_base(),
        "grid": {"left": 8, "right": 16, "top": 16, "bottom": 8, "containLabel": True},
        "xAxis": {"type": "time", **_axis(), "splitLine": {"show": False}},
        "yAxis": {"type": "value", **_axis(), "minInterval": 1, "axisLine": {"show": False}},
        "tooltip": {**_base()["tooltip"], "trigger": "axis", ":formatter": _TIP},
        "series": [{"type": "bar", "data": data, "itemStyle": {"color": ACCENT}, "barMaxWidth": 24}],
    }


def _trend_tip_count(time: datetime, figures: Figures) -> str:
    return f"<b>{time:%Y-%m-%d %H:%M}</b><br>{texts.count(figures.n)} scores, {texts.count(figures.failed)} failed"


def are_categories(bars: Bars) -> bool:
    """Whether the scores of a name are categories rather than numbers: most of them are, where a sender mixed both."""
    return sum(c.n for c in bars.categories) > sum(b.n for b in bars.bins)


def distribution(bars: Bars) -> Option:
    """A histogram of numbers, or a bar for each category."""
    if are_categories(bars):
        return _categories(bars)
    data = [
        {
            "value": b.n,
            "tip": f"<b>{texts.number(b.low)} to {texts.number(b.high)}</b><br>{texts.count(b.n)} scores",
        }
        for b in bars.bins
    ]
    return {
        **_base(),
        "grid": {"left": 8, "right": 16, "top": 16, "bottom": 8, "containLabel": True},
        "xAxis": {
            "type": "category",
            "data": [f"{b.low:.3g}".replace("-", "−") for b in bars.bins],
            **_axis(),
            "splitLine": {"show": False},
        },
        "yAxis": {"type": "value", **_axis(), "minInterval": 1, "axisLine": {"show": False}},
        "tooltip": {**_base()["tooltip"], "trigger": "axis", "axisPointer": {"type": "none"}, ":formatter": _TIP},
        "series": [{"type": "bar", "data": data, "barCategoryGap": "6%", "itemStyle": {"color": ACCENT}}],
    }


def _categories(bars: Bars) -> Option:
    shown = [c for c in bars.categories if c.n][:CATEGORIES_MAX][::-1]
    data = [
        {
            "value": c.share,
            "tip": f"<b>{escape(c.label)}</b><br>{texts.percent(c.share)} ({texts.interval(c.low, c.high, 'BOOLEAN')})"
            f"<br>{texts.count(c.n)} scores",
        }
        for c in shown
    ]
    return {
        **_base(),
        "grid": {"left": 8, "right": 24, "top": 8, "bottom": 8, "containLabel": True},
        "xAxis": {"type": "value", **_axis(is_share=True), "axisLine": {"show": False}},
        "yAxis": {"type": "category", "data": [c.label or "(none)" for c in shown], **_names_axis()},
        "tooltip": {**_base()["tooltip"], "trigger": "axis", "axisPointer": {"type": "none"}, ":formatter": _TIP},
        "series": [{"type": "bar", "data": data, "barMaxWidth": 22, "itemStyle": {"color": ACCENT}}],
    }


@dataclass(frozen=True, slots=True)
class Mark:
    """One line of a forest plot."""

    label: str
    middle: float
    low: float | None
    high: float | None
    note: str
    """What the tooltip says, plain text."""


def forest(marks: Sequence[Mark], *, unit: str, line_at: float | None, is_share: bool) -> Option:
    """A mark with its interval for each label, the first at the top; `line_at` is where nothing differs."""
    shown = list(marks)
    labels = [mark.label for mark in shown]
    tips = [f"<b>{escape(mark.label)}</b><br>{escape(mark.note)}" for mark in shown]
    ends = [
        {"value": [i, mark.middle, mark.low, mark.high], "tip": tips[i]}
        for i, mark in enumerate(shown)
        if mark.low is not None and mark.high is not None
    ]
    spots = [{"value": [mark.middle, i], "tip": tip} for i, (mark, tip) in enumerate(zip(shown, tips, strict=True))]
    no_difference = {
        "markLine": {
            "silent": True,
            "symbol": "none",
            "label": {"show": False},
            "lineStyle": {"color": MUTED, "type": "dashed", "width": 1},
            "data": [{"xAxis": line_at}],
        }
    }
    return {
        **_base(),
        "grid": {"left": 8, "right": 24, "top": 8, "bottom": 28 if unit else 8, "containLabel": True},
        "xAxis": {
            "type": "value",
            "scale": line_at is None,
            "name": unit,
            "nameLocation": "middle",
            "nameGap": 26,
            "nameTextStyle": _FONT,
            **_axis(is_share=is_share),
            "axisLine": {"show": False},
        },
        "yAxis": {"type": "category", "inverse": True, "data": labels, **_names_axis()},
        "tooltip": {**_base()["tooltip"], "trigger": "item", ":formatter": _TIP},
        "series": [
            {
                "type": "custom",
                ":renderItem": _FOREST,
                "encode": {"x": [1, 2, 3], "y": 0},
                "data": ends,
                "clip": True,
                "z": 2,
            },
            {
                "type": "scatter",
                "data": spots,
                "symbolSize": 9,
                "itemStyle": {"color": ACCENT},
                "emphasis": {"disabled": True},
                "z": 3,
                **(no_difference if line_at is not None else {}),
            },
        ],
    }


def forest_height(marks: Sequence[Mark]) -> int:
    """Pixels that a forest plot needs."""
    return 64 + 30 * max(2, len(marks))


def marks_of(groups: Sequence[tuple[str, Figures]]) -> list[Mark]:
    """Groups of one score as marks: the mean and its interval."""
    return [
        Mark(
            label,
            f.mean,
            f.mean_low,
            f.mean_high,
            f"{texts.number(f.mean, f.data_type)} ({texts.interval(f.mean_low, f.mean_high, f.data_type)}), "
            f"{texts.count(f.n)} scores",
        )
        for label, f in groups
        if f.mean is not None
    ]


def _axis_time(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _base() -> dict[str, Any]:
    return {
        "animation": False,
        "textStyle": {"fontFamily": FONT},
        "aria": {"enabled": True},
        "useUTC": True,
        "tooltip": {
            "confine": True,
            "backgroundColor": "var(--card)",
            "borderColor": STRONG,
            "padding": [8, 12],
            "textStyle": {"fontFamily": FONT, "fontSize": 12, "lineHeight": 18, "color": TEXT},
            "extraCssText": "box-shadow: 0 4px 16px #0003; border-radius: 6px;",
            "axisPointer": {"type": "line", "lineStyle": {"color": STRONG, "type": "solid"}},
        },
    }


def _axis(*, is_share: bool = False) -> dict[str, Any]:
    label: dict[str, Any] = {**_FONT, "hideOverlap": True}
    if is_share:
        label[":formatter"] = "(v) => (v * 100).toFixed(1).replace(/\\.0$/, '') + ' %'"
    return {
        "axisLabel": label,
        "axisLine": {"lineStyle": {"color": STRONG}},
        "axisTick": {"show": False},
        "splitLine": {"lineStyle": {"color": LINE}},
    }


def _names_axis() -> dict[str, Any]:
    return {
        "axisLabel": {**_FONT, "color": TEXT, "width": 140, "overflow": "truncate"},
        "axisLine": {"show": False},
        "axisTick": {"show": False},
    }
