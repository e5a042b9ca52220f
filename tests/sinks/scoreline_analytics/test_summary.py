"""Figures from a real ClickHouse against plain Python."""

from __future__ import annotations

import random
import statistics
from collections import defaultdict
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from scoreline.errors import ClickHouseUnavailable, QueryError, SchemaError, SettingsError
from scoreline.settings import Settings
from scoreline_analytics import Analytics, Condition, Question
from scoreline_analytics.clickhouse import Reader
from scoreline_analytics.figures import Figures
from scoreline_analytics.statements import Statement
from scoreline_analytics.summary import Summary
from tests.sinks.scoreline_analytics.conftest import Store

START = datetime(2026, 11, 1, 23, 30, tzinfo=UTC)
NASTY = [
    "it's",
    'a"b',
    "back\\slash",
    "\\'",
    "tab\there",
    "new\nline",
    "ünï 日本 🎯",
    "{x:String}",
    "%s",
    "$keys",
    "?",
    " ",
]


COMPARED = ("n", "failed", "missing", "mean", "sd", "min", "max", "p50", "p90", "p95", "p99")


def summary(settings: Settings, question: Question) -> Summary:
    """Ask, and hang up."""
    with Analytics(settings) as analytics:
        return analytics.summary(question)


def figures_of(values: list[float | None]) -> dict[str, Any]:
    """What `summary` should say about these values."""
    numbers = sorted(value for value in values if value is not None)
    cuts = statistics.quantiles(numbers, n=100, method="inclusive") if len(numbers) > 1 else numbers * 99
    return {
        "n": len(values),
        "failed": 0,
        "missing": len(values) - len(numbers),
        "mean": statistics.fmean(numbers) if numbers else None,
        "sd": statistics.stdev(numbers) if len(numbers) > 1 else None,
        "min": numbers[0] if numbers else None,
        "max": numbers[-1] if numbers else None,
        **{f"p{cut}": cuts[cut - 1] if numbers else None for cut in (50, 90, 95, 99)},
    }


def assert_figures(figures: Figures, values: list[float | None]) -> None:
    """Counts and extremes exactly, the rest as far as doubles go."""
    expected = figures_of(values)
    actual = figures.row()
    assert (actual["n"], actual["min"], actual["max"]) == (expected["n"], expected["min"], expected["max"])
    for figure in COMPARED:
        close = None if expected[figure] is None else pytest.approx(expected[figure], rel=1e-12, abs=1e-12)
        assert actual[figure] == close, figure


@pytest.fixture
def scores(store: Store) -> list[dict[str, Any]]:
    """Five hundred scores over two days, a seventh of them without a number."""
    rng = random.Random(1)
    rows = [
        {
            "name": rng.choice(["accuracy", "latency"]),
            "environment": rng.choice(["", "prod"]),
            "metadata": {"model": rng.choice(["a", "b"])} if number % 5 else {},
            "value": rng.gauss(0.5, 10.0) if number % 7 else None,
            "timestamp": (START + timedelta(minutes=4 * number)).strftime("%Y-%m-%d %H:%M:%S"),
        }
        for number in range(500)
    ]
    store(*rows)
    return rows


def grouped(rows: list[dict[str, Any]], *columns: str) -> dict[tuple[str, ...], list[float | None]]:
    """Values by the rows' values of some columns; `metadata.model` is one."""
    groups: dict[tuple[str, ...], list[float | None]] = defaultdict(list)
    for row in rows:
        flat = {**row, "metadata.model": row["metadata"].get("model", "")}
        groups[tuple(flat[column] for column in columns)].append(row["value"])
    return groups


def test_failed_scores_are_counted_apart(settings: Settings, store: Store) -> None:
    """A judge that crashed shows up and moves no figure."""
    store({"value": 0.5}, {"value": 1.0}, {"value": None, "status": "failed", "error": "timed out"})
    [group] = summary(settings, Question()).groups
    assert (group.figures.n, group.figures.failed, group.figures.mean) == (2, 1, 0.75)
    [failed] = summary(settings, Question(where=("status=failed",))).groups
    assert (failed.figures.n, failed.figures.failed, failed.figures.mean) == (0, 1, None)


@pytest.mark.parametrize("by", [(), ("name",), ("environment", "metadata.model")])
def test_figures_agree_with_plain_python(settings: Settings, scores: list[dict[str, Any]], by: tuple[str, ...]) -> None:
    """Count, mean, standard deviation, extremes and quantiles of every group, the largest first."""
    answer = summary(settings, Question(by=by))
    expected = grouped(scores, *by)
    assert answer.is_complete
    assert {tuple(group.dimensions.values()) for group in answer.groups} == expected.keys()
    for group in answer.groups:
        assert tuple(group.dimensions) == by
        assert_figures(group.figures, expected[tuple(group.dimensions.values())])
    counts = [group.figures.n for group in answer.groups]
    assert counts == sorted(counts, reverse=True)


def test_scores_are_chosen_by_time_name_and_dimension(settings: Settings, scores: list[dict[str, Any]]) -> None:
    """`since` is inside, `until` is not; of several values for one dimension any will do."""
    chosen = [
        row
        for row in scores
        if (row["name"], row["environment"]) == ("accuracy", "prod") and row["metadata"].get("model", "") in ("a", "")
    ]
    zone = timezone(timedelta(hours=2))
    since, until = (datetime.fromisoformat(chosen[n]["timestamp"] + "Z").astimezone(zone) for n in (5, 25))
    [group] = summary(
        settings,
        Question(
            by=(),
            names=("accuracy",),
            project="team",
            since=since,
            until=until,
            where=("environment=prod", "metadata.model=a", "metadata.model="),
        ),
    ).groups
    assert_figures(group.figures, [row["value"] for row in chosen[5:25]])


def test_groups_beyond_the_limit_are_told_of(settings: Settings, scores: list[dict[str, Any]]) -> None:
    """An answer that was cut says so."""
    assert not summary(settings, Question(by=("environment",), limit=1)).is_complete
    assert summary(settings, Question(by=("environment",), limit=2)).is_complete


def test_any_text_is_found_as_it_is(settings: Settings, store: Store) -> None:
    """Names, values, metadata keys and projects with every character that a query language could stumble over."""
    store(*({"name": text, "label": text, "metadata": {text: text}, "value": 1.0} for text in NASTY))
    names = {group.dimensions["name"] for group in summary(settings, Question()).groups}
    assert names == set(NASTY)
    for text in NASTY:
        dimension = f"metadata.{text}"
        asked = Question(
            by=(dimension, "label"), names=(text,), where=(Condition(dimension, "=", (text,)), f"label={text}")
        )
        [group] = summary(settings, asked).groups
        assert (group.dimensions, group.figures.n) == ({dimension: text, "label": text}, 1)


def test_true_rate_is_the_mean(settings: Settings, store: Store) -> None:
    """Of true/false scores; of categories without numbers there is no figure but the count."""
    store(*({"name": "passed", "data_type": "BOOLEAN", "value": float(n < 3), "label": "true"} for n in range(4)))
    store({"name": "verdict", "data_type": "CATEGORICAL", "value": None, "label": "good"})
    passed, verdict = summary(settings, Question()).groups
    assert (passed.figures.n, passed.figures.mean, passed.figures.true_rate) == (4, 0.75, 0.75)
    assert (verdict.figures.n, verdict.figures.missing, verdict.figures.mean) == (1, 1, None)
    assert [(share.label, share.n, share.share) for share in verdict.figures.categories] == [("good", 1, 1.0)]


def test_no_scores_are_no_groups(settings: Settings, store: Store) -> None:
    """Not one group with a count of zero."""
    assert summary(settings, Question(by=())).groups == ()


def test_nothing_can_be_written(settings: Settings, store: Store) -> None:
    """Whatever the SQL, and whatever the user may do."""
    store({"value": 1.0})
    with pytest.raises(QueryError, match="READONLY"):
        Reader(settings).rows(Statement("TRUNCATE TABLE scores", {}))
    assert summary(settings, Question()).groups[0].figures.n == 1


def test_query_is_bounded_in_time(settings: Settings, store: Store) -> None:
    """ClickHouse is told so."""
    [(seconds,)] = Reader(settings).rows(Statement("SELECT getSetting('max_execution_time')", {}))
    assert seconds == 30


def test_missing_database_names_the_remedy(settings: Settings) -> None:
    """Nobody has migrated yet."""
    with pytest.raises(SchemaError, match=f"database {settings.clickhouse_database}.*scoreline migrate"):
        summary(settings, Question())


def test_clickhouse_that_is_away_is_named_with_its_settings(settings: Settings) -> None:
    """Host, port, and where they are set."""
    away = settings.model_copy(update={"clickhouse_host": "127.0.0.1", "clickhouse_port": 22997})
    with pytest.raises(ClickHouseUnavailable, match=r"127\.0\.0\.1:22997 .*SCORELINE_CLICKHOUSE_PORT.*refused"):
        summary(away, Question())


def test_unknown_user_is_a_wrong_setting(settings: Settings) -> None:
    """Waiting would not help."""
    stranger = settings.model_copy(update={"clickhouse_user": "stranger"})
    with pytest.raises(SettingsError, match="SCORELINE_CLICKHOUSE_USER"):
        summary(stranger, Question())
