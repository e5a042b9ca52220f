"""Rows of a Parquet file, a batch of one row group in memory at a time. Needs pyarrow: the extra `parquet`."""

from __future__ import annotations

import base64
import importlib
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

from scoreline.commands.readers import Row
from scoreline.errors import MalformedRecord, SettingsError

BATCH_ROWS = 1_000
_PLAIN = frozenset((str, bool, int, float, type(None)))


@dataclass(frozen=True, slots=True)
class Parquet:
    """An open Parquet file."""

    rows: Iterator[Row]
    rows_total: int


def open_parquet(file: io.BufferedReader, path: Path) -> Parquet:
    """The rows of an open file.

    Raises SettingsError where pyarrow is missing, MalformedRecord for what is no Parquet or cannot be read to its end.
    """
    try:
        arrow: Any = importlib.import_module("pyarrow")
        parquet: Any = importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise SettingsError("reading Parquet needs its extra: pip install 'scoreline[parquet]'") from error
    try:
        opened = parquet.ParquetFile(file)
    except (arrow.ArrowException, OSError) as error:
        raise MalformedRecord(f"{path} is no Parquet file: {error}") from error
    return Parquet(_rows(opened, arrow, path), opened.metadata.num_rows)


def _rows(opened: Any, arrow: Any, path: Path) -> Iterator[Row]:
    number = 0
    try:
        for batch in opened.iter_batches(batch_size=BATCH_ROWS, use_threads=False):
            for columns in _to_microseconds(batch, arrow).to_pylist(maps_as_pydicts="lossy"):
                number += 1
                yield Row(number, {c: item if type(item) in _PLAIN else plain(item) for c, item in columns.items()})
    except (arrow.ArrowException, OSError) as error:
        raise MalformedRecord(f"{path} cannot be read to its end: {error}") from error


def _to_microseconds(batch: Any, arrow: Any) -> Any:
    """The batch with its nanosecond times cut to what a datetime holds."""
    for number, column in enumerate(batch.schema):
        if arrow.types.is_timestamp(column.type) and column.type.unit == "ns":
            cut = batch.column(number).cast(arrow.timestamp("us", column.type.tz), safe=False)
            batch = batch.set_column(number, column.name, cut)
    return batch


def plain(value: Any) -> Any:
    """A value as JSON has it: times as RFC 3339 where they have a zone, decimals as text, bytes as text or base64."""
    if type(value) in _PLAIN:
        return value
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bytes):
        return _text(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in cast("list[Any]", value)]
    return str(value)


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return base64.b64encode(value).decode()
