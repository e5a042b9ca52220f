"""Answers as rows of tables: what stands in each cell. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scoreline.settings import Settings
from scoreline_analytics.change import Changed
from scoreline_analytics.compare import Compared
from scoreline_analytics.figures import Figures
from scoreline_analytics.links import trace_link
from scoreline_analytics.results import Row
from scoreline_analytics.significance import benjamini_hochberg
from scoreline_analytics.summary import Group
from scoreline_analytics.ui import texts
from scoreline_analytics.ui.charts import Mark
from scoreline_analytics.ui.state import View

SIGNIFICANT = 0.05
EFFECT_MAX = 20.0
"""Standard deviations; a greater effect is of differences without spread, and would squeeze all others flat."""
Key = tuple[str, str, str]
"""Project, name, data type."""
BY = ("project", "name", "data_type")
_KINDS = {"BOOLEAN": "true/false", "CATEGORICAL": "category", "NUMERIC": ""}
_TARGETS = (
    ("trace", "trace_id"),
    ("observation", "observation_id"),
    ("session", "session_id"),
    ("run", "dataset_run_id"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NameRow:
    """One score name of the overview."""

    project: str
    name: str
    kind: str
    url: str
    n: int
    failed: int
    figure: float | None
    """Mean, share of true, or share of the top category."""
    figure_label: str
    figure_text: str
    interval_text: str
    spark: str = ""
    change: float | None = None
    """Difference to the period before."""
    change_text: str = ""
    change_note: str = ""
    change_title: str = ""
    is_significant: bool = False


def key_of(dimensions: Mapping[str, str]) -> Key:
    """Project, name and data type of a group."""
    return dimensions["project"], dimensions["name"], dimensions["data_type"]


def name_rows(
    groups: Sequence[Group],
    view: View,
    changes: Mapping[Key, Changed] | None = None,
    sparks: Mapping[Key, str] | None = None,
) -> list[NameRow]:
    """The overview's rows in the order that the view asks for.

    Failed scores that do not say their type are counted in the row of the same name, where there is one.
    """
    typed = {key_of(group.dimensions): group.figures for group in groups}
    untyped = {key[:2]: figures.failed for key, figures in typed.items() if not key[2]}
    hosts: dict[tuple[str, str], Key] = {}
    for key in typed:
        if key[2]:
            hosts.setdefault(key[:2], key)
    corrected = _corrected(changes or {})
    rows: list[NameRow] = []
    for key, figures in typed.items():
        if not key[2] and key[:2] in hosts:
            continue
        extra = untyped.get(key[:2], 0) if key[2] and hosts[key[:2]] == key else 0
        figure, label, text, ends = headline(figures)
        rows.append(
            NameRow(
                project=key[0],
                name=key[1],
                kind=_KINDS.get(key[2], key[2]),
                url=view.to("score", name=key[1], project=key[0], q="", sort="-n").url,
                n=figures.n,
                failed=figures.failed + extra,
                figure=figure,
                figure_label=label,
                figure_text=text,
                interval_text=ends,
                spark=(sparks or {}).get(key, ""),
                **_change(changes.get(key) if changes else None, corrected.get(key)),
            )
        )
    return _sorted(rows, view.sort)


def headline(figures: Figures) -> tuple[float | None, str, str, str]:
    """The figure that stands for a group, what it is called, its text, its interval."""
    if figures.data_type == "CATEGORICAL":
        if not figures.categories:
            return None, "Top category", texts.NOTHING, ""
        top = figures.categories[0]
        ends = texts.interval(top.low, top.high, "CATEGORICAL")
        return top.share, "Top category", f"{top.label} {texts.percent(top.share)}", ends
    label = "Share of true" if figures.data_type == "BOOLEAN" else "Mean"
    ends = texts.interval(figures.mean_low, figures.mean_high, figures.data_type)
    return figures.mean, label, texts.number(figures.mean, figures.data_type), ends


def _corrected(changes: Mapping[Key, Changed]) -> dict[Key, float]:
    tested = {key: c.difference.p for key, c in changes.items() if c.difference and c.difference.p is not None}
    return dict(zip(tested, benjamini_hochberg(list(tested.values())), strict=True))


def _change(changed: Changed | None, corrected: float | None) -> dict[str, Any]:
    if changed is None or (changed.before.n == 0 and changed.now.n == 0):
        return {}
    if changed.before.n == 0:
        return {"change_text": "new", "change_note": "no scores before"}
    difference = changed.difference
    if difference is None:
        return {}
    title = f"{difference.method}: p {texts.p_value(difference.p)}, corrected {texts.p_value(corrected)}"
    ends = _ends(difference.low, difference.high, changed.now.data_type)
    is_significant = corrected is not None and corrected < SIGNIFICANT
    if difference.difference is None:
        text = "shift" if is_significant else "no shift"
        note = f"Cramér’s V {texts.number(difference.effect_size)}"
    else:
        arrow = "▲ " if difference.difference > 0 else "▼ " if difference.difference < 0 else ""
        text = arrow + texts.signed(difference.difference, changed.now.data_type)
        note = ends
    return {
        "change": difference.difference,
        "change_text": text,
        "change_note": note,
        "change_title": title,
        "is_significant": is_significant,
    }


def _ends(low: float | None, high: float | None, data_type: str | None) -> str:
    if low is None or high is None:
        return ""
    return f"{texts.signed(low, data_type).removesuffix(' pp')} to {texts.signed(high, data_type)}"


def _sorted(rows: Iterable[NameRow], sort: str) -> list[NameRow]:
    attribute = {"name": "name", "mean": "figure", "failed": "failed", "change": "change"}.get(sort.lstrip("-"), "n")
    is_descending = sort.startswith("-")
    found = sorted(rows, key=lambda row: (row.name, row.project))
    known = [row for row in found if getattr(row, attribute) is not None]
    known.sort(key=lambda row: getattr(row, attribute), reverse=is_descending)
    return known + [row for row in found if getattr(row, attribute) is None]


def score_rows(items: Iterable[Row], view: View, settings: Settings) -> list[dict[str, Any]]:
    """Whole scores as rows: what is shown of the value, targets with links, what else is known."""
    rows: list[dict[str, Any]] = []
    for item in items:
        shown = item["label"] or texts.value(item["value"])
        link = trace_link(settings, item)
        targets = [
            (what, item[column], link if column in ("trace_id", "observation_id") else None)
            for what, column in _TARGETS
            if item[column]
        ]
        labels = " · ".join(
            text for text in (item["service"], item["release"], item["evaluator_model"] or item["author"]) if text
        )
        url = view.to("score", name=item["name"], project=item["project"], q="", sort="-n").url
        rows.append({**item, "shown": shown, "targets": targets, "labels": labels, "url": url})
    return rows


def range_of(items: Iterable[Row]) -> tuple[float, float] | None:
    """Worst and best value by the score config, as the normalized values tell it; None when they tell nothing.

    `normalized` is linear in the value, so two scores of the newest config with different values suffice. Of a score
    whose lower values are better the first number is the greater one.
    """
    seen = [
        item for item in items if item["normalized"] is not None and item["value"] is not None and item["config_id"]
    ]
    if not seen:
        return None
    config = max((item["config_version"], item["config_id"]) for item in seen)
    points = {i["value"]: i["normalized"] for i in seen if (i["config_version"], i["config_id"]) == config}
    low, high = min(points), max(points)
    slope = (points[high] - points[low]) / (high - low) if high > low else 0.0
    if slope == 0.0:
        return None
    worst = low - points[low] / slope
    return round(worst, 9) + 0.0, round(worst + 1 / slope, 9) + 0.0


def compared_rows(compared: Sequence[Compared], view: View) -> list[dict[str, Any]]:
    """Rows of a comparison."""
    return [_compared_row(c, view) for c in compared]


def _compared_row(c: Compared, view: View) -> dict[str, Any]:
    d = c.difference
    is_share = c.data_type == "BOOLEAN"
    return {
        "name": c.name,
        "kind": _KINDS.get(c.data_type, c.data_type),
        "url": view.to("score", name=c.name, a="", b="", side="release", pair="auto", sort="-n").url,
        "mean_a": texts.number(c.mean_a, c.data_type),
        "mean_b": texts.number(c.mean_b, c.data_type),
        "raw": d and d.difference,
        "difference": texts.signed(d.difference, c.data_type) if d else texts.NOTHING,
        "interval": _ends(d.low, d.high, "BOOLEAN" if is_share else None) if d else "",
        "effect": texts.number(d.effect_size) if d else texts.NOTHING,
        "effect_name": (d.effect or "").replace("_", " ") if d else "",
        "p": texts.p_value(c.p_holm),
        "p_title": f"p {texts.p_value(d.p if d else None)}, by Benjamini and Hochberg {texts.p_value(c.p_bh)}",
        "method": d.method if d else "",
        "is_significant": c.p_holm is not None and c.p_holm < SIGNIFICANT,
        "counts": f"{texts.count(c.pairs)} pairs" if c.pairs else f"{texts.count(c.n_a)} / {texts.count(c.n_b)}",
        "counts_note": f"{c.unpaired_a} and {c.unpaired_b} without a partner" if c.pairs else "A / B",
    }


def compared_marks(compared: Sequence[Compared]) -> tuple[list[Mark], list[Mark]]:
    """Differences that can stand on one axis: shares as they are, means in standard deviations."""
    shares: list[Mark] = []
    means: list[Mark] = []
    for c in compared:
        d = c.difference
        if d is None or d.difference is None or d.low is None or d.high is None:
            continue
        note = f"{texts.signed(d.difference, c.data_type)} ({_ends(d.low, d.high, c.data_type)})"
        if c.data_type == "BOOLEAN":
            shares.append(Mark(c.name, d.difference, d.low, d.high, note))
        elif d.effect_size and d.difference and abs(d.effect_size) < EFFECT_MAX:
            scale = d.effect_size / d.difference
            means.append(Mark(c.name, d.effect_size, d.low * scale, d.high * scale, note))
        elif d.difference == 0:
            means.append(Mark(c.name, 0.0, None, None, note))
    return shares, means
