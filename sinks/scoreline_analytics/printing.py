"""Answers on the terminal: tables with bars, or a format for machines."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from scoreline.commands.terminal import print_table
from scoreline.errors import QueryError
from scoreline_analytics.formats import to_json, write
from scoreline_analytics.options import Output
from scoreline_analytics.results import Result, Row

_EIGHTHS = " ▏▎▍▌▋▊▉█"
BAR_CELLS = 20


def put(answer: Result, output: Output, table: Sequence[Row] | None = None) -> None:
    """Write an answer where it was asked for; `table` are its rows for people, where they differ."""
    chosen = output.chosen
    if output.output is not None:
        if chosen == "table":
            raise QueryError("--output takes csv, json, jsonl or parquet; a table is for the terminal")
        write(answer, output.output, chosen)
        sys.stderr.write(f"{len(answer.rows())} rows in {output.output}\n")
    elif chosen in (None, "table"):
        print_rows(answer.columns if table is None else None, answer.rows() if table is None else table)
    else:
        write(answer, sys.stdout.buffer, chosen)
        sys.stdout.buffer.flush()


def print_rows(columns: Sequence[str] | None, rows: Sequence[Row]) -> None:
    """A table. Columns of numbers stand to the right."""
    if not rows:
        return
    columns = list(dict.fromkeys(key for row in rows for key in row)) if columns is None else list(columns)
    numeric = {c for c in columns if any(isinstance(row.get(c), (int, float, datetime)) for row in rows)}
    print_table(columns, [[cell(row.get(c)) for c in columns] for row in rows], right=frozenset(numeric))


def cell(value: Any) -> str:
    """Four digits are enough to read; nothing is nothing."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, datetime):
        text = value.strftime("%Y-%m-%d %H:%M:%S")
        return text.removesuffix(":00").removesuffix(" 00:00")
    if isinstance(value, (list, tuple, dict)):
        return to_json(value).decode() if value else ""
    return str(value)


def interval(low: float | None, high: float | None) -> str:
    """Both ends, or nothing."""
    return "" if low is None or high is None else f"{low:.4g} … {high:.4g}"


def bar(part: float) -> str:
    """A bar as long as a share of 0 to 1, to the eighth of a cell."""
    eighths = round(max(0.0, min(1.0, part)) * BAR_CELLS * 8)
    return "█" * (eighths // 8) + (_EIGHTHS[eighths % 8] if eighths % 8 else "")


def figures_row(row: Row, level: float) -> Row:
    """A row of figures for people: the interval in one cell, categories as percentages."""
    shown = {key: value for key, value in row.items() if key not in _NOT_SHOWN}
    result: Row = {}
    for key, value in shown.items():
        result[key] = value
        if key == "mean":
            result[f"{level * 100:g}% interval"] = interval(row["mean_low"], row["mean_high"])
    if row.get("categories"):
        result["categories"] = ", ".join(f"{c['label']} {c['share'] * 100:.3g}%" for c in row["categories"])
    return result


def difference_row(row: Row, level: float) -> Row:
    """A row of a difference for people: the interval in one cell, without what the others say already."""
    result: Row = {}
    for key, value in row.items():
        if key in _NOT_SHOWN_OF_DIFFERENCES:
            continue
        if key == "low":
            result[f"{level * 100:g}% interval"] = interval(value, row["high"])
        elif key == "effect":
            result["effect"] = "" if value is None else f"{value} {cell(row['effect_size'])}"
        else:
            result[key] = value
    return result


_NOT_SHOWN_OF_DIFFERENCES = {"data_type", "high", "effect_size", "hedges_g", "missing_a", "missing_b"}
_NOT_SHOWN = {"data_type", "mean_low", "mean_high", "true_rate", "categories"}
