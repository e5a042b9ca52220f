"""The newest scores as they arrive."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from nicegui import ui

from scoreline_analytics import Analytics
from scoreline_analytics.fields import Condition
from scoreline_analytics.results import Row
from scoreline_analytics.ui.rendering import empty, render
from scoreline_analytics.ui.rows import score_rows
from scoreline_analytics.ui.shell import Panel, Shell, Show, headline, html, now
from scoreline_analytics.ui.state import View

POLL_S = 1.5
SHOWN_MAX = 50
JUDGED_WITHIN = timedelta(days=2)
"""Scores that arrive now and were judged earlier are not looked for: all parts of the table would be read."""
OVERLAP = timedelta(seconds=10)
"""How much of the time before is asked for again: the clocks of page and ClickHouse differ, inserts take time."""


class Tail:
    """The newest scores of a filter, each once, SHOWN_MAX at most."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.items: list[Row] = []
        self._asked: datetime | None = None

    def poll(self, analytics: Analytics, at: datetime) -> bool:
        """Ask for what arrived since the last time; whether there was something."""
        more = () if self._asked is None else (Condition("inserted_at", ">=", (self._asked - OVERLAP,)),)
        asked = self.view.filter(at, *more, is_timed=False)
        bounded = type(asked)(project=asked.project, since=at - JUDGED_WITHIN, where=asked.where)
        found = analytics.latest(bounded, SHOWN_MAX).items
        self._asked = at
        known = {(item["project"], item["score_id"]) for item in self.items}
        new = [item for item in found if (item["project"], item["score_id"]) not in known]
        self.items = [*new, *self.items][:SHOWN_MAX]
        return bool(new)


def build(shell: Shell) -> Show:
    """A list that grows at its top, and a button that holds it still."""
    headline("Live", "The newest scores, as they become queryable.")
    status = html("")
    panel = Panel(520)
    tail = Tail(shell.view)
    is_paused = False

    def say() -> None:
        status.set_content(render("following", is_paused=is_paused))

    def pause() -> None:
        nonlocal is_paused
        is_paused = not is_paused
        say()

    async def tick() -> None:
        if is_paused:
            return
        following = tail

        async def work(begin: Callable[[], None]) -> None:
            nonlocal drawn
            is_new = await shell.ask(lambda: following.poll(shell.analytics, now()))
            if following is not tail or (drawn is following and not is_new):
                return
            begin()
            drawn = following
            _draw(shell, following)

        await panel.fill(work)

    async def show(view: View) -> None:
        nonlocal tail
        tail = Tail(view)
        await tick()

    drawn: Tail | None = None
    say()
    shell.on_pause = pause
    ui.timer(POLL_S, tick, immediate=False)
    return show


def _draw(shell: Shell, tail: Tail) -> None:
    if not tail.items:
        html(
            empty("Nothing has arrived", "Scores appear here as they come; those of the last two days are looked for.")
        )
        return
    rows = score_rows(tail.items, tail.view, shell.settings)
    html(render("scores", rows=rows, has_name=True))
