"""What is looked at: page, filters and order, as one value that stands whole in the URL. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from scoreline.errors import QueryError
from scoreline_analytics.fields import Condition, condition_of, kind_of
from scoreline_analytics.questions import Filter, Question

BASE = "/ui"
PAGES: Mapping[str, str] = {
    "overview": "/",
    "score": "/score",
    "compare": "/compare",
    "live": "/live",
    "rejections": "/rejections",
    "health": "/health",
}
"""Page and its path under BASE."""
RANGES: Mapping[str, tuple[str, timedelta | None, str]] = {
    "1h": ("Last hour", timedelta(hours=1), "1m"),
    "24h": ("Last 24 hours", timedelta(days=1), "1h"),
    "7d": ("Last 7 days", timedelta(days=7), "6h"),
    "30d": ("Last 30 days", timedelta(days=30), "1d"),
    "90d": ("Last 90 days", timedelta(days=90), "3d"),
    "1y": ("Last 12 months", timedelta(days=365), "1w"),
    "all": ("All time", None, ""),
}
"""Time range: what it is called, how long it is, the step of its series."""
PERIOD = "period"
"""What two sides of a comparison differ in when it is no dimension."""
_ORIGINS = {"service": "service", "environment": "environment", "release": "release", "model": "evaluator_model"}
_VALUE_CHARS_MAX = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A page as its URL says it. Every field but the page is a query parameter; one at its default is left out."""

    page: str = "overview"
    project: str = ""
    range: str = ""
    """A key of RANGES; empty: `default_range`."""
    q: str = ""
    """Part of a score name."""
    service: str = ""
    environment: str = ""
    release: str = ""
    model: str = ""
    """Model of the judge."""
    where: str = ""
    """One more condition, as `metadata.item=7`; a bare `item=7` is meant of metadata."""
    sort: str = "-n"
    """Column of the overview, a minus before it for the largest first."""
    name: str = ""
    by: str = "service"
    side: str = "release"
    """What the sides of a comparison differ in: a dimension, or PERIOD."""
    a: str = ""
    b: str = ""
    pair: str = "auto"

    @property
    def url(self) -> str:
        """Path and query."""
        query = urlencode([(name, value) for name, value in self._said().items()])
        return BASE + PAGES[self.page] + (f"?{query}" if query else "")

    @property
    def filters(self) -> int:
        """How many filters are set, those of project, time and name apart."""
        return sum(bool(getattr(self, name)) for name in (*_ORIGINS, "where"))

    @property
    def default_range(self) -> str:
        """The time range where none is chosen: releases and runs to compare are further apart than a week."""
        return "90d" if self.page == "compare" else "7d"

    @property
    def time(self) -> str:
        """The time range that holds, a key of RANGES."""
        return self.range or self.default_range

    @property
    def range_name(self) -> str:
        """What the time range is called."""
        return RANGES[self.time][0]

    def to(self, page: str = "", **changes: str) -> View:
        """Another page with the same filters, or the same page with others."""
        return replace(self, page=page or self.page, **changes)

    def _said(self) -> dict[str, str]:
        return {
            f.name: getattr(self, f.name)
            for f in fields(self)
            if f.name != "page" and getattr(self, f.name) != f.default
        }

    def step(self) -> str:
        """Step of a series over the time range; empty: of all time, by how long that is."""
        return RANGES[self.time][2]

    def since(self, now: datetime) -> datetime | None:
        """Where the time range begins: at a whole hour, of an hour at a whole minute, so that a rollup can answer."""
        length = RANGES[self.time][1]
        if length is None:
            return None
        whole = timedelta(minutes=1) if length <= timedelta(hours=1) else timedelta(hours=1)
        return now - length - (now - datetime(1970, 1, 1, tzinfo=UTC)) % whole

    def filter(self, now: datetime, *more: Condition, is_timed: bool = True) -> Filter:
        """The scores that are looked at. Raises QueryError for a condition that cannot be asked."""
        conditions = [
            Condition(dimension, "=", (getattr(self, name),))
            for name, dimension in _ORIGINS.items()
            if getattr(self, name)
        ]
        if self.q:
            conditions.append(Condition("name", "~", (self.q,)))
        if self.where:
            conditions.append(condition_of_text(self.where))
        return Filter(
            names=(self.name,) if self.name and self.page == "score" else (),
            project=self.project or None,
            since=self.since(now) if is_timed else None,
            where=(*conditions, *more),
        )

    def question(self, now: datetime, by: tuple[str, ...], limit: int = 1000) -> Question:
        """The same scores in groups."""
        asked = self.filter(now)
        return Question(
            names=asked.names, project=asked.project, since=asked.since, where=asked.where, by=by, limit=limit
        )


def condition_of_text(text: str) -> Condition:
    """A condition as it is typed into the filter: `item=7` is metadata's."""
    absent, rest = ("!", text[1:]) if text.startswith("!") else ("", text)
    field = re.split(r"[=!<>~]", rest, maxsplit=1)[0]
    try:
        kind_of(field)
    except QueryError:
        return condition_of(f"{absent}metadata.{rest}")
    return condition_of(text)


def view_of(url: str) -> View:
    """The view of a URL; an unknown parameter is left out, an unknown page is the overview.

    Raises QueryError for a time range that is none.
    """
    parts = urlsplit(url)
    path = "/" + parts.path.removeprefix(BASE).strip("/")
    page = next((page for page, known in PAGES.items() if known == path), "overview")
    names = {f.name for f in fields(View)} - {"page"}
    said: dict[str, Any] = {
        name: value.strip()[:_VALUE_CHARS_MAX] for name, value in parse_qsl(parts.query) if name in names
    }
    if said.get("range", "") not in ("", *RANGES):
        raise QueryError(f"no time range {said['range']!r}; there are {', '.join(RANGES)}")
    return View(page=page, **said)


def sides_of(view: View, now: datetime) -> tuple[Filter, Filter]:
    """Both sides of a comparison. A period is `FROM..TO`, two dates, the last one within.

    Raises QueryError for a side that cannot be asked.
    """
    sides: list[Filter] = []
    for text in chosen(view, now):
        if view.side == PERIOD:
            since, until = period_of(text)
            base = view.filter(now, is_timed=False)
            sides.append(Filter(project=base.project, since=since, until=until, where=base.where))
        else:
            sides.append(view.filter(now, Condition(view.side, "=", (text,))))
    return sides[0], sides[1]


def chosen(view: View, now: datetime) -> tuple[str, str]:
    """What is on each side: of periods, where none is said, the last seven days and the seven before."""
    if view.side != PERIOD:
        return view.a, view.b
    days = [f"{(now - timedelta(days=back)).date()}" for back in (13, 7, 6, 0)]
    return view.a or f"{days[0]}..{days[1]}", view.b or f"{days[2]}..{days[3]}"


def period_of(text: str) -> tuple[datetime, datetime]:
    """`2026-01-01..2026-01-07` as moments, UTC: seven days. Raises QueryError."""
    try:
        first, last = (datetime.fromisoformat(day).replace(tzinfo=UTC) for day in text.split(".."))
    except ValueError as error:
        raise QueryError(f"{text!r} is no period; give two dates, as 2026-01-01..2026-01-07") from error
    if last < first:
        raise QueryError(f"{text}: the period ends before it begins")
    return first, last + timedelta(days=1)


def step_for(span: timedelta) -> str:
    """A step that makes some dozens of points of so long a time."""
    for most, step in (
        (timedelta(hours=2), "2m"),
        (timedelta(days=2), "1h"),
        (timedelta(days=14), "6h"),
        (timedelta(days=62), "1d"),
        (timedelta(days=550), "1w"),
    ):
        if span <= most:
            return step
    return "1mo"
