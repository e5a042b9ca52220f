"""Whatever is asked for by a name that does not exist is answered with the names that do."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from scoreline.errors import QueryError
from scoreline.settings import Settings
from scoreline_analytics import Analytics, Filter, Question
from scoreline_analytics.nearest import nearest_first
from scoreline_analytics.rejections import RejectionFilter
from tests.sinks.scoreline_analytics.conftest import Store
from tests.sinks.scoreline_analytics.test_cli import query

Ask = Callable[[Analytics, Filter], Any]

QUESTIONS: list[Ask] = [
    lambda analytics, asked: analytics.names(asked),
    lambda analytics, asked: analytics.dimensions(asked),
    lambda analytics, asked: analytics.values("release", asked),
    lambda analytics, asked: analytics.summary(_question(asked)),
    lambda analytics, asked: analytics.series(_question(asked), "1d"),
    lambda analytics, asked: analytics.histogram(_question(asked)),
    lambda analytics, asked: analytics.change(_question(asked, since=datetime(2026, 1, 1, tzinfo=UTC))),
    lambda analytics, asked: analytics.compare(asked, Filter()),
    lambda analytics, asked: analytics.agreement(asked, Filter()),
    lambda analytics, asked: analytics.worst(asked),
    lambda analytics, asked: analytics.latest(asked),
    lambda analytics, asked: list(analytics.scores(asked)),
    lambda analytics, asked: analytics.scores(asked).write(io.BytesIO(), "parquet"),
]
UNKNOWN: list[tuple[Filter, str]] = [
    (Filter(project="teem"), "no score has project 'teem'; there are team"),
    (Filter(names=("acuracy",)), "no score has name 'acuracy'; there are accuracy"),
    (Filter(names=("accuracy", "tine")), "no score has name 'tine'; there are tone, accuracy"),
    (Filter(where=("release=v11",)), "no score has release 'v11'; there are v1"),
    (Filter(where=("evaluator_model=judge-8",)), "no score has evaluator_model 'judge-8'; there are judge-7"),
    (Filter(where=("dataset_run_id=nightly",)), "no score has dataset_run_id 'nightly'; there are nightly-42"),
    (Filter(where=("config_id=acuracy",)), "no score has config_id 'acuracy'; there are accuracy"),
    (Filter(where=("author=anna",)), "no score has author"),
    (Filter(where=("metadata.model=m-8",)), "no score has metadata.model 'm-8'; there are m-7"),
    (Filter(where=("metadata.modell=m-7",)), "no score has metadata.modell; there are metadata.model, metadata.item"),
    (Filter(where=("metadata.modell",)), "no score has metadata.modell; there are metadata.model, metadata.item"),
    (Filter(where=("metadata.modell~m",)), "no score has metadata.modell; there are metadata.model, metadata.item"),
    (Filter(where=("lookups.service.tem=x",)), "no score has lookups.service.tem; there are lookups.service.team, "),
]


def _question(asked: Filter, since: datetime | None = None) -> Question:
    return Question(names=asked.names, project=asked.project, where=asked.where, since=since)


@pytest.fixture
def scores(store: Store) -> None:
    """Two names with everything that can be named."""
    more = {"metadata": {"model": "m-7", "item": "1"}, "lookups": {"service.team": "search"}, "config_id": "accuracy"}
    origin = {"release": "v1", "evaluator_model": "judge-7", "dataset_run_id": "nightly-42", **more}
    store({"value": 0.5, **origin}, {"value": 0.25, **origin}, {"name": "tone", "value": 1.0, **origin})


@pytest.mark.usefixtures("scores")
@pytest.mark.parametrize("ask", QUESTIONS)
def test_an_unknown_name_is_answered_with_the_known_ones(analytics: Analytics, ask: Ask) -> None:
    """By every question, for every kind of name; nobody takes an empty answer for the truth."""
    for asked, message in UNKNOWN:
        with pytest.raises(QueryError) as raised:
            ask(analytics, asked)
        assert str(raised.value).startswith(message), asked


@pytest.mark.usefixtures("scores")
def test_a_file_of_no_scores_is_not_left_behind(analytics: Analytics, tmp_path: Path) -> None:
    """Where the name was wrong; where nothing matches, the file is empty and there."""
    with pytest.raises(QueryError, match="there are accuracy"):
        analytics.scores(Filter(names=("acuracy",))).write(tmp_path / "a.csv")
    assert analytics.scores(Filter(where=("value>7",))).write(tmp_path / "b.csv") == 0
    assert [file.name for file in tmp_path.iterdir()] == ["b.csv"]


@pytest.mark.usefixtures("scores")
def test_a_field_without_its_map_leads_to_the_key(settings: Settings, analytics: Analytics) -> None:
    """The keys are known to the scores only, so they are looked up; where no scores are, what can be said is said."""
    for arguments in (
        ["--by", "itm"],
        ["--where", "itm=1"],
        ["values", "itm"],
        ["scores", "--where", "itm=1"],
        ["compare", "--a", "name=tone", "--b", "name=accuracy", "--pair", "itm"],
    ):
        assert "'itm'; there are metadata.item, " in query(settings, *arguments, status=1)[1]
    with pytest.raises(QueryError, match=r"no dimension 'itm'; there are metadata\.item, .*, metadata\.model"):
        analytics.values("itm")
    away = settings.model_copy(update={"clickhouse_port": 1})
    assert "there are project, name, " in query(away, "--by", "itm", status=1)[1]


@pytest.mark.usefixtures("scores")
def test_an_unknown_item_to_pair_by_is_answered_with_the_known_keys(analytics: Analytics) -> None:
    """Else two sides would be compared without pairs, by a slip of the finger."""
    sides = Filter(names=("accuracy",)), Filter(names=("tone",))
    for ask in (analytics.compare, analytics.agreement):
        with pytest.raises(QueryError, match=r"no score has metadata\.itm; there are metadata\.item, metadata\.model"):
            ask(*sides, "metadata.itm")


@pytest.mark.usefixtures("scores")
def test_an_id_in_an_unknown_project_is_answered_with_the_known_projects(analytics: Analytics) -> None:
    """An unknown id is None, an unknown trace has no scores."""
    for ask in (lambda: analytics.score("teem", "s-0"), lambda: analytics.trace("t-1", "teem")):
        with pytest.raises(QueryError, match="no score has project 'teem'; there are team"):
            ask()
    assert analytics.score("team", "nothing") is None
    assert analytics.trace("nothing", "team").items == ()


@pytest.mark.usefixtures("scores")
@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (
            RejectionFilter(reasons=("unkown_config",)),
            "no record has reason 'unkown_config'; there are unknown_config, ",
        ),
        (RejectionFilter(project="teem"), "no record has project 'teem'; there are team"),
        (RejectionFilter(names=("acuracy",)), "no record has name 'acuracy'; there are accuracy, tone"),
        (RejectionFilter(services=("web",)), "no record has service 'web'; there are none"),
    ],
)
def test_rejections_of_what_does_not_exist_are_not_an_empty_answer(
    analytics: Analytics, asked: RejectionFilter, message: str
) -> None:
    """Of what exists and was never rejected they are."""
    with pytest.raises(QueryError) as raised:
        analytics.rejections(asked)
    assert str(raised.value).startswith(message)
    for good in (RejectionFilter(project="team", names=("tone", "")), RejectionFilter(reasons=("unknown_config",))):
        assert analytics.rejections(good).groups == ()


@pytest.mark.usefixtures("scores")
def test_a_time_without_scores_is_answered_with_the_time_that_has_some(settings: Settings) -> None:
    """Of the same name and the same conditions."""
    for arguments in ([], ["worst"], ["series", "--step", "1d"], ["compare", "--a", "name=tone", "--b", "release=v1"]):
        said = query(settings, *arguments, "--until", "2001-01-01")[1]
        assert "no scores match in this time; there are some from 2026-11-01 12:00 to 2026-11-01 12:00" in said


def test_a_reader_of_a_project_without_scores_is_told_of_no_mistake(settings: Settings, store: Store) -> None:
    """It is theirs; only nothing was stored in it yet."""
    store({"value": 1.0})
    with Analytics(settings, projects=("new",)) as analytics:
        assert analytics.summary(Question(project="new")).groups == ()
        assert analytics.names(Filter(project="new")).names == ()
        assert analytics.rejections(RejectionFilter(project="new")).groups == ()
        with pytest.raises(QueryError, match="there are no scores yet"):
            analytics.names(Filter(project="team"))


def test_what_begins_behind_a_dot_is_looked_at_alone() -> None:
    """The likest first, then what holds the text, then the rest in its order."""
    known = ["project", "evaluator_name", "metadata.model", "lookups.service.team", "modality"]
    assert nearest_first("modell", known)[0] == "metadata.model"
    assert nearest_first("tem", known)[0] == "lookups.service.team"
    assert nearest_first("name", known)[0] == "evaluator_name"
    assert nearest_first("", known) == known
