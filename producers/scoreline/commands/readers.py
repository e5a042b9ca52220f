"""Rows of JSONL and CSV lines, one at a time: a broken row is reported and its neighbours are read."""

from __future__ import annotations

import csv
import json
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, Literal, NamedTuple, NoReturn, Self, cast

from scoreline.errors import MalformedRecord
from scoreline.rejections import Reason, Rejection, found
from scoreline.topics import RAW_BYTES_MAX, RECORD_BYTES_MAX

Format = Literal["jsonl", "json", "csv", "parquet"]

LINE_BYTES_MAX = RAW_BYTES_MAX
"""Longest line that is read; of a longer one only this much is ever in memory."""
_BOM = b"\xef\xbb\xbf"


class Row(NamedTuple):
    """One row of a file."""

    line: int
    """Number of its first line, from 1; in files without lines the number of the row."""
    content: dict[str, Any] | Rejection
    """Column → value, or why the row cannot be read."""


def read_lines(stream: BinaryIO, bytes_max: int = LINE_BYTES_MAX) -> Iterator[bytes]:
    """Lines without their end; one longer than `bytes_max` is cut one byte above."""
    first = True
    while line := stream.readline(bytes_max + 1):
        more = line
        while not more.endswith(b"\n") and (more := stream.readline(bytes_max)):
            pass
        yield (line.removeprefix(_BOM) if first else line).rstrip(b"\r\n")
        first = False


def json_rows(
    lines: Iterator[bytes], decode: Callable[[str], Any] | None = None, bytes_max: int = LINE_BYTES_MAX
) -> Iterator[Row]:
    """A row for each line that is not blank; `decode` is `decode_json` unless another is given."""
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield Row(number, parse_object(line, decode or decode_json, bytes_max))


def parse_object(line: bytes, decode: Callable[[str], Any], bytes_max: int) -> dict[str, Any] | Rejection:
    """One JSON object, or why it is none."""
    if len(line) > bytes_max:
        return Rejection(Reason.TOO_LARGE, f"the line is longer than {bytes_max} bytes")
    try:
        return object_of(decode(line.decode()))
    except (ValueError, RecursionError) as error:
        return Rejection(Reason.MALFORMED_JSON, f"{error}")


def object_of(parsed: Any) -> dict[str, Any] | Rejection:
    """`parsed` where it is an object, else why it is none."""
    if isinstance(parsed, dict):
        return cast("dict[str, Any]", parsed)
    return Rejection(Reason.MALFORMED_JSON, f"expected one JSON object, found {found(parsed)}")


def decode_json(text: str) -> Any:
    """JSON, strictly: no repeated key, no NaN. Raises ValueError, and RecursionError for nesting without end."""
    return _DECODER.decode(text)


def csv_rows(lines: Iterator[bytes], name: str) -> Iterator[Row]:
    """A row for each record after the header; an empty cell is None. Raises MalformedRecord for a header of no use."""
    csv.field_size_limit(RECORD_BYTES_MAX)
    text = _CsvLines(lines)
    reader = csv.reader(text, strict=True)
    try:
        header = next(reader, None)
    except csv.Error as error:
        raise MalformedRecord(f"{name}: the header cannot be read: {error}") from error
    if not header:
        raise MalformedRecord(f"{name}: the first line must name the columns")
    if len(set(header)) < len(header):
        repeated = next(column for column in header if header.count(column) > 1)
        raise MalformedRecord(f"{name}: two columns have the name {found(repeated)}")
    return _csv_rows(reader, header, text)


def _csv_rows(reader: Iterator[list[str]], header: list[str], text: _CsvLines) -> Iterator[Row]:
    while True:
        text.begin_record()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except _TooLong as error:
            yield Row(text.record_line, Rejection(Reason.TOO_LARGE, str(error)))
        except csv.Error as error:
            yield Row(text.record_line, Rejection(Reason.INVALID_VALUE, str(error)))
            text.reread_from_second_line()
        else:
            if len(cells) == len(header):
                yield Row(text.record_line, {column: cell or None for column, cell in zip(header, cells, strict=True)})
            elif cells:
                detail = f"the header has {len(header)} columns, this row {len(cells)}"
                yield Row(text.record_line, Rejection(Reason.INVALID_VALUE, detail))


class _TooLong(csv.Error):
    pass


class _CsvLines:
    """Lines as csv.reader takes them; remembers those of the record at hand.

    A quote that is never closed would swallow the rows after it: when a record cannot be read, only its first line is
    given up.
    """

    def __init__(self, lines: Iterator[bytes]) -> None:
        self._lines = enumerate(lines, 1)
        self._again: deque[tuple[int, bytes]] = deque()
        self._record: list[tuple[int, bytes]] = []
        self._record_bytes = 0

    @property
    def record_line(self) -> int:
        """Number of the first line of the record at hand."""
        return self._record[0][0]

    def begin_record(self) -> None:
        self._record.clear()
        self._record_bytes = 0

    def reread_from_second_line(self) -> None:
        self._again.extendleft(reversed(self._record[1:]))

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        number, line = self._again.popleft() if self._again else next(self._lines)
        self._record.append((number, line))
        self._record_bytes += len(line) + 1
        if self._record_bytes > LINE_BYTES_MAX:
            raise _TooLong(f"the row is longer than {LINE_BYTES_MAX} bytes")
        try:
            return line.decode() + "\n"
        except UnicodeDecodeError as error:
            raise csv.Error(f"not UTF-8: {error}") from error


def _object_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    parsed = dict(pairs)
    if len(parsed) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"key {found(next(name for name in names if names.count(name) > 1))} stands twice")
    return parsed


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_object_once, parse_constant=_refuse_constant)
