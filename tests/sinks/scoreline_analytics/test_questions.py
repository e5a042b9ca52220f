"""Questions: what can be asked, and when is when."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from scoreline.errors import QueryError
from scoreline_analytics.questions import Question, conditions_of

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "wrong",
    [
        {"by": ("colour",)},
        {"by": ("name", "value")},
        {"by": ("metadata.",)},
        {"by": ("lookups",)},
        {"by": ("name; DROP TABLE scores",)},
        {"where": (("comment", "x"),)},
    ],
)
def test_unknown_dimension_is_refused_with_the_known_ones(wrong: dict[str, Any]) -> None:
    """Only text columns and the keys of maps group and filter."""
    with pytest.raises(QueryError, match=r"there are project, name, .* metadata\.KEY and lookups\.FIELD\.ATTRIBUTE"):
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


def test_conditions_are_read() -> None:
    """The value is all that follows the first equals sign."""
    assert conditions_of(["environment=prod", "label=a=b", "label="]) == (
        ("environment", "prod"),
        ("label", "a=b"),
        ("label", ""),
    )
    with pytest.raises(QueryError, match="'environment' is not DIMENSION=VALUE"):
        conditions_of(["environment"])
