"""Pieces of time: every moment in one of them, once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoreline_analytics import Filter
from scoreline_analytics.rollups import DAY, HOUR, MINUTE, ORIGIN, ROWS, Level, levels_of, pieces

START = datetime(2026, 1, 1, tzinfo=UTC)
MOMENTS = st.one_of(
    st.integers(-4 * 86400 * 10**6, 4 * 86400 * 10**6).map(lambda us: START + timedelta(microseconds=us)),
    st.integers(-100, 100).map(lambda hours: START + timedelta(hours=hours)),
)


@given(
    st.none() | MOMENTS, st.none() | MOMENTS, st.sampled_from([(), (DAY, HOUR), (HOUR, MINUTE), (MINUTE,), (ORIGIN,)])
)
def test_pieces_are_the_time_without_gap_or_overlap(
    since: datetime | None, until: datetime | None, levels: tuple[Level, ...]
) -> None:
    """In order, from the first to the last moment, and each whole in the buckets of its level."""
    found = list(pieces(since, until, levels))
    if since is not None and until is not None and since >= until:
        assert found == []
        return
    assert found[0].since == since
    assert found[-1].until == until
    for before, after in pairwise(found):
        assert before.until == after.since
    for piece in found:
        assert piece.since is None or piece.until is None or piece.since < piece.until
        for end in (piece.since, piece.until):
            assert piece.level is ROWS or end is None or end.timestamp() % piece.level.seconds == 0


@pytest.mark.parametrize(
    ("asked", "fields", "edges", "levels"),
    [
        (Filter(), ("name",), (), (DAY, HOUR)),
        (Filter(where=("environment=prod",)), ("label",), (), (ORIGIN,)),
        (Filter(where=("release=r1",)), ("name",), (), (ORIGIN,)),
        (Filter(where=("author=a",)), ("name",), (), ()),
        (Filter(where=("value>0",)), ("name",), (), ()),
        (Filter(), ("metadata.model",), (), ()),
        (Filter(), ("name",), (86400, 172800), (DAY, HOUR)),
        (Filter(), ("name",), (86400, 90000), (HOUR, MINUTE)),
        (Filter(), ("name",), (86400, 86400 + 300), (MINUTE,)),
        (Filter(), ("service",), (86400, 86400 + 300), ()),
        (Filter(), ("name",), (86400, 86400 + 30), ()),
    ],
)
def test_rollups_answer_what_they_know(
    asked: Filter, fields: tuple[str, ...], edges: tuple[int, ...], levels: tuple[Level, ...]
) -> None:
    """Their dimensions, and buckets that none of theirs is cut by."""
    assert levels_of(asked, fields, edges) == levels
