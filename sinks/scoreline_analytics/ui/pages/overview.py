"""Every score name at a glance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from scoreline_analytics import Analytics, Filter, Question
from scoreline_analytics.change import Change
from scoreline_analytics.figures import Figures
from scoreline_analytics.series import Series
from scoreline_analytics.summary import Summary
from scoreline_analytics.ui.charts import sparkline
from scoreline_analytics.ui.rendering import empty, render
from scoreline_analytics.ui.rows import BY, Key, key_of, name_rows
from scoreline_analytics.ui.shell import Panel, Shell, Show, headline, html, now
from scoreline_analytics.ui.state import View, step_for
from scoreline_analytics.ui.texts import ago

NAMES_MAX = 100
"""Rows at most: more than anybody reads, and few enough to come at once."""
_COLUMNS = (
    ("name", "Score", False),
    ("", "Trend", False),
    ("mean", "Mean or share", True),
    ("n", "Scores", True),
    ("failed", "Failed", True),
    ("change", "Change", True),
)


def build(shell: Shell) -> Show:
    """One table: figures first, then trends, then changes."""
    headline("Scores")
    panel = Panel(480)

    async def show(view: View) -> None:
        async def work(begin: Callable[[], None]) -> None:
            question = view.question(now(), BY, NAMES_MAX)
            summary = await shell.ask(lambda: shell.analytics.summary(question, ()))
            if not summary.groups:
                text = await shell.ask(lambda: nothing(shell.analytics, view))
                begin()
                html(text)
                return
            begin()
            table = html(_table(summary, view, None, None))
            # One after the other: beside the trends the change would only hold them up.
            sparks = await shell.ask(lambda: sparks_of(shell.analytics, question, view))
            table.set_content(_table(summary, view, None, sparks))
            change = await shell.ask(lambda: change_of(shell.analytics, question))
            table.set_content(_table(summary, view, change, sparks, is_ready=True))

        await panel.fill(work)

    return show


def change_of(analytics: Analytics, question: Question) -> Change | None:
    """Against the period before; None of all time."""
    return None if question.since is None else analytics.change(question)


def sparks_of(analytics: Analytics, question: Question, view: View) -> dict[Key, str]:
    """A sparkline of each name."""
    return {key: sparkline(figures) for key, figures in _by_key(series_of(analytics, question, view)).items()}


def series_of(analytics: Analytics, question: Question, view: View) -> Series:
    """The series over the view's time; of all time with a step that fits it."""
    step = view.step()
    if not step:
        months = analytics.series(replace(question, by=()), "1mo").points
        step = step_for(months[-1].time - months[0].time) if len(months) > 1 else "1d"
    return analytics.series(question, step)


def _by_key(series: Series) -> dict[Key, list[Figures]]:
    found: dict[Key, list[Figures]] = {}
    for point in series.points:
        found.setdefault(key_of(point.dimensions), []).append(point.figures)
    return found


def _table(
    summary: Summary, view: View, change: Change | None, sparks: dict[Key, str] | None, *, is_ready: bool = False
) -> str:
    changes = {key_of(c.dimensions): c for c in change.groups} if change else None
    sorts = {
        key: view.to(sort=key if view.sort == f"-{key}" or (key == "name" and view.sort != "name") else f"-{key}").url
        for key, _, _ in _COLUMNS
        if key
    }
    before = change.before if change else None
    return render(
        "overview",
        rows=name_rows(summary.groups, view, changes, sparks),
        view=view,
        columns=_COLUMNS,
        sorts=sorts,
        ready=int(is_ready),
        left_out=0 if summary.is_complete else "some",
        before=_period(before.since, before.until) if before else "the period before, where a time is chosen",
    )


def _period(since: datetime | None, until: datetime | None) -> str:
    if since is None or until is None:
        return "the period before"
    return f"{since:%b %d %H:%M} to {until:%b %d %H:%M} UTC"


def nothing(analytics: Analytics, view: View) -> str:
    """Why there is nothing to show: nothing was ever stored, or the time or the filters leave it out."""
    there = analytics.names(Filter(project=view.project or None)).names
    if not there:
        return empty(
            "No scores yet",
            "Emit the first one from a service with scoreline.create_score(…), or from a shell with "
            "scoreline emit. It shows up here within a second.",
        )
    latest = max(name.last for name in there)
    if view.filters or view.q:
        cleared = View(page=view.page, project=view.project, range=view.range).url
        return empty(
            "No scores match these filters",
            f"{view.range_name}, {len(there)} names are there.",
            cleared,
            "Clear filters",
        )
    return empty(
        f"No scores in the {view.range_name.lower()}",
        f"The latest was judged {ago(latest)}.",
        view.to(range="all").url,
        "Show all time",
    )
