"""What a person asks of a record's fields."""

from __future__ import annotations

from typing import Any

import pytest

from scoreline.commands.conditions import condition_of
from scoreline.errors import QueryError

FIELDS = frozenset({"name", "value", "late", "label", "metadata", "lookups"})
RECORD: dict[str, Any] = {
    "name": "accuracy",
    "value": 0.5,
    "late": False,
    "label": None,
    "metadata": {"model": "large", "a.b": 1, "deep": {"er": "x=y"}, "flag": True},
    "lookups": {"service.team": "search"},
}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("name=accuracy", True),
        ("name=accurac", False),
        ("value=0.5", True),
        ("value=.50", True),
        ("value=half", False),
        ("value<0.6", True),
        ("value>0.5", False),
        ("late=false", True),
        ("late=0", False),
        ("late<1", False),
        ("label=null", True),
        ("label>0", False),
        ("name>0", False),
        ("metadata.model=large", True),
        ("metadata.a.b=1", True),
        ("metadata.deep.er=x=y", True),
        ("metadata.flag=true", True),
        ("metadata.absent=null", True),
        ("metadata.model.deeper=null", True),
        ("lookups.service.team=search", True),
    ],
)
def test_condition_holds_for_what_it_says(text: str, holds: bool) -> None:
    """Numbers as numbers, true, false and null by their names, everything else as text."""
    assert condition_of(text, FIELDS).holds(RECORD) is holds


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("value", "is no condition"),
        ("=1", "is no condition"),
        ("vlaue=1", "there are label, late, name, value, metadata.KEY, lookups.KEY"),
        ("metadata=1", "is no field"),
        ("name.first=1", "is no field"),
        ("value>high", "is no number"),
    ],
)
def test_what_cannot_be_asked_says_what_can(text: str, message: str) -> None:
    """A misspelt field would otherwise show nothing for ever."""
    with pytest.raises(QueryError, match=message):
        condition_of(text, FIELDS)
