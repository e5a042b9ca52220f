"""Text from a command line or a CSV cell as the types of the contract."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from scoreline.errors import InvalidScore
from scoreline.events import DataType
from scoreline.rejections import Reason, Rejection, found
from scoreline.values import canonical_value

_TRUTHS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_EPOCH_S = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,20})?")


def value_of(text: str, data_type: object = None) -> float | bool | str:
    """A score's value written as text: the number or the true/false that it looks like, else the text.

    Under data type CATEGORICAL every text stays text. Raises InvalidScore for text that reads as a number the contract
    does not take (`nan`, `1e999`, integers beyond 2^53): it must not become a category by accident.
    """
    if data_type == DataType.CATEGORICAL:
        return text
    if text in _TRUTHS:
        return _TRUTHS[text]
    canonical = canonical_value(text, DataType.NUMERIC)
    if not isinstance(canonical, Rejection):
        return text if canonical.number is None else canonical.number
    try:
        float(text)
    except ValueError:
        return text
    remedy = "; a category that looks so needs data_type CATEGORICAL"
    raise InvalidScore(Rejection(Reason.INVALID_VALUE, canonical.detail + remedy))


def timestamp_of(value: Any) -> Any:
    """A timestamp as the contract takes it: Unix seconds, as a number or as text, become RFC 3339 in UTC.

    Everything else is returned as it is, for the contract to judge. Raises InvalidScore for seconds that no date has.
    """
    if isinstance(value, str):
        if not _EPOCH_S.fullmatch(value):
            return value
        seconds = float(value)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        seconds = value
    else:
        return value
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat()
    except (OverflowError, ValueError, OSError) as error:
        detail = f"timestamp: {found(value)} is no date in Unix seconds; divide milliseconds by 1000"
        raise InvalidScore(Rejection(Reason.TIMESTAMP_OUT_OF_BOUNDS, detail)) from error
