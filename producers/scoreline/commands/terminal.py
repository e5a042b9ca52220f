"""What commands print: rich on a terminal, plain lines and JSON everywhere else."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

FAILED, USAGE = 1, 2
"""Exit status of a call that did not succeed, and of one that cannot be understood."""


def print_json(value: Any) -> None:
    """One JSON value on one line."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")


def printable(text: str) -> str:
    """`text` without what a terminal would obey: control and other unprintable characters become spaces."""
    return text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], right: frozenset[str] = frozenset()) -> None:
    """A table; the columns named in `right` stand to the right and are never broken. Nothing is cut."""
    rows = [[printable(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(header_style="bold", box=None, pad_edge=False)
        for column in columns:
            if column in right:
                table.add_column(column, justify="right", no_wrap=True)
            else:
                table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*(Text(cell) for cell in row))
        Console().print(table)
        return
    widths = [max(map(len, cells)) for cells in zip(columns, *rows, strict=True)]
    for row in (columns, *rows):
        cells = (
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, cell, width in zip(columns, row, widths, strict=True)
        )
        sys.stdout.write("  ".join(cells).rstrip() + "\n")


def refuse(message: str) -> NoReturn:
    """End with the exit status of wrong usage."""
    sys.stderr.write(f"scoreline: {message}\n")
    raise SystemExit(USAGE)
