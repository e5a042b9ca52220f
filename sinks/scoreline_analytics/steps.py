"""Steps of a time series: where each bucket begins, in a time zone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from scoreline.errors import QueryError

BUCKETS_MAX = 10_000
_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_NAMES = {"second": "1s", "minute": "1m", "hour": "1h", "day": "1d", "week": "1w", "month": "1mo"}
_STEP = re.compile(r"([1-9]\d{0,5})(s|m|h|d|w|mo)")
_MONDAY = date(2001, 1, 1)


@dataclass(frozen=True, slots=True)
class Step:
    """Width of a bucket: seconds to hours are exact, days, weeks and months are the calendar's in the zone."""

    count: int
    unit: str
    zone: tzinfo = UTC

    def __str__(self) -> str:
        return f"{self.count}{self.unit}"


def step_of(text: str, zone: str = "UTC") -> Step:
    """`30s`, `5m`, `1h`, `1d`, `1w`, `1mo`, or minute, hour, day, week, month; a zone by its IANA name.

    Raises QueryError.
    """
    found = _STEP.fullmatch(_NAMES.get(text, text))
    if found is None:
        raise QueryError(f"{text!r} is no step; give 30s, 5m, 1h, 1d, 1w or 1mo (or minute, hour, day, week, month)")
    try:
        return Step(int(found[1]), found[2], UTC if zone == "UTC" else ZoneInfo(zone))
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise QueryError(f"no time zone {zone!r}; give its IANA name, as Europe/Berlin, or UTC") from error


def edges_of(step: Step, first: datetime, last: datetime) -> list[int]:
    """Epoch seconds at which the buckets begin that hold all from `first` to `last`, and the end of the last bucket.

    Seconds, minutes and hours that divide a day count from the zone's midnight of the first day, others from the
    epoch; days and months begin at the zone's midnight, weeks on Monday. Raises QueryError for
    more than BUCKETS_MAX.
    """
    if step.unit in ("d", "w", "mo"):
        return _calendar(step, first, last)
    width = step.count * _UNITS_S[step.unit]
    buckets = int((last - first).total_seconds()) // width + 1
    if buckets > BUCKETS_MAX:
        raise _too_many(step, buckets)
    # Buckets that divide a day begin at midnight; the others count from the epoch, so that they stay where they are.
    origin = _epoch(_midnight(first.astimezone(step.zone).date(), step.zone)) if 86400 % width == 0 else 0
    start = origin + (int(first.timestamp()) - origin) // width * width
    end = int(last.timestamp())
    return list(range(start, end + width + 1, width))[: (end - start) // width + 2]


def _calendar(step: Step, first: datetime, last: datetime) -> list[int]:
    begins = _begin(step, first.astimezone(step.zone).date())
    end = _epoch(last)
    edges = [_epoch(_midnight(begins, step.zone))]
    while edges[-1] <= end:
        if len(edges) > BUCKETS_MAX:
            raise _too_many(step, int((last - first).days / (step.count * (7 if step.unit == "w" else 1))))
        begins = _next(step, begins)
        edges.append(_epoch(_midnight(begins, step.zone)))
    return edges


def _begin(step: Step, day: date) -> date:
    """The bucket's first day: days count from 1970-01-01, weeks from a Monday, months from January of year 0."""
    if step.unit == "mo":
        months = (day.year * 12 + day.month - 1) // step.count * step.count
        return date(months // 12, months % 12 + 1, 1)
    origin, width = (_MONDAY, 7 * step.count) if step.unit == "w" else (date(1970, 1, 1), step.count)
    return origin + timedelta(days=(day - origin).days // width * width)


def _next(step: Step, day: date) -> date:
    if step.unit == "mo":
        months = day.year * 12 + day.month - 1 + step.count
        return date(months // 12, months % 12 + 1, 1)
    return day + timedelta(days=step.count * (7 if step.unit == "w" else 1))


def _midnight(day: date, zone: tzinfo) -> datetime:
    return datetime.combine(day, time(), zone)


def _epoch(moment: datetime) -> int:
    return int(moment.timestamp())


def _too_many(step: Step, buckets: int) -> QueryError:
    return QueryError(
        f"a step of {step} makes {buckets} buckets of this time, {BUCKETS_MAX} are the most; "
        "give a longer step or a shorter time"
    )
