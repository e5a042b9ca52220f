"""Series, histograms, changes and comparisons from a real ClickHouse against pandas, numpy and scipy."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from scoreline.errors import QueryError
from scoreline.settings import Settings
from scoreline_analytics import Analytics, Filter, Question
from scoreline_analytics.clickhouse import Reader
from scoreline_analytics.moments import Grouping, rollup_statement
from scoreline_analytics.questions import QUANTILES
from scoreline_analytics.rollups import levels_of
from scoreline_analytics.statements import Statement
from tests.sinks.scoreline_analytics.conftest import Store

START = datetime(2026, 3, 28, 21, 30, 15, tzinfo=UTC)
SINCE, UNTIL = START + timedelta(hours=1, seconds=17, microseconds=3), START + timedelta(days=3, hours=5, seconds=1)


@pytest.fixture
def table(store: Store) -> pd.DataFrame:
    """Two thousand scores over four days, across a change of clocks: numbers, true/false, categories, failed ones."""
    rng = np.random.default_rng(7)
    n = 2000
    table = pd.DataFrame(
        {
            "name": rng.choice(["accuracy", "passed", "verdict"], n),
            "environment": rng.choice(["", "prod"], n),
            "release": rng.choice(["r1", "r2"], n),
            "item": rng.integers(0, 5000, n).astype(str),
            "failed": rng.random(n) < 0.05,
            "number": rng.normal(0.5, 0.2, n),
            "at": [START + timedelta(seconds=float(s)) for s in np.sort(rng.uniform(0, 4 * 86400, n))],
        }
    )
    table["at"] = table["at"].dt.floor("us")
    table["number"] += (table["release"] == "r2") * 0.05
    table["label"] = np.select(
        [table["name"] == "passed", table["name"] == "verdict"],
        [np.where(table["number"] > 0.5, "true", "false"), rng.choice(["good", "bad", "ugly"], n)],
        "",
    )
    table.loc[table["name"] == "passed", "number"] = (table["label"] == "true").astype(float)
    table.loc[table["name"] == "verdict", "number"] = np.nan
    table.loc[table["failed"], "number"] = np.nan
    table.loc[table["failed"], "label"] = ""
    types = {"accuracy": "NUMERIC", "passed": "BOOLEAN", "verdict": "CATEGORICAL"}
    store(
        *(
            {
                "name": row.name,
                "environment": row.environment,
                "release": row.release,
                "data_type": types[str(row.name)],
                "status": "failed" if row.failed else "ok",
                "value": None if np.isnan(row.number) else row.number,
                "label": row.label,
                "metadata": {"item": row.item},
                "timestamp": row.at.strftime("%Y-%m-%d %H:%M:%S.%f"),
            }
            for row in table.rename(columns={"name": "title"}).assign(name=table["name"]).itertuples()
        )
    )
    return table


def close(a: Any, b: Any) -> bool:
    """Both nothing, or the same to nine digits."""
    if a is None or b is None or isinstance(a, (str, datetime)):
        return a == b
    return a == pytest.approx(b, rel=1e-9, abs=1e-9)


def rows_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """No rollup answers any more."""
    for module in ("moments", "sides", "histogram", "extent", "catalogue"):
        monkeypatch.setattr(f"scoreline_analytics.{module}.levels_of", lambda *_: ())


QUESTIONS = [
    Question(),
    Question(by=()),
    Question(by=("environment", "label"), since=SINCE, until=UNTIL),
    Question(by=("data_type",), names=("passed", "verdict"), since=SINCE),
    Question(until=UNTIL, where=("environment=prod", "label!=good")),
    Question(since=START + timedelta(minutes=3), until=START + timedelta(minutes=59)),
]


@pytest.mark.parametrize("question", QUESTIONS)
def test_rollups_say_the_same_as_rows(
    analytics: Analytics, table: pd.DataFrame, monkeypatch: pytest.MonkeyPatch, question: Question
) -> None:
    """Summaries and series, with ends in the middle of a day, an hour and a second."""

    def ask() -> list[list[dict[str, Any]]]:
        return [
            analytics.summary(question, ()).rows(),
            analytics.series(question, "1d").rows(),
            analytics.series(question, "6h", "Europe/Berlin").rows(),
            analytics.series(question, "45m", "Asia/Kolkata").rows(),
        ]

    rolled = ask()
    rows_only(monkeypatch)
    plain = ask()
    for a, b in zip(rolled, plain, strict=True):
        assert len(a) == len(b) > 0
        for row_a, row_b in zip(a, b, strict=True):
            assert all(close(row_a[key], row_b[key]) for key in row_a if key != "categories"), (row_a, row_b)
    assert [row["categories"] for row in rolled[0]] == [row["categories"] for row in plain[0]]


@pytest.mark.parametrize("question", QUESTIONS[2:5])
def test_clickhouse_reads_the_projections(settings: Settings, table: pd.DataFrame, question: Question) -> None:
    """As it says itself: the middle of the time is read from a rollup. (All of a small table is not.)"""
    reader = Reader(settings)
    levels = levels_of(question, question.by)
    statement = rollup_statement(question, Grouping(question.by), None, levels, 10)
    plan = reader.rows(Statement(f"EXPLAIN {statement.sql}", statement.parameters))
    reader.close()
    assert any(rollup in line for (line,) in plan for rollup in ("(by_day)", "(by_hour)", "(by_origin)"))


def test_gaps_are_points_without_a_mean(analytics: Analytics, store: Store) -> None:
    """In every bucket every group has a point; one that only has a failed score says so."""
    store(
        {"name": "a", "value": 1.0, "timestamp": "2026-03-01 00:10:00"},
        {"name": "a", "value": 3.0, "timestamp": "2026-03-01 03:10:00"},
        {"name": "b", "value": None, "status": "failed", "timestamp": "2026-03-01 02:59:59.999999"},
    )
    points = analytics.series(Question(), "1h").points
    assert [(p.time.hour, p.dimensions["name"], p.figures.n, p.figures.failed, p.figures.mean) for p in points] == [
        (0, "a", 1, 0, 1.0),
        (0, "b", 0, 0, None),
        (1, "a", 0, 0, None),
        (1, "b", 0, 0, None),
        (2, "a", 0, 0, None),
        (2, "b", 0, 1, None),
        (3, "a", 1, 0, 3.0),
        (3, "b", 0, 0, None),
    ]


@pytest.mark.parametrize(("step", "frequency"), [("30s", "30s"), ("45m", "45min"), ("6h", "6h"), ("1d", "D")])
def test_series_is_that_of_pandas(analytics: Analytics, table: pd.DataFrame, step: str, frequency: str) -> None:
    """`resample`, in a zone where the clocks change in between."""
    zone = "Europe/Berlin" if step == "1d" else "UTC"
    since, until = (SINCE, UNTIL) if step != "30s" else (START, START + timedelta(hours=3))
    asked = Question(names=("accuracy",), by=(), since=since, until=until)
    chosen = table[(table["name"] == "accuracy") & ~table["failed"] & (table["at"] >= since) & (table["at"] < until)]
    expected = chosen.set_index("at")["number"].tz_convert(zone).resample(frequency).agg(["count", "mean", "std"])
    found = analytics.series(asked, step, zone, quantiles=(0.5,))
    by_time = {point.time: point for point in found.points}
    assert sum(point.figures.n for point in found.points) == len(chosen)
    for at, row in expected.iterrows():
        figures = by_time[at.to_pydatetime()].figures
        assert figures.n == row["count"]
        assert close(figures.mean, None if np.isnan(row["mean"]) else row["mean"])
        assert close(figures.sd, None if np.isnan(row["std"]) else row["std"])


def test_summary_of_any_quantile_is_that_of_numpy(analytics: Analytics, table: pd.DataFrame) -> None:
    """Linear between two scores; their names are percentages."""
    numbers = table.loc[table["name"] == "accuracy", "number"].dropna()
    [group] = analytics.summary(Question(names=("accuracy",)), (0.0, 0.123, 0.999, *QUANTILES)).groups
    assert list(group.figures.quantiles) == ["p0", "p12.3", "p99.9", "p50", "p90", "p95", "p99"]
    assert list(group.figures.quantiles.values()) == pytest.approx(
        list(np.quantile(numbers, [0.0, 0.123, 0.999, *QUANTILES])), rel=1e-12
    )


@pytest.mark.parametrize("bins", [1, 7, 20])
@pytest.mark.parametrize("range_", [None, (0.0, 1.0)])
def test_histogram_is_that_of_numpy(
    analytics: Analytics, table: pd.DataFrame, bins: int, range_: tuple[float, float] | None
) -> None:
    """Every number in the same bin, edges too; what lies outside is counted apart; groups share the bins."""
    answer = analytics.histogram(Question(names=("accuracy",), by=("environment",)), bins, range_)
    numbers = table[(table["name"] == "accuracy") & ~table["failed"]]
    edges = np.histogram_bin_edges(numbers["number"], bins, range_)
    for group in answer.groups:
        of_group = numbers.loc[numbers["environment"] == group.dimensions["environment"], "number"]
        assert [b.n for b in group.bins] == list(np.histogram(of_group, edges)[0])
        assert [b.low for b in group.bins] == list(edges[:-1])
        assert (group.below, group.above) == ((of_group < edges[0]).sum(), (of_group > edges[-1]).sum())
        assert group.n == len(of_group)


def test_numbers_on_the_edges_lie_where_numpy_puts_them(analytics: Analytics, store: Store) -> None:
    """Tenths are the classic trap: 0.3 / 0.1 is not three."""
    numbers = [n / 10 for n in range(11)] + [0.3, 0.6, 0.7]
    store(*({"value": number} for number in numbers))
    [group] = analytics.histogram(Question(), 10, (0.0, 1.0)).groups
    assert [b.n for b in group.bins] == list(np.histogram(numbers, 10, (0.0, 1.0))[0])


def test_histogram_of_categories_counts_them_as_they_are(analytics: Analytics, table: pd.DataFrame) -> None:
    """True and false are categories too."""
    answer = analytics.histogram(Question(names=("passed", "verdict"), by=("name",)))
    for group in answer.groups:
        labels = table.loc[(table["name"] == group.dimensions["name"]) & ~table["failed"], "label"].value_counts()
        assert {share.label: share.n for share in group.categories} == labels.to_dict()
        assert group.bins == ()


def test_equal_numbers_have_a_bin_of_their_own(analytics: Analytics, store: Store) -> None:
    """As numpy: half below and half above."""
    store({"value": 2.0}, {"value": 2.0})
    [group] = analytics.histogram(Question(), 2).groups
    assert [(b.low, b.high, b.n) for b in group.bins] == [(1.5, 2.0, 0), (2.0, 2.5, 2)]


def test_change_is_that_of_scipy(analytics: Analytics, table: pd.DataFrame) -> None:
    """Two days against the two before: Welch's t, Fisher's exact test, chi-squared."""
    middle, end = START + timedelta(days=2), START + timedelta(days=4)
    answer = analytics.change(Question(since=middle), now=end)
    assert (answer.before.since, answer.before.until) == (START, middle)
    found = {group.dimensions["name"]: group for group in answer.groups}
    ok = table[~table["failed"]]
    before, now = ok[ok["at"] < middle], ok[ok["at"] >= middle]
    a, b = (side.loc[side["name"] == "accuracy", "number"] for side in (before, now))
    welch = stats.ttest_ind(b, a, equal_var=False)
    difference = found["accuracy"].difference
    assert difference is not None
    assert (difference.method, close(difference.p, welch.pvalue)) == ("Welch t", True)
    assert close(difference.low, welch.confidence_interval().low)
    a, b = (side.loc[side["name"] == "passed", "number"] for side in (before, now))
    difference = found["passed"].difference
    assert difference is not None
    assert close(difference.p, stats.fisher_exact([[b.sum(), (1 - b).sum()], [a.sum(), (1 - a).sum()]]).pvalue)
    assert close(difference.difference, b.mean() - a.mean())
    verdicts = [side[side["name"] == "verdict"] for side in (before, now)]
    counts = pd.concat([side["label"].value_counts() for side in verdicts], axis=1).fillna(0)
    difference = found["verdict"].difference
    assert difference is not None
    assert close(difference.p, stats.chi2_contingency(counts, correction=False).pvalue)


def test_change_without_a_beginning_is_no_question(analytics: Analytics) -> None:
    """What would be before it?"""
    with pytest.raises(QueryError, match="--since 7d"):
        analytics.change(Question())


def test_comparison_of_independent_sides_is_that_of_scipy(analytics: Analytics, table: pd.DataFrame) -> None:
    """Nothing is paired where it is asked not to be; every name has its corrected p values."""
    answer = analytics.compare(Filter(where=("release=r1",)), Filter(where=("release=r2",)), "none")
    assert (answer.pair, answer.rule) == (None, "not paired, as asked")
    found = {compared.name: compared for compared in answer.names}
    accuracy = table[(table["name"] == "accuracy")]
    a, b = (accuracy.loc[accuracy["release"] == release, "number"].dropna() for release in ("r1", "r2"))
    welch = stats.ttest_ind(b, a, equal_var=False)
    row = found["accuracy"].row()
    assert (row["n_a"], row["n_b"], row["pairs"], row["unpaired_a"]) == (len(a), len(b), 0, len(a))
    assert close(row["p"], welch.pvalue)
    assert close(row["high"], welch.confidence_interval().high)
    assert row["failed_a"] == (accuracy["failed"] & (accuracy["release"] == "r1")).sum()
    p_values = [row["p"] for row in answer.rows()]
    assert [row["p_bh"] for row in answer.rows()] == pytest.approx(stats.false_discovery_control(p_values))
    assert all(row["p"] <= row["p_bh"] <= row["p_holm"] for row in answer.rows())


def test_comparison_pairs_by_item(analytics: Analytics, table: pd.DataFrame) -> None:
    """By the first key that two items share; two numbers of an item are averaged, two true/false of it make no pair."""
    answer = analytics.compare(Filter(where=("release=r1",)), Filter(where=("release=r2",)))
    assert answer.pair == "metadata.item"
    assert answer.rule.startswith("paired by metadata.item, the first key with two common items")
    found = {compared.name: compared for compared in answer.names}
    ok = table[~table["failed"]]
    for name in ("accuracy", "passed"):
        sides = [ok[(ok["name"] == name) & (ok["release"] == release)] for release in ("r1", "r2")]
        if name == "passed":
            sides = [side.drop_duplicates("item", keep=False) for side in sides]
        means = [side.groupby("item")["number"].mean() for side in sides]
        pairs = pd.concat(means, axis=1, join="inner", keys=["a", "b"])
        row = found[name].row()
        n_a = sum((ok["name"] == name) & (ok["release"] == "r1"))
        assert (row["pairs"], row["unpaired_a"]) == (len(pairs), n_a - sides[0]["item"].isin(pairs.index).sum())
        assert len(pairs) > 10
        assert close(row["difference"], (pairs["b"] - pairs["a"]).mean())
        assert close(row["mean_a"], pairs["a"].mean())
        if name == "accuracy":
            test = stats.ttest_rel(pairs["b"], pairs["a"])
            assert row["method"] == "paired t"
            assert close(row["low"], test.confidence_interval().low)
            assert close(row["p"], test.pvalue)
        else:
            only_b = int((pairs["b"] > pairs["a"]).sum())
            apart = int((pairs["b"] != pairs["a"]).sum())
            assert row["method"] == "McNemar exact"
            assert close(row["p"], stats.binomtest(only_b, apart).pvalue)
    assert found["verdict"].pairs == 0


def test_failed_scores_without_a_type_count_with_their_name(analytics: Analytics, store: Store) -> None:
    """On each side and in the list of names; where the name has two types, they are in a row of their own."""
    failed = {"status": "failed", "data_type": "", "value": None}
    store({"release": "v1"}, {"release": "v1", "value": 1.0}, {"release": "v1", **failed}, {"release": "v2", **failed})
    a, b = (Filter(names=("accuracy",), where=(f"release={release}",)) for release in ("v1", "v2"))
    [compared] = analytics.compare(a, b).names
    assert (compared.data_type, compared.n_a, compared.n_b) == ("NUMERIC", 2, 0)
    assert (compared.failed_a, compared.failed_b) == (1, 1)
    assert compared.difference is None
    store({"name": "mixed"}, {"name": "mixed", "data_type": "BOOLEAN"}, {"name": "mixed", **failed})
    assert [(name.name, name.data_type, name.n, name.failed) for name in analytics.names().names] == [
        ("accuracy", "NUMERIC", 2, 2),
        ("mixed", "BOOLEAN", 1, 0),
        ("mixed", "NUMERIC", 1, 0),
        ("mixed", "", 0, 1),
    ]


def test_pairing_by_what_names_no_item_is_refused(analytics: Analytics, table: pd.DataFrame) -> None:
    """With the keys that do."""
    a, b = Filter(where=("release=r1",)), Filter(where=("release=r2",))
    for pair, message in (("name", "names no item"), ("colour", "no dimension 'colour'")):
        with pytest.raises(QueryError, match=message):
            analytics.compare(a, b, pair)
    with pytest.raises(QueryError, match="both sides are the same"):
        analytics.compare(a, a)
    with pytest.raises(QueryError, match="no score has release 'r3'; there are r"):
        analytics.compare(a, Filter(where=("release=r3",)))


def test_agreement_is_that_of_scipy(analytics: Analytics, store: Store) -> None:
    """Two judges, numbers and labels; who judged alone is counted."""
    rng = np.random.default_rng(3)
    a = rng.integers(0, 5, 60)
    b = np.clip(a + rng.integers(-1, 2, 60), 0, 4)
    for judge, values in (("ann", a), ("bot", b)):
        store(
            *(
                {"author": judge, "value": int(v), "label": f"l{v}", "data_type": "CATEGORICAL", "trace_id": f"t{n}"}
                for n, v in enumerate(values)
            )
        )
    store({"author": "ann", "value": 1.0, "trace_id": "alone"})
    found = analytics.agreement(Filter(where=("author=ann",)), Filter(where=("author=bot",)))
    assert (found.pair, found.pairs, found.unpaired_a, found.unpaired_b) == ("trace_id", 60, 1, 0)
    pearson = stats.pearsonr(a, b)
    assert close(found.pearson, pearson.statistic)
    assert close(found.pearson_low, pearson.confidence_interval().low)
    assert close(found.spearman, stats.spearmanr(a, b).statistic)
    assert close(found.mae, np.abs(a - b).mean())
    assert close(found.same, (a == b).mean())
    assert sum(found.confusion.values()) == 60
    with pytest.raises(QueryError, match=r"nothing to compare: not paired.*--pair metadata\.KEY"):
        analytics.agreement(Filter(where=("author=ann",)), Filter(where=("author=bot",)), "session_id")


STRD = {
    "NumAcc1": ([10000001.0, 10000003.0, 10000002.0], 10000002.0, 1.0),
    "NumAcc2": ([1.2, *[1.1, 1.3] * 500], 1.2, 0.1),
    "NumAcc3": ([1000000.2, *[1000000.1, 1000000.3] * 500], 1000000.2, 0.1),
    "NumAcc4": ([10000000.2, *[10000000.1, 10000000.3] * 500], 10000000.2, 0.1),
}
"""NIST's Statistical Reference Datasets for univariate summary statistics, with their certified mean and sd."""


def test_mean_and_sd_are_those_that_nist_certifies(analytics: Analytics, store: Store) -> None:
    """From rows and from rollups: where sums of squares have lost the digits, the rows are asked."""
    store(*({"name": name, "value": value} for name, (values, _, _) in STRD.items() for value in values))
    for quantiles in ((), QUANTILES):
        for name in STRD:
            [group] = analytics.summary(Question(names=(name,)), quantiles).groups
            _, mean, sd = STRD[name]
            assert group.figures.mean == pytest.approx(mean, rel=1e-14)
            # NumAcc4's numbers are no doubles: seven digits of the spread are all that these hold.
            assert group.figures.sd == pytest.approx(sd, rel=1e-7 if name == "NumAcc4" else 1e-8)


def test_answers_are_json_without_nan(analytics: Analytics, store: Store) -> None:
    """Also where a sum overflows."""
    store({"value": 1.7e308}, {"value": 1.7e308}, {"value": -1.7e308})
    for quantiles in ((), QUANTILES):
        rows = analytics.summary(Question(), quantiles).rows()
        json.dumps(rows, allow_nan=False)
        assert rows[0]["max"] == 1.7e308
