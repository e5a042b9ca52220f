"""One open page of one person: it shows what the URL says, and keeps up with it.

The browser tells each new URL; panels ask for their answers in threads and draw them when they come. A panel that is
asked anew forgets what it waited for, so that an answer to an earlier question never stands under a later one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from typing import Any, TypeVar

from fastapi import FastAPI
from nicegui import background_tasks, ui
from nicegui.element import Element
from nicegui.events import GenericEventArguments

from scoreline.errors import QueryError, ScorelineError
from scoreline.keys import ApiKey
from scoreline.settings import Settings
from scoreline_analytics import Analytics, Filter
from scoreline_analytics.ui.login import projects_of, reader_of
from scoreline_analytics.ui.rendering import failure, render, waiting
from scoreline_analytics.ui.state import BASE, PAGES, RANGES, View, view_of

T = TypeVar("T")
Show = Callable[[View], Awaitable[None]]
Build = Callable[["Shell"], Show]

ASKING_MAX = 8
"""Questions of all open pages at once; the others wait for their turn."""
CHOICES_MAX = 200
_NAMES = {
    "overview": "Overview",
    "compare": "Compare",
    "live": "Live",
    "rejections": "Rejections",
    "health": "Health",
}
_CHOICES = {"service": "service", "environment": "environment", "release": "release", "model": "evaluator_model"}
_background: Any = background_tasks  # its types are partly unknown
_log = logging.getLogger("scoreline.ui")


@dataclass(frozen=True, slots=True)
class Site:
    """What all open pages share."""

    app: FastAPI
    turns: asyncio.Semaphore
    pages: dict[str, Build]

    @property
    def settings(self) -> Settings:
        """Settings of the process."""
        return self.app.state.settings


class Panel:
    """A part of the page that is asked for, and fails, on its own."""

    def __init__(self, height: int, classes: str = "card") -> None:
        self.box = ui.element("section").classes(classes)
        self._number = 0
        with self.box:
            html(waiting(height))

    async def fill(self, work: Callable[[Callable[[], None]], Awaitable[None]]) -> None:
        """Let `work` ask and draw. It is given a function that empties the panel to draw in, or leaves when another
        question was asked in the meantime. An error is shown in place of the answer.
        """
        self._number += 1
        number = self._number
        self.box.classes(add="is-busy").props("aria-busy=true")

        def begin() -> None:
            if number != self._number or self.box.is_deleted:
                raise asyncio.CancelledError
            self.box.clear()

        try:
            with self.box:
                await work(begin)
        except ScorelineError as error:
            self._fail(begin, error)
        except Exception as error:  # noqa: BLE001 (a panel is where a question ends; the others go on)
            _log.exception("a panel of the page failed")
            self._fail(begin, RuntimeError(f"{type(error).__name__}; the log of scoreline ui says more"))
        finally:
            if number == self._number and not self.box.is_deleted:
                self.box.classes(remove="is-busy").props("aria-busy=false")

    def _fail(self, begin: Callable[[], None], error: Exception) -> None:
        begin()
        with self.box:
            html(failure(error))


class Shell:
    """The frame around every page: navigation, filters, and what the URL says."""

    def __init__(self, site: Site, url: str, reader: ApiKey | None) -> None:
        self.site = site
        self.reader = reader
        self.analytics: Analytics = site.app.state.analytics(projects_of(reader))
        self._client = ui.context.client
        self._tasks: set[asyncio.Task[Any]] = set()
        self._show: Show | None = None
        self._projects: list[str] = [reader.project] if reader else []
        self.view = View()
        self.on_pause: Callable[[], None] = lambda: None
        self._top, self._bar = html(""), html("")
        self._content = ui.element("div").classes("content").props("tabindex=-1")
        ui.on("view", self._on_view)
        ui.on("pause", lambda _: self.on_pause())
        self._open(url, "link")

    @property
    def settings(self) -> Settings:
        """Settings of the process."""
        return self.site.settings

    @property
    def projects(self) -> tuple[str, ...] | None:
        """Projects that this reader may see; None: all."""
        return projects_of(self.reader)

    async def ask(self, question: Callable[[], T]) -> T:
        """The answer to a question that is asked in a thread, when it is its turn; none once the key is revoked."""
        self._require_reader()
        async with self.site.turns:
            return await asyncio.to_thread(question)

    def start(self, work: Awaitable[None]) -> None:
        """Do something beside, until the view changes."""

        task: asyncio.Task[Any] = _background.create(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _on_view(self, event: GenericEventArguments) -> None:
        self._require_reader()
        self._open(str(event.args["url"]), str(event.args["why"]))

    def _require_reader(self) -> None:
        if reader_of(self.site.app, self._client.request.session) != self.reader:
            with self._content:
                ui.navigate.to("/login")  # NiceGUI puts BASE before it
            raise asyncio.CancelledError

    def _open(self, url: str, why: str) -> None:
        for task in self._tasks:
            task.cancel()
        self._tasks.clear()
        try:
            view = view_of(url)
        except QueryError as error:
            self._content.clear()
            self._show = None
            with self._content, ui.element("section").classes("card"):
                html(failure(error))
            return
        moved = self._show is None or (view.page, view.name) != (self.view.page, self.view.name) or why == "retry"
        self.view = view
        ui.page_title(f"{view.name or _NAMES.get(view.page, view.page)} · scoreline")
        self._top.set_content(self._top_html())
        if moved or why != "form":
            self._bar.set_content(self._bar_html())
        if moved or self._show is None:
            self._content.clear()
            self.on_pause = lambda: None
            with self._content:
                self._show = self.site.pages[view.page](self)
        self.start(self._fill(view, self._show))

    async def _fill(self, view: View, show: Show) -> None:
        """The page, then the filters' choices: for these nobody waits."""
        await show(view)
        await self._fill_choices(view)

    def _top_html(self) -> str:
        links = {page: self.view.to(page, name="", by="service").url for page in _NAMES}
        return render(
            "top",
            view=self.view,
            base=BASE,
            pages=list(_NAMES.items()),
            paths=PAGES,
            links=links,
            reader=self.reader,
            content=self._content.html_id,
        )

    def _bar_html(self) -> str:
        ranges = [(key, text) for key, (text, _, _) in RANGES.items()]
        return render("bar", view=self.view, ranges=ranges, projects=[(p, p) for p in self._projects])

    async def _fill_choices(self, view: View) -> None:
        """Fill the filters' choices with what there is."""
        if view.page == "health":
            return
        within = Filter(project=view.project or None, since=view.since(datetime.now(UTC)))
        choices: dict[str, list[str]] = {}
        wanted = {"project": "project"} | ({} if view.page == "rejections" else _CHOICES)
        try:
            for name, dimension in wanted.items():
                asked = Filter() if name == "project" else within
                answer = await self.ask(lambda d=dimension, f=asked: self.analytics.values(d, f, CHOICES_MAX))
                choices[name] = sorted(value for value in answer.counts if value)
        except ScorelineError as error:
            _log.warning("the filters' choices could not be read: %s", error)
            return
        self._projects = choices["project"]
        with self._content:
            ui.run_javascript(f"scorelineChoices({_json(choices)})")


def html(content: str) -> Any:
    """HTML that was rendered from a template, and so is escaped."""
    return ui.html(content, sanitize=False)


def chart(options: dict[str, Any], height: int = 260) -> Element:
    """An ECharts chart that follows the theme."""
    return ui.echart(options, renderer="svg").classes("chart").style(f"height:{height}px")


def grid() -> Element:
    """Two panels side by side, where there is room."""
    return ui.element("div").classes("two")


def pad() -> Element:
    """Room around a chart in a panel."""
    return ui.element("div").classes("pad")


def headline(title: str, note: str = "", back: str = "") -> None:
    """Heading of a page; `back` is the URL of the overview that led here."""
    html(render("headline", title=title, note=note, back=back))


def head(title: str, note: str) -> str:
    """Heading of a panel."""
    return f'<div class="card-head"><h2>{escape(title)}</h2><p>{escape(note)}</p></div>'


def now() -> datetime:
    """Of this moment, UTC."""
    return datetime.now(UTC)


def _json(value: Any) -> str:
    from scoreline_analytics.formats import to_json

    # A script must not be ended by a value.
    return to_json(value).decode().replace("<", "\\u003c")
