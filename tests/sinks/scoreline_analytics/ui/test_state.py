"""The view in the URL."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoreline.errors import QueryError
from scoreline_analytics.fields import Condition
from scoreline_analytics.ui.state import PAGES, RANGES, View, condition_of_text, period_of, sides_of, step_for, view_of

NOW = datetime(2026, 11, 23, 14, 37, 12, 345, tzinfo=UTC)
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), max_size=20)


@given(st.sampled_from(sorted(PAGES)), st.sampled_from(["", *RANGES]), TEXTS, TEXTS, TEXTS)
def test_url_of_a_view_is_that_view(page: str, range_: str, service: str, where: str, name: str) -> None:
    """Whoever opens a shared URL sees what was shared, whatever characters it is made of."""
    view = View(page=page, range=range_, service=service, where=where, name=name)
    assert view_of(view.url) == view


def test_view_without_filters_has_a_bare_url() -> None:
    """Defaults are not in the URL."""
    assert View().url == "/ui/"
    assert View(page="compare").url == "/ui/compare"


def test_what_a_url_says_beyond_the_fields_is_left_out() -> None:
    """An unknown parameter and an unknown page do no harm."""
    assert view_of("/ui/nowhere?project=team&page=score&key=secret") == View(project="team")


def test_unknown_time_range_is_refused_with_those_that_exist() -> None:
    """The message helps."""
    with pytest.raises(QueryError, match=r"no time range '3d'.*24h, 7d"):
        view_of("/ui/?range=3d")


def test_time_range_begins_at_a_whole_hour() -> None:
    """Then a rollup answers it; of an hour the minute is enough."""
    assert View(range="24h").since(NOW) == datetime(2026, 11, 22, 14, tzinfo=UTC)
    assert View(range="1h").since(NOW) == datetime(2026, 11, 23, 13, 37, tzinfo=UTC)
    assert View(range="all").since(NOW) is None


def test_filters_of_the_view_become_conditions() -> None:
    """Each is exact, the name's is a part of it, a bare key is metadata's."""
    view = View(service="api", model="gpt", q="acc", where="item=7", project="team")
    asked = view.filter(NOW)
    assert asked.project == "team"
    assert set(asked.conditions) == {
        Condition("service", "=", ("api",)),
        Condition("evaluator_model", "=", ("gpt",)),
        Condition("name", "~", ("acc",)),
        Condition("metadata.item", "=", ("7",)),
    }
    assert view.filters == 3


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("value>=0.5", Condition("value", ">=", (0.5,))),
        ("comment~refund", Condition("comment", "~", ("refund",))),
        ("item", Condition("metadata.item", "has")),
        ("!item", Condition("metadata.item", "has not")),
        ("metadata.item!=7", Condition("metadata.item", "!=", ("7",))),
    ],
)
def test_condition_is_read_as_it_is_typed(text: str, condition: Condition) -> None:
    """A known field is that field, anything else a key of metadata."""
    assert condition_of_text(text) == condition


def test_wrong_condition_on_a_known_field_is_not_taken_for_metadata() -> None:
    """The message is about what was meant."""
    with pytest.raises(QueryError, match="value: '>7' is no number"):
        condition_of_text("value>>7")


def test_sides_of_a_comparison() -> None:
    """A dimension's two values, or two periods whose last days are within."""
    a, b = sides_of(View(page="compare", a="v1", b="v2"), NOW)
    assert a.conditions == (Condition("release", "=", ("v1",)),)
    assert b.conditions == (Condition("release", "=", ("v2",)),)
    a, b = sides_of(View(page="compare", side="period", a="2026-01-01..2026-01-07"), NOW)
    assert (a.since, a.until) == (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 8, tzinfo=UTC))
    assert (b.since, b.until) == (datetime(2026, 11, 17, tzinfo=UTC), datetime(2026, 11, 24, tzinfo=UTC))


@pytest.mark.parametrize("text", ["soon", "2026-01-01", "2026-01-07..2026-01-01", "2026-02-30..2026-03-01"])
def test_what_is_no_period_is_refused(text: str) -> None:
    """Two dates that exist, the first one first."""
    with pytest.raises(QueryError, match=r"period"):
        period_of(text)


def test_step_of_all_time_fits_it() -> None:
    """Dozens of points, not thousands."""
    assert [step_for(timedelta(days=days)) for days in (0, 1, 10, 40, 300, 2000)] == [
        "2m",
        "1h",
        "6h",
        "1d",
        "1w",
        "1mo",
    ]
