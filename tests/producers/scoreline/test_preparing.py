"""Scores made from a caller's own objects: written quickly, or as pydantic writes them, but never otherwise."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoreline.errors import InvalidScore
from scoreline.events import DataType, Evaluator, Source, Status
from scoreline.preparing import prepare, prepare_exactly
from scoreline.reading import Event, read_plain, write_plain
from scoreline.rejections import Reason
from tests.payloads import RECEIVED_MS

NOW = datetime.fromtimestamp(RECEIVED_MS / 1000, UTC)
FIELDS: dict[str, Any] = {
    "score_id": "s-1",
    "name": "accuracy",
    "value": 0.92,
    "trace_id": "t",
    "comment": "close to the reference answer",
    "metadata": {"model": "judge", "cost": 0.25, "runs": 3, "none": None},
    "timestamp": NOW,
    "project": "default",
    "service": "bench",
    "schema_version": 1,
}


class Text(str):
    """As of numpy: a string and more."""


class Word(StrEnum):
    """A name as its own string."""

    MODEL = "model"


class Mixed(str, Enum):  # noqa: UP042
    """An enum as before Python 3.11, which a format string may write with the name of its class."""

    ID = "s-2"


class Plain(Enum):
    """A string by name."""

    MODEL = "model"


class Number(IntEnum):
    """A number by name."""

    ONE = 1


ODD: list[Any] = [
    *("", "\x7f", "é\n", "\u200b", "\0", "\ud800", "x" * 201, "2026-01-31", "NUMERIC", "nan", "1e999"),
    *(0, 1, True, -(2**53) + 1, 2**53, 2**63, 2**65, -0.0, 5e-324, 1e300, float("nan"), float("inf"), Number.ONE),
    *(
        Text("q"),
        Word.MODEL,
        Mixed.ID,
        Plain.MODEL,
        Source.EVAL,
        Status.FAILED,
        DataType.BOOLEAN,
        Decimal("0.5"),
        UUID(int=3),
    ),
    *(b"abc", bytearray(b"a"), None, [], (), {1}, object(), timedelta(1), date(2026, 1, 31), Evaluator(name="e")),
    *(NOW, NOW.replace(tzinfo=None), NOW + timedelta(2), NOW.astimezone(timezone(timedelta(hours=2, seconds=30)))),
    *(NOW.isoformat(), "2026-01-31T12:00:00.1234567Z", "2026-01-31 12:00:00Z", "2026-01-31T12:00:00z"),
    *(
        {},
        {"name": "e"},
        {"name": Word.MODEL},
        {"name": "e", "x": 1},
        {1: 2},
        {Word.MODEL: 1},
        {"model": 1, Plain.MODEL: 2},
        {"a": Text("z")},
    ),
    *({Mixed.ID: 2}, {"a": 2**63}, {"a": float("nan")}, {"a": [1]}, {"a": Decimal(1)}, {"\0": 1}),
]
"""What a caller may hand over, in whatever field."""


def outcome(fields: dict[str, Any], way: Any) -> Event | Reason:
    try:
        event, record = way(fields, RECEIVED_MS)
    except InvalidScore as refusal:
        return refusal.rejection.reason
    assert read_plain(record) in (event, None)
    assert type(event.score_id) is str
    return event


def test_usual_score_is_written_quickly() -> None:
    """The way that the benchmark measures; what is written is read back as the same event."""
    written = write_plain(FIELDS)
    assert written is not None
    assert read_plain(written[1]) == written[0] == prepare_exactly(FIELDS, RECEIVED_MS)[0]


@pytest.mark.parametrize("field", [*Event.__struct_fields__, "unknown"])
def test_odd_object_has_one_outcome_in_both_ways(field: str) -> None:
    """Taken as the same event, or refused for the same reason."""
    for odd in ODD:
        fields = FIELDS | {field: odd}
        assert outcome(fields, prepare) == outcome(fields, prepare_exactly), (field, odd)


@given(st.dictionaries(st.sampled_from([*Event.__struct_fields__, "unknown"]), st.sampled_from(ODD), max_size=5))
def test_odd_objects_together_have_one_outcome_in_both_ways(odd: dict[str, Any]) -> None:
    """Rules of more than one field included."""
    assert outcome(FIELDS | odd, prepare) == outcome(FIELDS | odd, prepare_exactly)
