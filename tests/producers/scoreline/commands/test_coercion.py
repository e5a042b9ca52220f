"""Text as the types of the contract."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoreline.commands.coercion import timestamp_of, value_of
from scoreline.errors import InvalidScore
from scoreline.rejections import Reason


@given(st.floats(allow_nan=False, allow_infinity=False).filter(lambda number: abs(number) <= 2**53))
def test_every_written_number_is_that_number(number: float) -> None:
    """A value typed from text is the double that was written."""
    assert value_of(repr(number)) == number
    assert type(value_of(repr(number))) is float


@pytest.mark.parametrize("text", ["good", "1,5", "1/2", "yes", " "])
def test_what_is_no_number_stays_a_category(text: str) -> None:
    """No number and no true or false: the text itself."""
    assert value_of(text) == text


@pytest.mark.parametrize("text", ["1", "true", "nan", "1e999"])
def test_category_keeps_text_that_looks_like_a_number(text: str) -> None:
    """Data type CATEGORICAL is the caller's word that this is a label."""
    assert value_of(text, "CATEGORICAL") == text


def test_true_and_false_become_booleans() -> None:
    """As JSON writes them and as Python writes them into a CSV."""
    assert [value_of(text) for text in ("true", "True", "false", "False")] == [True, True, False, False]


@pytest.mark.parametrize("text", ["nan", "-inf", "1e999", str(2**53 + 1), "1_000", "１２"])
def test_number_that_the_contract_does_not_take_never_becomes_a_category(text: str) -> None:
    """It would be stored as a label, and no average would miss it."""
    with pytest.raises(InvalidScore, match="CATEGORICAL") as caught:
        value_of(text)
    assert caught.value.rejection.reason is Reason.INVALID_VALUE


@pytest.mark.parametrize("seconds", [1770822797.839372, "1770822797.839372"])
def test_unix_seconds_become_rfc_3339(seconds: Any) -> None:
    """To the microsecond, as number and as text."""
    assert timestamp_of(seconds) == "2026-02-11T15:13:17.839372+00:00"


@pytest.mark.parametrize("value", ["2026-02-11T15:13:17Z", "yesterday", "", True, None, ["1"]])
def test_what_is_no_number_of_seconds_is_left_to_the_contract(value: Any) -> None:
    """Only numbers mean seconds."""
    assert timestamp_of(value) is value


@pytest.mark.parametrize("value", [1770822797839, "1770822797839372", -(10**15)])
def test_milliseconds_are_no_date(value: Any) -> None:
    """The year 58084 is a mistake of unit, not a date."""
    with pytest.raises(InvalidScore, match="divide milliseconds by 1000") as caught:
        timestamp_of(value)
    assert caught.value.rejection.reason is Reason.TIMESTAMP_OUT_OF_BOUNDS
