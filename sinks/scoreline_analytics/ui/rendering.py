"""Templates: every value that stands in one is escaped."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from scoreline.errors import ClickHouseUnavailable, QueryError
from scoreline_analytics.ui import texts

ID_CHARS_MAX = 18


@cache
def environment() -> Environment:
    """The templates of this package."""
    made = Environment(
        loader=PackageLoader("scoreline_analytics.ui"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    made.filters.update(
        count=texts.count, number=texts.number, ago=texts.ago, stamp=texts.stamp, percent=texts.percent, short=short
    )
    return made


def render(template: str, **values: Any) -> str:
    """A template as HTML."""
    return environment().get_template(f"{template}.html").render(values)


@cache
def asset(name: str) -> str:
    """A file of static/."""
    return (files("scoreline_analytics.ui") / "static" / name).read_text("utf-8")


def short(text: str) -> str:
    """The beginning of an id."""
    return text if len(text) <= ID_CHARS_MAX else f"{text[:ID_CHARS_MAX]}…"


def waiting(height: int) -> str:
    """What stands where an answer will be, as high as that will be at least."""
    return render("states", error="", wait=height, lines=max(2, min(12, height // 32)))


def empty(title: str, text: str, link: str = "", action: str = "") -> str:
    """What stands where there is nothing to show, and the way out."""
    return render("states", error="", wait=0, title=title, text=text, link=link, action=action)


def failure(error: Exception) -> str:
    """What went wrong, in the words of the error, with a button to try again."""
    if isinstance(error, ClickHouseUnavailable):
        title = "ClickHouse does not answer"
    else:
        title = "This cannot be asked" if isinstance(error, QueryError) else "This did not work"
    return render("states", title=title, error=str(error))
