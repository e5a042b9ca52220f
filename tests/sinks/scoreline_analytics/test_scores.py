"""Whole scores: the worst, the latest, exports, lookups; and what a reader may see of them."""

from __future__ import annotations

import csv
import io
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from scoreline.errors import ClickHouseUnavailable, QueryError, SettingsError
from scoreline.settings import Settings
from scoreline_analytics import Analytics, Filter, Question
from scoreline_analytics.clickhouse import CONNECTIONS_MAX, Reader
from scoreline_analytics.formats import to_json
from scoreline_analytics.results import require
from scoreline_analytics.statements import Statement
from tests.sinks.scoreline_analytics.conftest import Store


@pytest.fixture
def stored(store: Store) -> None:
    """Numbers with and without a config, a failed score, a category without a number; two projects."""
    store(
        {"score_id": "good", "value": 0.9, "timestamp": "2026-11-01 10:00:00", "metadata": {"item": "1", "a": "b,\n"}},
        {
            "score_id": "bad",
            "value": 0.1,
            "timestamp": "2026-11-01 11:00:00",
            "comment": "Wrong, and how",
            "author": "ann",
        },
        {"score_id": "slow", "name": "latency", "value": 9.0, "normalized": 0.05, "timestamp": "2026-11-01 12:00:00"},
        {"score_id": "broken", "value": None, "status": "failed", "error": "crash", "timestamp": "2026-11-01 13:00:00"},
        {"score_id": "word", "name": "tone", "data_type": "CATEGORICAL", "label": "kind", "value": None},
        {"score_id": "good", "project": "others", "value": -5.0, "trace_id": "t-2", "name": "secret"},
    )


def ids(rows: Any) -> list[str]:
    """Of whole scores."""
    return [row["score_id"] for row in rows.rows()]


@pytest.mark.usefixtures("stored")
def test_worst_is_the_lowest_normalized_or_else_the_lowest_value(analytics: Analytics) -> None:
    """Lower-is-better is in `normalized`. Failed scores and words without a number are no candidates."""
    team = Filter(project="team")
    assert ids(analytics.worst(team)) == ["slow", "bad", "good"]
    assert ids(analytics.worst(team, 1)) == ["slow"]
    [row] = analytics.worst(Filter(project="team", names=("accuracy",)), 1).rows()
    assert (row["comment"], row["author"], row["trace_id"], row["normalized"]) == ("Wrong, and how", "ann", "t-1", None)
    assert row["timestamp"] == datetime(2026, 11, 1, 11, tzinfo=UTC)


@pytest.mark.usefixtures("stored")
def test_latest_is_by_the_judged_time(analytics: Analytics) -> None:
    """Failed ones too."""
    assert ids(analytics.latest(Filter(project="team"), 3)) == ["broken", "slow", "word"]
    assert ids(analytics.latest(Filter(project="team"))) == ["broken", "slow", "word", "bad", "good"]
    assert ids(analytics.latest(Filter(where=("comment~WRONG",)))) == ["bad"]


@pytest.mark.usefixtures("stored")
def test_scores_are_chosen_by_any_field(analytics: Analytics) -> None:
    """Text, number, time, keys of metadata."""

    def chosen(*where: str) -> set[str]:
        return set(ids(analytics.latest(Filter(project="team", where=where))))

    assert chosen("value>=0.9") == {"good", "slow"}
    assert chosen("value>0.05", "value<0.9") == {"bad"}
    assert chosen("value=0.1", "value=9") == {"bad", "slow"}
    assert chosen("value!=0.1", "status!=failed") == {"good", "slow"}
    assert chosen("!value") == {"broken", "word"}
    assert chosen("metadata.item") == {"good"}
    assert chosen("!metadata.item") == {"bad", "slow", "broken", "word"}
    assert chosen("timestamp>=2026-11-01T12:30:00Z") == {"broken"}
    assert chosen("score_id=bad", "score_id=good") == {"bad", "good"}
    assert chosen("error~crash") == {"broken"}
    assert chosen("author") == {"bad"}


@pytest.mark.usefixtures("stored")
def test_score_and_trace_are_found_by_their_ids(analytics: Analytics) -> None:
    """An id is one of its project."""
    found = analytics.score("others", "good")
    assert found is not None
    assert (found["value"], found["metadata"]) == (-5.0, {})
    assert analytics.score("others", "bad") is None
    assert ids(analytics.trace("t-2")) == ["good"]
    assert ids(analytics.trace("t-2", "team")) == []


@pytest.mark.usefixtures("stored")
def test_reader_sees_own_projects_only(settings: Settings) -> None:
    """Whatever is asked, and asking for another project lists the own ones."""
    with Analytics(settings, projects=("others",)) as analytics:
        assert [name.name for name in analytics.names().names] == ["secret"]
        assert analytics.values("project").counts == {"others": 1}
        assert [group.figures.n for group in analytics.summary(Question()).groups] == [1]
        assert ids(analytics.worst()) == ids(analytics.latest()) == ["good"]
        assert [row["project"] for batch in analytics.scores() for row in batch.rows()] == ["others"]
        assert analytics.score("others", "nothing") is None
        assert ids(analytics.trace("t-1")) == []
        with pytest.raises(QueryError, match=r"no score has project 'team'; there are others$"):
            analytics.score("team", "good")
        assert "metadata.item" not in analytics.dimensions().counts
        with pytest.raises(QueryError, match=r"no score has project 'team'; there are others$"):
            analytics.summary(Question(project="team"))
        with pytest.raises(QueryError, match=r"no score has name 'accuracy'; there are secret$"):
            analytics.latest(Filter(names=("accuracy",)))
    with Analytics(settings, projects=()) as analytics:
        assert analytics.names().names == ()


@pytest.mark.usefixtures("stored")
def test_what_does_not_exist_is_told_with_what_does(analytics: Analytics) -> None:
    """The likest first. What exists and has no scores in that time is an empty answer."""
    with pytest.raises(QueryError, match="no score has name 'acuracy'; there are accuracy, "):
        analytics.summary(Question(names=("acuracy",)))
    with pytest.raises(QueryError, match="no score has name 'acuracy'"):
        analytics.series(Question(names=("tone", "acuracy")), "1d")
    with pytest.raises(QueryError, match=r"no score has author 'anna'; there are .*ann"):
        analytics.worst(Filter(where=("author=anna",)))
    assert analytics.summary(Question(names=("accuracy",), since=datetime(2030, 1, 1, tzinfo=UTC))).groups == ()


def test_grouping_by_a_key_that_no_score_has_is_refused(analytics: Analytics, store: Store) -> None:
    """One group of everything would look like an answer. A key that other scores have is fine."""
    store({"metadata": {"model": "m-7"}}, {"name": "toxicity"})
    wrong = Question(by=("metadata.modell",), since=datetime(2026, 11, 1, tzinfo=UTC))
    for ask in (
        lambda: analytics.summary(wrong),
        lambda: analytics.series(wrong, "1d"),
        lambda: analytics.histogram(wrong),
        lambda: analytics.change(wrong, datetime(2026, 11, 2, tzinfo=UTC)),
    ):
        with pytest.raises(QueryError, match=r"no score has metadata\.modell; there are metadata\.model$"):
            ask()
    [group] = analytics.summary(Question(names=("toxicity",), by=("metadata.model",))).groups
    assert group.dimensions == {"metadata.model": ""}


def test_no_scores_yet_is_said(analytics: Analytics, store: Store) -> None:
    """Rather than an empty list of names."""
    with pytest.raises(QueryError, match="there are no scores yet"):
        analytics.latest(Filter(names=("accuracy",)))
    assert analytics.latest().items == ()
    assert analytics.series(Question(), "1d").points == ()
    assert analytics.histogram(Question()).groups == ()


@pytest.mark.usefixtures("stored")
def test_names_say_type_counts_and_the_latest(analytics: Analytics) -> None:
    """To the microsecond, in the filter's time."""
    found = {name.name: name for name in analytics.names(Filter(project="team")).names}
    accuracy = found["accuracy"]
    assert (accuracy.data_type, accuracy.n, accuracy.failed) == ("NUMERIC", 2, 1)
    assert accuracy.last == datetime(2026, 11, 1, 13, tzinfo=UTC)
    early = analytics.names(Filter(until=datetime(2026, 11, 1, 11, 30, tzinfo=UTC))).names
    assert [(name.name, name.n, name.last.hour) for name in early] == [("accuracy", 2, 11)]
    assert analytics.dimensions().counts["metadata.item"] == 1


def test_latest_of_a_name_is_before_the_end_that_was_asked(analytics: Analytics, store: Store) -> None:
    """Also when the day of that end has later scores only."""
    store({"value": 1.0, "timestamp": "2026-11-01 10:00:00"}, {"value": 1.0, "timestamp": "2026-11-03 12:00:00"})
    [name] = analytics.names(Filter(until=datetime(2026, 11, 3, 11, tzinfo=UTC))).names
    assert (name.n, name.last) == (1, datetime(2026, 11, 1, 10, tzinfo=UTC))


@pytest.mark.usefixtures("stored")
def test_export_is_the_same_in_every_format(analytics: Analytics, tmp_path: Path) -> None:
    """Types where the format has them; a file appears when it is whole."""
    for suffix in ("csv", "json", "jsonl", "parquet"):
        assert analytics.scores().write(tmp_path / f"scores.{suffix}") == 6
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "scores.csv",
        "scores.json",
        "scores.jsonl",
        "scores.parquet",
    ]
    as_json = json.loads((tmp_path / "scores.json").read_text())
    assert [json.loads(line) for line in (tmp_path / "scores.jsonl").read_text().splitlines()] == as_json
    assert [row["score_id"] for row in as_json] == ["good", "good", "bad", "broken", "slow", "word"]
    good = as_json[1]
    assert (good["timestamp"], good["metadata"]) == ("2026-11-01T10:00:00Z", {"item": "1", "a": "b,\n"})
    table = pq.read_table(tmp_path / "scores.parquet")
    assert table["value"].to_pylist() == [row["value"] for row in as_json]
    assert table["timestamp"][1].as_py() == datetime(2026, 11, 1, 10, tzinfo=UTC)
    with (tmp_path / "scores.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["value"] for row in rows] == ["-5.0", "0.9", "0.1", "", "9.0", ""]
    assert json.loads(rows[1]["metadata"]) == good["metadata"]


def test_export_of_nothing_has_columns(analytics: Analytics, store: Store, tmp_path: Path) -> None:
    """In every format that has any."""
    assert analytics.scores().write(tmp_path / "none.parquet") == 0
    assert "comment" in pq.read_table(tmp_path / "none.parquet").column_names
    file = io.BytesIO()
    analytics.scores().write(file, "csv")
    assert file.getvalue().startswith(b"project,score_id,name,")
    with pytest.raises(QueryError, match=r"\.csv, \.json, \.jsonl or \.parquet"):
        analytics.scores().write(tmp_path / "scores.xlsx")


def test_answer_that_breaks_off_leaves_no_file(settings: Settings, store: Store) -> None:
    """An error in the middle of a stream is an error, not a short answer."""
    reader = Reader(settings)
    with pytest.raises(ClickHouseUnavailable, match="broke off in the middle"):
        for _ in reader.batches(Statement("SELECT number, throwIf(number = 3000000) FROM numbers(5000000)", {})):
            pass
    assert reader.rows(Statement("SELECT 1", {})) == [(1,)]
    reader.close()


@pytest.mark.usefixtures("stored")
def test_answers_are_frames(analytics: Analytics) -> None:
    """Arrow, pandas and polars with the same cells and types, also of an answer without rows."""
    for answer in (
        analytics.summary(Question()),
        analytics.series(Question(), "1h"),
        analytics.names(),
        analytics.latest(),
        analytics.histogram(Question()),
        analytics.compare(Filter(names=("accuracy",)), Filter(names=("latency",))),
    ):
        table = answer.to_arrow()
        assert table.column_names == list(answer.columns)
        assert table.num_rows == len(answer.rows()) > 0
        assert list(answer.to_pandas().columns) == list(answer.columns)
        assert answer.to_polars().height == table.num_rows
        json.loads(to_json(answer.rows()))
    empty = analytics.summary(Question(since=datetime(2030, 1, 1, tzinfo=UTC)))
    assert empty.to_arrow().schema.field("mean").type == "double"
    with pytest.raises(SettingsError, match="pip install 'scoreline\\[analytics\\]'"):
        require("no_such_module", "analytics")


@pytest.mark.usefixtures("stored")
def test_many_threads_share_one_handle(analytics: Analytics) -> None:
    """More of them than connections; each gets its own answer."""
    names = ["accuracy", "latency", "tone", "secret"] * 12
    with ThreadPoolExecutor(3 * CONNECTIONS_MAX) as pool:
        found = list(pool.map(lambda name: analytics.summary(Question(names=(name,))).groups[0].dimensions, names))
    assert found == [{"name": name} for name in names]
