"""Answers as files: CSV, JSON, JSON lines, Parquet; written batch by batch, so that a long one needs no memory."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Literal, get_args

import orjson

from scoreline.errors import QueryError
from scoreline_analytics.results import Result, Row, require

Format = Literal["csv", "json", "jsonl", "parquet"]
_JSON = orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY

_PLAIN = frozenset({str, int, float, type(None)})
"""Cells that a CSV writer takes as they are."""


def format_of(path: Path, said: str | None = None) -> Format:
    """The format that was said, else that of the file's suffix. Raises QueryError with the formats that there are."""
    format_ = said or path.suffix.removeprefix(".").replace("ndjson", "jsonl")
    for known in get_args(Format):
        if format_ == known:
            return known
    raise QueryError(f"{path}: no format {format_!r}; end the name in .csv, .json, .jsonl or .parquet, or say one")


def to_json(value: Any) -> bytes:
    """JSON in UTF-8: moments in RFC 3339, NaN and infinities as null."""
    return orjson.dumps(value, default=_plain, option=_JSON)


def write(result: Result, target: Path | IO[bytes], format_: str | None = None) -> None:
    """A result into a file."""
    write_batches(result.columns, [result], target, format_)


def write_batches(
    columns: Sequence[str], batches: Iterable[Result], target: Path | IO[bytes], format_: str | None = None
) -> int:
    """Answers with the same columns into one file; how many rows. It appears under its name when it is whole."""
    if isinstance(target, Path):
        chosen = format_of(target, format_)
        with _whole(target) as file:
            return _WRITERS[chosen](columns, batches, file)
    return _WRITERS[format_of(Path("standard output"), format_)](columns, batches, target)


@contextmanager
def _whole(path: Path) -> Generator[IO[bytes]]:
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            yield file
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _csv(columns: Sequence[str], batches: Iterable[Result], file: IO[bytes]) -> int:
    n = 0
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for rows in map(_rows, batches):
        writer.writerows([c if c.__class__ in _PLAIN else _cell(c) for c in row.values()] for row in rows)
        n += len(rows)
        file.write(text.getvalue().encode())
        text.seek(0)
        text.truncate()
    file.write(text.getvalue().encode())
    return n


def _cell(value: Any) -> Any:
    """Numbers with every digit, moments in RFC 3339, nothing as nothing, what is nested as JSON."""
    if isinstance(value, datetime):
        return _moment(value)
    return to_json(value).decode() if isinstance(value, (list, dict, tuple)) else value


def _jsonl(_columns: Sequence[str], batches: Iterable[Result], file: IO[bytes]) -> int:
    n = 0
    for rows in map(_rows, batches):
        file.writelines(to_json(row) + b"\n" for row in rows)
        n += len(rows)
    return n


def _json(_columns: Sequence[str], batches: Iterable[Result], file: IO[bytes]) -> int:
    n = 0
    file.write(b"[")
    for rows in map(_rows, batches):
        for row in rows:
            file.write((b",\n" if n else b"") + to_json(row))
            n += 1
    file.write(b"]\n")
    return n


def _parquet(columns: Sequence[str], batches: Iterable[Result], file: IO[bytes]) -> int:
    require("pyarrow", "analytics")
    parquet: Any = require("pyarrow.parquet", "analytics")
    from scoreline_analytics.tables import table_of

    writer, n = None, 0
    for batch in batches:
        table: Any = batch.to_arrow()
        if writer is None:
            writer = parquet.ParquetWriter(file, table.schema, compression="zstd")
        writer.write_table(table.cast(writer.schema))
        n += table.num_rows
    if writer is None:
        writer = parquet.ParquetWriter(file, table_of(columns, ()).schema)
    writer.close()
    return n


def _rows(result: Result) -> list[Row]:
    return result.rows()


_WRITERS = {"csv": _csv, "json": _json, "jsonl": _jsonl, "parquet": _parquet}


def _moment(moment: datetime) -> str:
    """As in JSON: in the zone that it is shown in."""
    return moment.isoformat().replace("+00:00", "Z")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    raise TypeError(f"{type(value).__name__} is nothing for JSON")
