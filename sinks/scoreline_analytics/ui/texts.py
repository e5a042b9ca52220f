"""Numbers and times as people read them. Pure."""

from __future__ import annotations

import math
from datetime import UTC, datetime

NOTHING = "–"
_AGES = ((60, "s"), (3600, "min"), (86400, "h"), (86400 * 60, "d"), (86400 * 730, "mo"))
_DIVISORS = {"s": 1, "min": 60, "h": 3600, "d": 86400, "mo": 86400 * 30.44}


def count(n: float | None) -> str:
    """12,345."""
    return NOTHING if n is None else f"{n:,.0f}"


def number(x: float | None, data_type: str | None = None) -> str:
    """Four digits; of true/false scores and categories percent."""
    if x is None:
        return NOTHING
    if data_type in ("BOOLEAN", "CATEGORICAL"):
        return percent(x)
    if x == 0:
        return "0"
    size = abs(x)
    if size >= 1e7 or size < 1e-3:
        return f"{x:.2g}".replace("-", "−")
    digits = max(0, min(4, 3 - math.floor(math.log10(size))))
    return f"{x:,.{digits}f}".replace("-", "−")


def value(x: float | None) -> str:
    """A value as it was given, without zeros at its end: 5, 0.75."""
    return NOTHING if x is None else f"{x:,.10g}".replace("-", "−")


def percent(share: float | None) -> str:
    """83.2 %."""
    return NOTHING if share is None else f"{share * 100:.1f} %".replace("-", "−")


def signed(x: float | None, data_type: str | None = None) -> str:
    """+0.012; of true/false scores percentage points."""
    if x is None:
        return NOTHING
    sign = "+" if x > 0 else ""
    if data_type == "BOOLEAN":
        return f"{sign}{x * 100:.1f} pp".replace("-", "−")
    return sign + number(float(f"{x:.3g}"))


def interval(low: float | None, high: float | None, data_type: str | None = None) -> str:
    """Both ends; empty where there is none."""
    if low is None or high is None:
        return ""
    return f"{number(low, data_type).removesuffix(' %')} to {number(high, data_type)}"


def p_value(p: float | None) -> str:
    """0.023, or < 0.001."""
    if p is None:
        return NOTHING
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def ago(moment: datetime | None, now: datetime | None = None) -> str:
    """How long since, in one unit."""
    if moment is None:
        return NOTHING
    age = max(0.0, ((now or datetime.now(UTC)) - moment).total_seconds())
    unit = next((unit for most, unit in _AGES if age < most), None)
    return f"{age / 31_557_600:.0f} y ago" if unit is None else f"{age / _DIVISORS[unit]:.0f} {unit} ago"


def stamp(moment: datetime) -> str:
    """Date and time to the second, UTC."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def seconds(x: float | None) -> str:
    """120 ms, 1.24 s, 3.1 min."""
    if x is None:
        return NOTHING
    if x < 1:
        return f"{x * 1000:.0f} ms"
    if x < 90:
        return f"{x:.2f} s"
    return f"{x / 60:.1f} min" if x < 5400 else f"{x / 3600:.1f} h" if x < 172_800 else f"{x / 86_400:.0f} d"
