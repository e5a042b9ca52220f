"""Points in time as people type them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from scoreline.errors import QueryError

_AGO = re.compile(r"(\d{1,9})([smhdw])")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def moment_of(text: str, now: datetime) -> datetime:
    """A point in time: so long before `now` (30s, 15m, 6h, 7d, 2w), a date (its start in UTC), or RFC 3339.

    Raises QueryError.
    """
    ago = _AGO.fullmatch(text)
    try:
        moment = datetime.fromisoformat(text) if ago is None else now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    except (ValueError, OverflowError) as error:
        raise QueryError(f"{text!r} is no point in time; give 7d, 2026-01-31 or 2026-01-31T12:00:00Z") from error
    if moment.tzinfo is None and _DATE.fullmatch(text) is None:
        raise QueryError(f"{text!r} has no zone; give one, as 2026-01-31T12:00:00Z")
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
