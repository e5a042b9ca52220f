"""The rows of a file of any format, with how far it was read."""

from __future__ import annotations

import gzip
import io
import json
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from scoreline.commands.json_documents import document_records, read_document
from scoreline.commands.presets import Preset
from scoreline.commands.presets.parts import Record
from scoreline.commands.readers import (
    Format,
    Row,
    csv_rows,
    decode_json,
    json_rows,
    read_lines,
)
from scoreline.errors import InvalidScore, MalformedRecord
from scoreline.rejections import Rejection

EXPORT_LINE_BYTES_MAX = 16 << 20
"""Longest line of an export: traces and transcripts stand in it beside their scores."""
_FORMATS: dict[str, Format] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".parquet": "parquet",
}
_GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class Source:
    """An open file."""

    rows: Iterator[Row]
    """Read as they are taken. Raises MalformedRecord where the file cannot be read any further."""
    bytes_read: Callable[[], int]
    """How far the file has been read, of its size on disk, in bytes."""
    unit: str = "line"
    """What a row's number counts."""


def format_of(path: Path) -> Format | None:
    """The format that a file's name tells, None if it tells none."""
    name = path.with_suffix("") if path.suffix == ".gz" else path
    return _FORMATS.get(name.suffix.lower())


@contextmanager
def open_source(path: Path, file_format: Format, preset: Preset | None = None) -> Generator[Source]:
    """The rows of a file; with a preset the records of its documents, without those that hold no score.

    Raises MalformedRecord when it cannot be opened or is of no use, SettingsError where pyarrow is not installed.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise MalformedRecord(f"{path} cannot be opened: {error.strerror}") from error
    with file:
        stream = cast(BinaryIO, gzip.GzipFile(fileobj=file)) if file.peek(2)[:2] == _GZIP_MAGIC else file
        if file_format == "json":
            yield _of_document(stream, path, preset)
        elif file_format == "parquet":
            yield _of_parquet(file, path, preset)
        else:
            yield Source(_unfolded(_line_rows(stream, path, file_format, preset), preset), file.raw.tell)


def _line_rows(stream: BinaryIO, path: Path, file_format: Format, preset: Preset | None) -> Iterator[Row]:
    if file_format == "csv":
        return csv_rows(_readable(read_lines(stream), path), str(path))
    if preset is None:
        return json_rows(_readable(read_lines(stream), path))
    bytes_max = EXPORT_LINE_BYTES_MAX
    return json_rows(_readable(read_lines(stream, bytes_max), path), json.loads, bytes_max)


def _of_document(stream: BinaryIO, path: Path, preset: Preset | None) -> Source:
    decode = decode_json if preset is None else json.loads
    records = document_records(read_document(stream, path, decode))
    rows = list(_unfolded((Row(number, record) for number, record in enumerate(records, 1)), preset))
    numbered = (Row(number, row.content) for number, row in enumerate(rows, 1))
    return _counted(numbered, path, len(rows), "record")


def _of_parquet(file: io.BufferedReader, path: Path, preset: Preset | None) -> Source:
    from scoreline.commands.parquet_rows import open_parquet

    parquet = open_parquet(file, path)
    return _counted(_unfolded(parquet.rows, preset), path, parquet.rows_total, "row")


def _counted(rows: Iterator[Row], path: Path, total: int, unit: str) -> Source:
    """A source that is as far read as rows were taken."""
    size_bytes, taken = path.stat().st_size, 0

    def counting() -> Iterator[Row]:
        nonlocal taken
        for row in rows:
            taken = row.line
            yield row

    return Source(counting(), lambda: size_bytes * taken // max(1, total), unit)


def _unfolded(rows: Iterator[Row], preset: Preset | None) -> Iterator[Row]:
    """Each document's records; without a preset the rows as they are."""
    return rows if preset is None else _records(rows, preset)


def _records(rows: Iterator[Row], preset: Preset) -> Iterator[Row]:
    head: dict[str, Any] = {}
    for row in rows:
        if isinstance(row.content, Rejection):
            yield row
        elif preset.header is not None and preset.header in row.content:
            head = {preset.header: row.content[preset.header]}
        else:
            try:
                records: list[Record] = list(preset.records(row.content))
            except InvalidScore as error:
                yield Row(row.line, error.rejection)
            else:
                yield from (Row(row.line, {**record, **head} if head else dict(record)) for record in records)


def _readable(lines: Iterator[bytes], path: Path) -> Iterator[bytes]:
    try:
        yield from lines
    except (OSError, EOFError, zlib.error) as error:
        raise MalformedRecord(f"{path} cannot be read to its end: {error}") from error
