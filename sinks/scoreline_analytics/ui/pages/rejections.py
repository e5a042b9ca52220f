"""What was rejected, why, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable

from scoreline_analytics.rejections import RejectionFilter
from scoreline_analytics.ui.rendering import empty, render
from scoreline_analytics.ui.shell import Panel, Shell, Show, headline, html, now
from scoreline_analytics.ui.state import View

GROUPS_MAX = 200


def build(shell: Shell) -> Show:
    """One table by reason and service."""
    note = "Records that could not become a score. Each is kept, byte for byte, and can be replayed."
    headline("Rejections", note)
    panel = Panel(420)

    async def show(view: View) -> None:
        async def work(begin: Callable[[], None]) -> None:
            asked = RejectionFilter(project=view.project or None, since=view.since(now()))
            found = await shell.ask(lambda: shell.analytics.rejections(asked, GROUPS_MAX))
            begin()
            if found.groups:
                html(render("rejections", groups=found.groups, is_complete=found.is_complete))
            else:
                html(empty(f"Nothing rejected in the {view.range_name.lower()}", "Every record became a score."))

        await panel.fill(work)

    return show
