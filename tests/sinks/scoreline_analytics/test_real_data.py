"""Real evaluations of real models: the questions of the page, equal to an independent computation."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from scoreline_analytics import Analytics, Filter, Question
from tests.sinks.scoreline_analytics.conftest import Store

DATA = Path(__file__).parents[4] / "shared" / "data" / "model-evaluations.jsonl.gz"


@pytest.fixture
def table(store: Store) -> pd.DataFrame:
    """The evaluations, stored one score each."""
    if not DATA.exists():
        pytest.skip("../shared/data/model-evaluations.jsonl.gz is not there")
    table = pd.read_json(DATA, lines=True, dtype=False)
    table = table[np.isfinite(table["score"])].reset_index(drop=True)
    table["at"] = pd.to_datetime(table["retrieved_at"].astype(float), unit="s", utc=True).dt.floor("us")
    store(
        *(
            {
                "name": row.evaluation_name,
                "value": row.score,
                "evaluator_model": row.model,
                "service": row.benchmark,
                "metadata": {"item": f"{row.benchmark}/{row.evaluation_name}", "developer": row.developer},
                "trace_id": row.evaluation_id,
                "timestamp": row.at.strftime("%Y-%m-%d %H:%M:%S.%f"),
            }
            for row in table.itertuples()
        )
    )
    return table


def test_questions_are_answered_as_pandas_and_scipy_would(analytics: Analytics, table: pd.DataFrame) -> None:
    """Figures by name and by a key of metadata, the histogram, days, the worst, and two models paired."""
    for by, column in (("name", "evaluation_name"), ("metadata.developer", "developer"), ("service", "benchmark")):
        groups = analytics.summary(Question(by=(by,))).groups
        expected = table.groupby(column)["score"]
        assert {group.dimensions[by]: group.figures.n for group in groups} == expected.size().to_dict()
        for group in groups:
            scores, figures = expected.get_group(group.dimensions[by]), group.figures
            assert figures.mean == pytest.approx(scores.mean(), rel=1e-9)
            assert [figures.quantiles[f"p{q}"] for q in (50, 90, 95, 99)] == pytest.approx(
                list(scores.quantile([0.5, 0.9, 0.95, 0.99])), rel=1e-9
            )
            if len(scores) > 1:
                ends = stats.t.interval(0.95, len(scores) - 1, scores.mean(), scores.sem())
                assert figures.sd == pytest.approx(scores.std(), rel=1e-7, abs=1e-9)
                if scores.std() > 0:
                    assert (figures.mean_low, figures.mean_high) == pytest.approx(ends, rel=1e-7, abs=1e-9)

    [group] = analytics.histogram(Question(by=()), 40).groups
    assert [b.n for b in group.bins] == list(np.histogram(table["score"], 40)[0])

    days = table.set_index("at")["score"].resample("D").agg(["count", "mean"])
    points = analytics.series(Question(by=()), "1d").points
    assert [point.figures.n for point in points] == list(days["count"])
    means = [math.nan if point.figures.mean is None else point.figures.mean for point in points]
    assert means == pytest.approx(list(days["mean"]), rel=1e-9, nan_ok=True)

    worst = [row["value"] for row in analytics.worst(n=50).rows()]
    assert worst == list(table["score"].sort_values().head(50))


def test_two_models_are_compared_as_scipy_would(analytics: Analytics, table: pd.DataFrame) -> None:
    """The two with the most evaluations in common; what is judged once of both is a pair."""
    once = table.drop_duplicates(["benchmark", "evaluation_name", "model"], keep=False)
    first, second = table["model"].value_counts().index[:2]
    answer = analytics.compare(
        Filter(where=(f"evaluator_model={first}",)), Filter(where=(f"evaluator_model={second}",)), "metadata.item"
    )
    wide = once.pivot_table(index=["evaluation_name", "benchmark"], columns="model", values="score")
    for compared in answer.names:
        if compared.pairs:
            pairs = wide.loc[compared.name, [first, second]].dropna()
            assert compared.pairs == len(pairs)
            assert compared.difference is not None
            assert compared.difference.difference == pytest.approx((pairs[second] - pairs[first]).mean(), abs=1e-12)
        elif compared.difference is not None and compared.difference.p is not None:
            of_name = table[table["evaluation_name"] == compared.name]
            a, b = (of_name.loc[of_name["model"] == model, "score"] for model in (first, second))
            assert compared.difference.p == pytest.approx(stats.ttest_ind(b, a, equal_var=False).pvalue, rel=1e-6)
    tested = [c for c in answer.names if c.p_bh is not None]
    raw = [c.difference.p for c in tested if c.difference is not None and c.difference.p is not None]
    assert [c.p_bh for c in tested] == pytest.approx(stats.false_discovery_control(raw) if raw else [])
