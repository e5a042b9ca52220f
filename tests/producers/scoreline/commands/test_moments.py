"""Points in time as people type them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from scoreline.commands.moments import moment_of
from scoreline.errors import QueryError

NOW = datetime(2026, 2, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("30s", NOW - timedelta(seconds=30)),
        ("15m", NOW - timedelta(minutes=15)),
        ("6h", NOW - timedelta(hours=6)),
        ("7d", NOW - timedelta(days=7)),
        ("2w", NOW - timedelta(days=14)),
        ("2026-01-31", datetime(2026, 1, 31, tzinfo=UTC)),
        ("2026-01-31T12:00:00+02:00", datetime(2026, 1, 31, 10, tzinfo=UTC)),
        ("2026-01-31T12:00:00Z", datetime(2026, 1, 31, 12, tzinfo=UTC)),
    ],
)
def test_moment_is_read(text: str, moment: datetime) -> None:
    """Ago, as a date in UTC, or with a zone."""
    assert moment_of(text, NOW) == moment


@pytest.mark.parametrize("text", [" ", "yesterday", "7", "7y", "-7d", "2026-13-01", "99999999w", "2026-01-30T01:00:00"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    """The message repeats it."""
    with pytest.raises(QueryError, match=text):
        moment_of(text, NOW)
