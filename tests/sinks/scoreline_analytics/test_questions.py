"""Questions: what can be asked, and when is when."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from scoreline.errors import QueryError
from scoreline_analytics import Condition, Filter, Question
from scoreline_analytics.fields import condition_of

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "wrong",
    [
        {"by": ("colour",)},
        {"by": ("name", "value")},
        {"by": ("metadata.",)},
        {"by": ("lookups",)},
        {"by": ("name; DROP TABLE scores",)},
        {"where": ("colour=x",)},
    ],
)
def test_unknown_dimension_is_refused_with_the_known_ones(wrong: dict[str, Any]) -> None:
    """Only text columns and the keys of maps group and filter."""
    with pytest.raises(QueryError, match=r"there are .*metadata\.KEY and lookups\.FIELD\.ATTRIBUTE"):
        Question(**wrong)


@pytest.mark.parametrize("limit", [0, -1, 100_001])
def test_limit_is_bounded(limit: int) -> None:
    """An answer fits into memory."""
    with pytest.raises(QueryError, match=r"not within 1\.\.100000"):
        Question(limit=limit)


def test_moment_without_zone_is_refused() -> None:
    """Whose noon would it be?"""
    with pytest.raises(QueryError, match="has no zone"):
        Question(since=datetime(2026, 1, 1))  # noqa: DTZ001


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("environment=prod", Condition("environment", "=", ("prod",))),
        ("label=a=b", Condition("label", "=", ("a=b",))),
        ("label=", Condition("label", "=", ("",))),
        ("label!=a", Condition("label", "!=", ("a",))),
        ("comment~two\nlines", Condition("comment", "~", ("two\nlines",))),
        ("comment!~x", Condition("comment", "!~", ("x",))),
        ("value>=0.5", Condition("value", ">=", (0.5,))),
        ("timestamp<2026-02-01", Condition("timestamp", "<", (datetime(2026, 2, 1, tzinfo=UTC),))),
        ("metadata.item", Condition("metadata.item", "has")),
        ("!metadata.item", Condition("metadata.item", "has not")),
    ],
)
def test_conditions_are_read(text: str, condition: Condition) -> None:
    """The value is all that follows the first operator."""
    assert condition_of(text) == condition


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("=x", "is no condition"),
        ("colour=x", "no field 'colour'; there are"),
        ("serice=x", "no field 'serice'; there are service, "),
        ("value=high", "'high' is no number"),
        ("value~1", "value is a number: it takes"),
        ("timestamp>noon", "'noon' is no moment"),
        ("timestamp>2026-01-01T00:00:00", "has no zone"),
    ],
)
def test_condition_that_cannot_be_asked_says_what_can(text: str, message: str) -> None:
    """Before ClickHouse is asked."""
    with pytest.raises(QueryError, match=message):
        Filter(where=(text,))


def test_values_of_one_field_are_joined() -> None:
    """Of several values any will do."""
    joined = Filter(where=("label=a", "label!=x", "label=b")).conditions
    assert joined == (Condition("label", "=", ("a", "b")), Condition("label", "!=", ("x",)))
