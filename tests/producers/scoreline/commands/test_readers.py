"""Rows of files: broken ones are reported, their neighbours read."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoreline.commands.readers import LINE_BYTES_MAX, csv_rows, json_rows, read_lines
from scoreline.errors import MalformedRecord
from scoreline.rejections import Reason, Rejection

Outcome = tuple[int, Any]


def jsonl(content: bytes) -> list[Outcome]:
    """(line, object or reason) of each row."""
    return [_outcome(row) for row in json_rows(read_lines(io.BytesIO(content)))]


def csv_of(content: bytes) -> list[Outcome]:
    """(line, columns or reason) of each row."""
    return [_outcome(row) for row in csv_rows(read_lines(io.BytesIO(content)), "f.csv")]


def _outcome(row: Any) -> Outcome:
    return row.line, row.content.reason if isinstance(row.content, Rejection) else row.content


@pytest.mark.parametrize(
    "broken",
    [b"{", b"[1]", b"1", b'{"a":NaN}', b'{"a":1,"a":2}', b'{"a":"\xff"}', b'{"a":1} {"a":1}', b"[" * 100_000],
)
def test_broken_json_line_is_reported_and_its_neighbours_read(broken: bytes) -> None:
    """With the number of its line; blank lines count but are no rows."""
    assert jsonl(b'{"a":1}\n\n' + broken + b'\r\n{"a":2}') == [
        (1, {"a": 1}),
        (3, Reason.MALFORMED_JSON),
        (4, {"a": 2}),
    ]


def test_byte_order_mark_is_no_part_of_the_first_row() -> None:
    """Windows writes one."""
    assert jsonl(b'\xef\xbb\xbf{"a":1}\n') == [(1, {"a": 1})]
    assert csv_of(b"\xef\xbb\xbfa\r\n1\r\n") == [(2, {"a": "1"})]


def test_endless_line_is_cut_and_reported() -> None:
    """Memory stays bounded, the next line is a row again."""
    endless = io.BytesIO(b"x" * (3 * LINE_BYTES_MAX) + b'\n{"a":1}\n')
    lines = list(read_lines(endless))
    assert [len(line) for line in lines] == [LINE_BYTES_MAX + 1, 7]
    assert [_outcome(row) for row in json_rows(iter(lines))] == [(1, Reason.TOO_LARGE), (2, {"a": 1})]


@pytest.mark.parametrize("length", [LINE_BYTES_MAX, LINE_BYTES_MAX - 1])
def test_longest_line_is_read_whole(length: int) -> None:
    """The bound itself is inside."""
    assert [len(line) for line in read_lines(io.BytesIO(b"x" * length + b"\ny\n"))] == [length, 1]


def test_empty_cell_is_absent() -> None:
    """CSV has no null."""
    assert csv_of(b'a,b\n1,\n"",2\n') == [(2, {"a": "1", "b": None}), (3, {"a": None, "b": "2"})]


def test_quoted_cell_goes_over_lines() -> None:
    """The row's line is its first."""
    assert csv_of(b'a,b\n1,"two\nlines"\n3,4\n') == [(2, {"a": "1", "b": "two\nlines"}), (4, {"a": "3", "b": "4"})]


def test_row_with_other_columns_than_the_header_is_reported() -> None:
    """Too few, too many; blank lines are no rows."""
    assert csv_of(b"a,b\n1\n1,2,3\n\n1,2\n") == [
        (2, Reason.INVALID_VALUE),
        (3, Reason.INVALID_VALUE),
        (5, {"a": "1", "b": "2"}),
    ]


@pytest.mark.parametrize("rest", [b"", b'7,"eight"\n'])
def test_quote_that_is_never_closed_costs_one_row(rest: bytes) -> None:
    """The rows after it are not swallowed by its cell."""
    rows = csv_of(b'a,b\n1,"two\n3,4\n5,6\n' + rest)
    assert rows[:3] == [(2, Reason.INVALID_VALUE), (3, {"a": "3", "b": "4"}), (4, {"a": "5", "b": "6"})]
    assert rows[3:] == ([(5, {"a": "7", "b": "eight"})] if rest else [])


@pytest.mark.parametrize("broken", [b"\xff,2", b"1," + b"x" * 300_000, b'1,"a"b'])
def test_broken_csv_row_is_reported_and_its_neighbours_read(broken: bytes) -> None:
    """No UTF-8, a cell longer than any record, a quote inside a quoted cell."""
    assert csv_of(b"a,b\n1,2\n" + broken + b"\n3,4\n") == [
        (2, {"a": "1", "b": "2"}),
        (3, Reason.INVALID_VALUE),
        (4, {"a": "3", "b": "4"}),
    ]


def test_endless_csv_line_is_reported() -> None:
    """A cut row must not pass for a whole one."""
    line = b"1," + b",".join([b"x" * 1000] * 2000)
    assert csv_of(b"a,b\n" + line + b"\n3,4\n") == [(2, Reason.TOO_LARGE), (3, {"a": "3", "b": "4"})]


@pytest.mark.parametrize(("header", "message"), [(b"", "name the columns"), (b"a,b,a", "name 'a'"), (b'"a', "header")])
def test_header_of_no_use_is_an_error(header: bytes, message: str) -> None:
    """Without column names there are no rows."""
    with pytest.raises(MalformedRecord, match=message):
        csv_of(header)


@given(st.lists(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=9), min_size=2, max_size=2)))
def test_what_csv_writes_is_read_back(rows: list[list[str]]) -> None:
    """Quotes, commas, newlines, any text; each row under the line it begins on."""
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerows([["a", "b"], *rows])
    read = [columns for _, columns in csv_of(file.getvalue().encode())]
    # A carriage return at the end of a line belongs to the line's end.
    assert [list(columns.values()) for columns in read] == [[_cell(cell) for cell in row] for row in rows]


def _cell(cell: str) -> str | None:
    while "\r\n" in cell:
        cell = cell.replace("\r\n", "\n")
    return cell or None
