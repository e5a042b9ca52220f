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
    left_s: float | None
    """Until the end of the file at this rate; None where nothing tells."""

    def __str__(self) -> str:
        invalid = f", {self.invalid:,} invalid" if self.invalid else ""
        left = "" if self.left_s is None else f", {duration(self.left_s)} left"
        return f"{self.rows:,} rows, {self.rows_per_s:,.0f} rows/s{invalid}{left}"


@dataclass(frozen=True, slots=True)
class Pace:
    """Where this process began to take rows, and when: what an earlier one had taken says nothing of the rate."""

    size_bytes: int
    began_at: float
    """Monotonic, in seconds."""
    bytes_before: int
    rows_before: int

    def step(self, bytes_read: int, rows: int, invalid: int, now: float) -> Step:
        """Where the import is at `now`, with its rate and the time left."""
        elapsed_s = max(1e-9, now - self.began_at)
        bytes_per_s = (bytes_read - self.bytes_before) / elapsed_s
        left_s = (self.size_bytes - bytes_read) / bytes_per_s if bytes_per_s > 0 else None
        return Step(bytes_read, rows, invalid, (rows - self.rows_before) / elapsed_s, left_s)


def duration(seconds: float) -> str:
    """Seconds as people read them: `8 s`, `3:20`, `1:05:00`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


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
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        TextColumn("{task.fields[step]}"),
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
