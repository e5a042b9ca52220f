"""Whether scores flow: how far behind, how many, how fast."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from nicegui import ui

from scoreline_analytics.flow import WINDOW, Flow
from scoreline_analytics.ui import texts
from scoreline_analytics.ui.rendering import render
from scoreline_analytics.ui.shell import Panel, Shell, Show, head, headline, html
from scoreline_analytics.ui.state import View

POLL_S = 5.0
_HOPS = {
    "to_kafka": "Judged to Kafka",
    "to_row": "Kafka to ClickHouse",
    "to_query": "Judged to queryable",
}


def build(shell: Shell) -> Show:
    """Two panels that are asked for again every few seconds, and fail apart: Kafka's and ClickHouse's."""
    headline("Pipeline health", "From the services through Kafka into ClickHouse.")
    behind, through = Panel(120), Panel(300)

    async def lag(begin: Callable[[], None]) -> None:
        found = await shell.ask(shell.site.app.state.lag.now)
        begin()
        html(head("Lag", "Records that wait, by process") + render("figures", tiles=lag_tiles(found)))

    async def flow(begin: Callable[[], None]) -> None:
        found = await shell.ask(shell.analytics.flow)
        begin()
        minutes = f"Last {WINDOW.total_seconds() / 60:.0f} minutes"
        html(head("Flow", minutes) + render("figures", tiles=flow_tiles(found)) + render("hops", hops=hops_of(found)))

    async def tick() -> None:
        # One after the other would let a silent Kafka hold up what ClickHouse knows.
        shell.start(behind.fill(lag))
        await through.fill(flow)

    async def show(view: View) -> None:  # noqa: ARG001 (health has no filters)
        await tick()

    ui.timer(POLL_S, tick, immediate=False)
    return show


Tile = tuple[str, str, str, tuple[str, object] | None]


def lag_tiles(found: Mapping[str, int | None]) -> list[Tile]:
    """How far each process is behind."""
    return [
        (
            process.capitalize(),
            texts.count(lag),
            "Kafka does not say" if lag is None else "keeps up" if lag == 0 else "records behind",
            None if lag is None else (f"lag-{process}", lag),
        )
        for process, lag in found.items()
    ]


def flow_tiles(found: Flow) -> list[Tile]:
    """How much went through."""
    return [
        ("Rate", f"{texts.number(found.per_s)} /s", f"{texts.count(found.n)} scores stored", ("stored", found.n)),
        ("Rejected", texts.count(found.rejected), "records", ("rejected", found.rejected)),
        ("Late", texts.count(found.late), "judged over an hour before, in no latency", None),
        ("Judged to queryable", texts.seconds(found.to_query.p50), f"p99 {texts.seconds(found.to_query.p99)}", None),
    ]


def hops_of(found: Flow) -> list[tuple[str, list[str]]]:
    """Latency of each hop, as texts: p50, p90, p99."""
    return [
        (text, [texts.seconds(row[name]) for name in ("p50", "p90", "p99")])
        for row in found.rows()
        for text in (_HOPS[row["hop"]],)
    ]
