"""Two sides beside each other, score name by score name."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from nicegui import ui
from nicegui.element import Element

from scoreline_analytics import Filter
from scoreline_analytics.compare import Comparison
from scoreline_analytics.ui import charts
from scoreline_analytics.ui.rendering import empty, render
from scoreline_analytics.ui.rows import compared_marks, compared_rows
from scoreline_analytics.ui.shell import Panel, Shell, Show, chart, grid, head, headline, html, now, pad
from scoreline_analytics.ui.state import PERIOD, View, chosen, sides_of

VALUES_MAX = 500
_KINDS = (
    ("release", "Release"),
    ("dataset_run_id", "Dataset run"),
    ("evaluator_model", "Judge’s model"),
    ("service", "Service"),
    ("environment", "Environment"),
    (PERIOD, "Period"),
)
_PAIRS = ("metadata.item", "trace_id", "observation_id", "session_id")


def build(shell: Shell) -> Show:
    """The choice of sides, the table, and the forest plot."""
    headline("Compare", "What differs between two runs, releases, models or periods, and how sure that is.")
    form, table = Panel(92), Panel(420)
    plots = grid()

    async def show(view: View) -> None:
        await asyncio.gather(
            form.fill(lambda begin: _form(shell, view, begin)),
            table.fill(lambda begin: _table(shell, view, begin, plots)),
        )

    return show


async def _form(shell: Shell, view: View, begin: Callable[[], None]) -> None:
    within = Filter(project=view.project or None)
    keys, values = await asyncio.gather(
        shell.ask(lambda: shell.analytics.dimensions(within)), shell.ask(lambda: _values(shell, view, within))
    )
    more = [(key, key.replace("metadata.", "Metadata ")) for key, n in keys.counts.items() if n]
    days = {side: text.partition("..")[::2] for side, text in zip("ab", chosen(view, now()), strict=True)}
    begin()
    pairs = [view.pair, *_PAIRS] if view.pair not in ("auto", "none", *_PAIRS) else _PAIRS
    html(render("compare_form", view=view, kinds=[*_KINDS, *more], values=values, days=days, pairs=pairs))


def _values(shell: Shell, view: View, within: Filter) -> list[str]:
    if view.side == PERIOD:
        return []
    return sorted((v for v in shell.analytics.values(view.side, within, VALUES_MAX).counts if v), reverse=True)


async def _table(shell: Shell, view: View, begin: Callable[[], None], plots: Element) -> None:
    if not all(chosen(view, now())):
        begin()
        plots.clear()
        html(
            empty(
                "Choose two sides",
                "Pick what they differ in, then A and B. The address keeps the choice: share it as it is.",
            )
        )
        return
    a, b = sides_of(view, now())
    answer = await shell.ask(lambda: shell.analytics.compare(a, b, view.pair))
    begin()
    plots.clear()
    if not answer.names:
        html(empty("Neither side has scores", "Choose other sides, a longer time or fewer filters."))
        return
    tested = sum(c.p_holm is not None for c in answer.names)
    html(render("comparison", answer=answer, rows=compared_rows(answer.names, view), tested=tested))
    _draw_plots(answer, plots)


def _draw_plots(answer: Comparison, plots: Element) -> None:
    shares, means = compared_marks(answer.names)
    with plots:
        for title, note, marks, unit, is_share in (
            (
                "Numbers",
                "Effect size and interval; right of the line: B is higher",
                means,
                "B − A, standard deviations",
                False,
            ),
            ("True/false", "Difference of the shares and interval; right of the line: B is higher", shares, "", True),
        ):
            if marks:
                with ui.element("section").classes("card"):
                    html(head(title, note))
                    with pad():
                        options = charts.forest(marks, unit=unit, line_at=0.0, is_share=is_share)
                        chart(options, charts.forest_height(marks))
