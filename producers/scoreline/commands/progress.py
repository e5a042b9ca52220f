"""How an import shows that it moves: a bar on a terminal, a line every few seconds elsewhere; always on stderr."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

LINE_EVERY_S = 5.0


@dataclass(frozen=True, slots=True)
class Step:
    """Where an import is."""

    bytes_read: int
    """Of the file on disk."""
    rows: int
    invalid: int
    rows_per_s: float

    def __str__(self) -> str:
        invalid = f", {self.invalid:,} invalid" if self.invalid else ""
        return f"{self.rows:,} rows, {self.rows_per_s:,.0f} rows/s{invalid}"


class Progress(Protocol):
    """Shows steps and lines of text."""

    def show(self, step: Step) -> None: ...

    def say(self, text: str) -> None: ...


@contextmanager
def open_progress(title: str, size_bytes: int) -> Generator[Progress]:
    """Progress of reading a file of `size_bytes`; a bar where stderr is a terminal."""
    if not sys.stderr.isatty():
        yield _Lines(title, size_bytes)
        return
    from rich.console import Console
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        TextColumn("{task.fields[step]}"),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=Console(stderr=True)) as bar, _logging_above_it():
        task = bar.add_task(title, total=size_bytes, step="")

        class Shown:
            def show(self, step: Step) -> None:
                bar.update(task, completed=step.bytes_read, step=str(step))

            def say(self, text: str) -> None:
                bar.console.print(text, markup=False, highlight=False)

        yield Shown()


@contextmanager
def _logging_above_it() -> Generator[None]:
    """While a bar is shown, rich puts what is written to `sys.stderr` above it: log records must go there too."""
    handlers: list[Any] = [h for h in logging.getLogger().handlers if isinstance(h, logging.StreamHandler)]
    before = [handler.setStream(sys.stderr) for handler in handlers]
    try:
        yield
    finally:
        for handler, stream in zip(handlers, before, strict=True):
            handler.setStream(stream)


class _Lines:
    def __init__(self, title: str, size_bytes: int) -> None:
        self._title = title
        self._size_bytes = size_bytes
        self._shown_at = time.monotonic()

    def show(self, step: Step) -> None:
        now = time.monotonic()
        if now - self._shown_at >= LINE_EVERY_S:
            self._shown_at = now
            self.say(f"{self._title}: {step.bytes_read * 100 // max(1, self._size_bytes)} %, {step}")

    def say(self, text: str) -> None:
        sys.stderr.write(text + "\n")
