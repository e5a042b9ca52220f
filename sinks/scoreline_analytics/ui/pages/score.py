"""One score name in depth."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

from scoreline_analytics import Analytics, Question
from scoreline_analytics.figures import Figures
from scoreline_analytics.scores import Scores
from scoreline_analytics.summary import Summary
from scoreline_analytics.ui import charts, texts
from scoreline_analytics.ui.pages.overview import nothing, series_of
from scoreline_analytics.ui.rendering import empty, render
from scoreline_analytics.ui.rows import headline as headline_of
from scoreline_analytics.ui.rows import range_of, score_rows
from scoreline_analytics.ui.shell import Panel, Shell, Show, chart, grid, head, headline, html, now, pad
from scoreline_analytics.ui.state import View

SCORES_SHOWN = 10
GROUPS_SHOWN = 12
_DIMENSIONS = (
    ("service", "service"),
    ("environment", "environment"),
    ("release", "release"),
    ("evaluator_model", "judge’s model"),
    ("evaluator_name", "evaluator"),
    ("author", "author"),
    ("dataset_run_id", "dataset run"),
)


def build(shell: Shell) -> Show:
    """Figures, trend, distribution, breakdown, the worst and the latest scores: each asked for on its own."""
    name = shell.view.name
    headline(name or "No score chosen", back=shell.view.to("overview", name="", by="service").url)
    figures, trend = Panel(92), Panel(320)
    with grid():
        spread, parts = Panel(340), Panel(340)
    worst, latest = Panel(320), Panel(320)

    async def show(view: View) -> None:
        if not view.name:
            await figures.fill(_no_name)
            return
        analytics, question = shell.analytics, view.question(now(), ())
        await asyncio.gather(
            figures.fill(lambda begin: _figures(shell, question, begin)),
            trend.fill(lambda begin: _trend(shell, view, question, begin)),
            spread.fill(lambda begin: _spread(shell, question, begin)),
            parts.fill(lambda begin: _parts(shell, view, begin)),
            worst.fill(
                lambda begin: _scores(
                    shell, view, "Worst", "lowest first", lambda: analytics.worst(question, SCORES_SHOWN), begin
                )
            ),
            latest.fill(
                lambda begin: _scores(
                    shell, view, "Latest", "newest first", lambda: analytics.latest(question, SCORES_SHOWN), begin
                )
            ),
        )

    return show


async def _no_name(begin: Callable[[], None]) -> None:
    begin()
    html(empty("No score chosen", "Choose one from the overview.", View().url, "Overview"))


async def _figures(shell: Shell, question: Question, begin: Callable[[], None]) -> None:
    analytics = shell.analytics
    summary = await shell.ask(lambda: analytics.summary(question))
    if not summary.groups:
        text = await shell.ask(lambda: nothing(analytics, shell.view))
        begin()
        html(text)
        return
    figures = summary.groups[0].figures
    judged = await shell.ask(lambda: config_range(analytics, question)) if figures.data_type == "NUMERIC" else None
    begin()
    html(render("figures", tiles=_tiles(figures, judged)))


def config_range(analytics: Analytics, question: Question) -> tuple[float, float] | None:
    """Worst and best value by the config, from some scores."""
    return range_of((*analytics.latest(question, 50).items, *analytics.worst(question, 1).items))


def _tiles(f: Figures, judged: tuple[float, float] | None) -> list[tuple[str, str, str, tuple[str, object] | None]]:
    figure, label, text, ends = headline_of(f)
    tiles: list[tuple[str, str, str, tuple[str, object] | None]] = [
        (label, text, ends and f"{ends} (95 %)", ("mean", "" if figure is None else figure)),
        (
            "Scores",
            texts.count(f.n),
            f"{texts.count(f.missing)} without a number" if f.missing and f.data_type != "CATEGORICAL" else "",
            ("n", f.n),
        ),
        (
            "Failed",
            texts.count(f.failed),
            texts.percent(f.failed / (f.n + f.failed)) + " of all" if f.failed else "",
            ("failed", f.failed),
        ),
    ]
    if f.data_type != "BOOLEAN" and f.mean is not None:
        q = f.quantiles
        tiles += [
            ("Median", texts.number(q.get("p50")), f"p90 {texts.number(q.get('p90'))}", None),
            ("Spread (sd)", texts.number(f.sd), f"{texts.value(f.min)} to {texts.value(f.max)}", None),
        ]
    if judged is not None:
        ends = f"{texts.value(min(judged))} to {texts.value(max(judged))}"
        tiles.append(
            ("Range by config", ends, "lower is better" if judged[0] > judged[1] else "higher is better", None)
        )
    return tiles


async def _trend(shell: Shell, view: View, question: Question, begin: Callable[[], None]) -> None:
    series = await shell.ask(lambda: series_of(shell.analytics, question, view))
    begin()
    if not any(p.figures.n + p.figures.failed for p in series.points):
        html(head("Trend", "") + empty("No scores in this time", "Choose a longer one."))
        return
    types = {p.figures.data_type for p in series.points if p.figures.data_type}
    data_type = next(iter(types)) if len(types) == 1 else None
    if any(p.figures.mean is not None for p in series.points):
        what = "Share of true" if data_type == "BOOLEAN" else "Mean"
        html(head("Trend", f"{what} and 95 % interval, every {series.step}, UTC; gaps are times without scores"))
        times = [p.time for p in series.points]
        width = times[1] - times[0] if len(times) > 1 else timedelta(hours=1)
        options = charts.trend(series.points, data_type, width)
    else:
        html(head("Trend", f"Scores, every {series.step}, UTC"))
        options = charts.volume(series.points)
    with pad():
        chart(options)


async def _spread(shell: Shell, question: Question, begin: Callable[[], None]) -> None:
    answer = await shell.ask(lambda: shell.analytics.histogram(question, 20))
    begin()
    if not answer.groups or not answer.groups[0].n:
        html(head("Distribution", "") + empty("Nothing to count", "There is no score with a value in this time."))
        return
    bars = answer.groups[0]
    html(head("Distribution", "Share of each category" if charts.are_categories(bars) else "Scores by value"))
    with pad():
        chart(charts.distribution(bars), 276)


async def _parts(shell: Shell, view: View, begin: Callable[[], None]) -> None:
    question = view.question(now(), (view.by,), GROUPS_SHOWN)
    answer = await shell.ask(lambda: shell.analytics.summary(question, ()))
    known = await shell.ask(lambda: shell.analytics.dimensions(view.filter(now())))
    keys = [(key, key.replace("metadata.", "metadata ")) for key, n in known.counts.items() if n]
    choices = [*_DIMENSIONS, *keys]
    begin()
    html(render("breakdown", choices=choices, by=view.by))
    _draw_parts(answer, view)


def _draw_parts(answer: Summary, view: View) -> None:
    groups = [(group.dimensions[view.by] or "(none)", group.figures) for group in answer.groups]
    if not groups:
        html(empty("No scores in this time", "Choose a longer one."))
        return
    if any(figures.data_type == "CATEGORICAL" for _, figures in groups):
        marks = [
            charts.Mark(
                label,
                top.share,
                top.low,
                top.high,
                f"{top.label} {texts.percent(top.share)}, {texts.count(f.n)} scores",
            )
            for label, f in groups
            for top in f.categories[:1]
        ]
        is_share = True
    else:
        marks, is_share = charts.marks_of(groups), any(f.data_type == "BOOLEAN" for _, f in groups)
    with pad():
        chart(charts.forest(marks, unit="", line_at=None, is_share=is_share), max(276, charts.forest_height(marks)))
    if not answer.is_complete:
        html(f'<p class="note">The {GROUPS_SHOWN} with the most scores.</p>')


async def _scores(
    shell: Shell, view: View, title: str, order: str, ask: Callable[[], Scores], begin: Callable[[], None]
) -> None:
    answer = await shell.ask(ask)
    begin()
    if not answer.items:
        html(
            head(title, "")
            + empty("None to show", "Categories and failed scores have no worst; or there is no score in this time.")
        )
        return
    rows = score_rows(answer.items, view, shell.settings)
    html(head(title, order) + render("scores", rows=rows, has_name=False))
