"""Rows of a JSONL or CSV file, plain or gzip, one at a time: a broken row is reported and its neighbours are read."""

from __future__ import annotations

import csv
import gzip
import json
import zlib
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple, NoReturn, Self, cast

from scoreline.errors import MalformedRecord
from scoreline.rejections import Reason, Rejection, found
from scoreline.topics import RAW_BYTES_MAX, RECORD_BYTES_MAX

Format = Literal["jsonl", "csv"]

LINE_BYTES_MAX = RAW_BYTES_MAX
"""Longest line that is read; of a longer one only this much is ever in memory."""
_FORMATS: dict[str, Format] = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv"}
_GZIP_MAGIC = b"\x1f\x8b"
_BOM = b"\xef\xbb\xbf"


class Row(NamedTuple):
    """One row of a file."""

    line: int
    """Number of its first line, from 1."""
    content: dict[str, Any] | Rejection
    """Column → value, or why the row cannot be read."""


@dataclass(frozen=True, slots=True)
class Source:
    """An open file."""

    rows: Iterator[Row]
    """Read as they are taken. Raises MalformedRecord where the file cannot be read any further."""
    bytes_read: Callable[[], int]
    """How far the file has been read, of its size on disk, in bytes."""


def format_of(path: Path) -> Format | None:
    """The format that a file's name tells, None if it tells none."""
    name = path.with_suffix("") if path.suffix == ".gz" else path
    return _FORMATS.get(name.suffix.lower())


@contextmanager
def open_source(path: Path, file_format: Format) -> Generator[Source]:
    """The rows of a file. Raises MalformedRecord when it cannot be opened or its CSV header is of no use."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise MalformedRecord(f"{path} cannot be opened: {error.strerror}") from error
    with file:
        stream = cast(BinaryIO, gzip.GzipFile(fileobj=file)) if file.peek(2)[:2] == _GZIP_MAGIC else file
        lines = _readable(read_lines(stream), path)
        rows = json_rows(lines) if file_format == "jsonl" else csv_rows(lines, str(path))
        yield Source(rows, file.raw.tell)


def read_lines(stream: BinaryIO) -> Iterator[bytes]:
    """Lines without their end; one longer than `LINE_BYTES_MAX` is cut one byte above."""
    first = True
    while line := stream.readline(LINE_BYTES_MAX + 1):
        more = line
        while not more.endswith(b"\n") and (more := stream.readline(LINE_BYTES_MAX)):
            pass
        yield (line.removeprefix(_BOM) if first else line).rstrip(b"\r\n")
        first = False


def json_rows(lines: Iterator[bytes]) -> Iterator[Row]:
    """A row for each line that is not blank."""
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield Row(number, parse_object(line))


def parse_object(line: bytes) -> dict[str, Any] | Rejection:
    """One JSON object, strictly: UTF-8, no repeated key, no NaN; or why it is none."""
    if len(line) > LINE_BYTES_MAX:
        return Rejection(Reason.TOO_LARGE, f"the line is longer than {LINE_BYTES_MAX} bytes")
    try:
        parsed = decode_json(line.decode())
    except (ValueError, RecursionError) as error:
        return Rejection(Reason.MALFORMED_JSON, f"{error}")
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


def _readable(lines: Iterator[bytes], path: Path) -> Iterator[bytes]:
    try:
        yield from lines
    except (OSError, EOFError, zlib.error) as error:
        raise MalformedRecord(f"{path} cannot be read to its end: {error}") from error


def _object_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    parsed = dict(pairs)
    if len(parsed) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"key {found(next(name for name in names if names.count(name) > 1))} stands twice")
    return parsed


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_object_once, parse_constant=_refuse_constant)
