"""Answers as pictures and rows."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from scoreline_analytics.change import Changed
from scoreline_analytics.compare import Compared
from scoreline_analytics.figures import Figures, figures_of, shares_of
from scoreline_analytics.histogram import Bars, Bin
from scoreline_analytics.moments import NONE, Moments
from scoreline_analytics.series import Point
from scoreline_analytics.significance import Difference
from scoreline_analytics.summary import Group
from scoreline_analytics.ui import charts, texts
from scoreline_analytics.ui.rows import compared_marks, name_rows, range_of
from scoreline_analytics.ui.state import View

BEGIN = datetime(2026, 11, 1, tzinfo=UTC)
GAP = figures_of(NONE, 0.95)


def figures(mean: float, n: int = 10, kind: str = "NUMERIC") -> Figures:
    return figures_of(Moments(n=n, numbers=n, mean=mean, variance=0.01, types=frozenset({kind})), 0.95)


def points(*means: float | None) -> list[Point]:
    return [
        Point(BEGIN + timedelta(hours=hour), {}, GAP if mean is None else figures(mean))
        for hour, mean in enumerate(means)
    ]


def test_gap_of_a_trend_is_a_gap_in_line_and_band() -> None:
    """Nothing is drawn where nothing was judged."""
    option = charts.trend(points(0.5, None, 0.7), "NUMERIC", timedelta(hours=1))
    low, band, line = (series["data"] for series in option["series"])
    assert [item["value"][1] for item in line] == [0.5, None, 0.7]
    assert [value for _, value in low][1] is None
    assert [value for _, value in band][1] is None
    assert not any(series.get("connectNulls") for series in option["series"])


def test_band_of_a_trend_reaches_from_end_to_end_of_the_interval() -> None:
    """The lower line and what is stacked on it."""
    (point,) = points(0.5)
    option = charts.trend([point], None, timedelta(hours=1))
    low, band = (series["data"][0][1] for series in option["series"][:2])
    assert low == point.figures.mean_low
    assert abs(low + band - (point.figures.mean_high or 0)) < 1e-12


def test_bucket_between_gaps_is_seen() -> None:
    """A line of one point has no length; it is drawn as a dot."""
    line = charts.trend(points(0.5, None, 0.7, 0.8), None, timedelta(hours=1))["series"][2]["data"]
    assert [item["symbolSize"] for item in line] == [6, 0, 0, 0]
    assert charts.sparkline([figures(0.5), GAP, figures(0.7), figures(0.8)]).count("h0") == 1


def test_sparkline_breaks_at_a_gap_and_stays_in_its_box() -> None:
    """Two stretches are two lines; a wide interval is cut off."""
    svg = charts.sparkline([figures(0.1), figures(0.9, n=2), GAP, figures(0.5), figures(0.4)])
    assert svg.count("<path d=") == 2
    heights = [float(y) for y in re.findall(r"[ML][\d.]+ ([\d.-]+)", svg)]
    assert heights
    assert all(0 <= y <= charts.SPARK_HEIGHT for y in heights)


def test_sparkline_without_means_shows_counts() -> None:
    """Categories have no mean."""
    counts = [replace(GAP, n=n) for n in (4, 0, 8)]
    assert charts.sparkline(counts).count("<rect") == 2


def test_sparkline_of_an_interval_that_ends_at_zero_is_drawn_to_zero() -> None:
    """0 is a number like any other: an upper end of it is not the mean."""
    low = replace(figures(-0.5), mean_low=-1.0, mean_high=0.0)
    svg = charts.sparkline([low, replace(figures(0.5), mean_low=0.4, mean_high=0.6)])
    band = re.search(r'class="band" d="M[\d.]+ ([\d.]+)L', svg)
    line = re.search(r'<path d="M[\d.]+ ([\d.]+)L', svg)
    assert band
    assert line
    assert float(band[1]) < float(line[1])


def test_label_that_is_markup_does_not_become_markup() -> None:
    """Tooltips are HTML, labels come from anybody."""
    marks = [charts.Mark("<img src=x onerror=alert(1)>", 1.0, 0.5, 1.5, "<b>")]
    option: dict[str, Any] = charts.forest(marks, unit="", line_at=0.0, is_share=False)
    tips = [item["tip"] for series in option["series"] for item in series["data"]]
    assert len(tips) == 2
    assert not any("<img" in tip for tip in tips)


def test_histogram_has_a_bar_for_each_bin() -> None:
    """Counts as they are."""
    bars = Bars(dimensions={}, bins=(Bin(0, 0.5, 3), Bin(0.5, 1, 4)), below=0, above=0, categories=(), n=7, failed=0)
    assert [item["value"] for item in charts.distribution(bars)["series"][0]["data"]] == [3, 4]
    mixed = replace(bars, categories=shares_of([("NaN", 2)], 0.95))
    assert charts.distribution(mixed) == charts.distribution(bars), "a sender's mistake hides no histogram"


def group(name: str, f: Figures, kind: str) -> Group:
    return Group({"project": "team", "name": name, "data_type": kind}, f)


def test_failed_scores_without_a_type_are_counted_with_their_name() -> None:
    """They are no row of their own where the name has one."""
    failed = replace(GAP, failed=3)
    rows = name_rows([group("a", figures(0.5), "NUMERIC"), group("a", failed, ""), group("b", failed, "")], View())
    assert [(row.name, row.n, row.failed) for row in rows] == [("a", 10, 3), ("b", 0, 3)]


def test_rows_are_sorted_by_any_column_and_what_has_no_figure_is_last() -> None:
    """In both directions."""
    groups = [group("a", figures(0.5), "NUMERIC"), group("b", figures(0.9), "NUMERIC"), group("c", GAP, "CATEGORICAL")]
    assert [row.name for row in name_rows(groups, View(sort="-mean"))] == ["b", "a", "c"]
    assert [row.name for row in name_rows(groups, View(sort="mean"))] == ["a", "b", "c"]


def test_change_is_highlighted_by_its_corrected_p() -> None:
    """One of many names with p 0.04 is chance."""
    groups = [group(f"n{i}", figures(0.5), "NUMERIC") for i in range(5)]
    changes = {
        ("team", f"n{i}", "NUMERIC"): Changed(
            g.dimensions, g.figures, g.figures, Difference(method="t", difference=0.1, p=p)
        )
        for i, (g, p) in enumerate(zip(groups, (0.001, 0.04, 0.5, 0.6, 0.7), strict=True))
    }
    rows = name_rows(groups, View(), changes)
    assert [row.name for row in rows if row.is_significant] == ["n0"]


def score(value: float, normalized: float | None, version: int = 1) -> dict[str, Any]:
    return {"value": value, "normalized": normalized, "config_id": "c", "config_version": version}


def test_range_of_a_config_follows_from_two_normalized_values() -> None:
    """Of the newest version; where lower is better the worst is the greater."""
    assert range_of([score(2, 0.25), score(5, 1.0), score(9, 0.1, version=0)]) == (1.0, 5.0)
    assert range_of([score(0, 1.0), score(10, 0.0)]) == (10.0, 0.0)
    assert range_of([score(2, 0.25), score(2, 0.25)]) is None
    assert range_of([score(2, None)]) is None


def test_effect_without_spread_does_not_squeeze_the_others_flat() -> None:
    """Differences that are all the same have an effect beyond all measure."""

    def compared(name: str, effect: float) -> Compared:
        counts = dict.fromkeys(
            ("n_a", "n_b", "failed_a", "failed_b", "missing_a", "missing_b", "pairs", "unpaired_a", "unpaired_b"), 9
        )
        difference = Difference(method="paired t", difference=0.1, low=0.05, high=0.15, effect_size=effect)
        return Compared(name=name, data_type="NUMERIC", mean_a=0.5, mean_b=0.6, difference=difference, **counts)

    shares, means = compared_marks([compared("usual", 0.4), compared("constant", 3e15)])
    assert shares == []
    (mark,) = means
    assert (mark.label, mark.middle) == ("usual", 0.4)
    assert (mark.low, mark.high) == (pytest.approx(0.2), pytest.approx(0.6))


def test_numbers_as_people_read_them() -> None:
    """Four digits, a true minus, percent for shares, nothing for nothing."""
    assert [texts.number(x) for x in (0.66666, 1234.5, 0, -0.5, 1e-9, None)] == [
        "0.6667",
        "1,234",
        "0",
        "−0.5000",
        "1e−09",
        "–",
    ]
    assert texts.number(0.83211, "BOOLEAN") == "83.2 %"
    assert texts.signed(0.0123456) == "+0.0123"
    assert texts.signed(-0.021, "BOOLEAN") == "−2.1 pp"
    assert texts.p_value(0.0001) == "< 0.001"
    assert texts.ago(BEGIN, BEGIN + timedelta(hours=5)) == "5 h ago"
