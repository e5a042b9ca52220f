"""Whole scores: the worst, the latest, all of a filter as a stream, one by id, all of a trace."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any

from scoreline.errors import QueryError
from scoreline_analytics.clickhouse import Reader
from scoreline_analytics.extent import extent_of
from scoreline_analytics.questions import Filter
from scoreline_analytics.results import Result, Row, require
from scoreline_analytics.statements import Parameters, where

COLUMNS = (
    "project",
    "score_id",
    "name",
    "status",
    "error",
    "data_type",
    "value",
    "label",
    "normalized",
    "comment",
    "target",
    "trace_id",
    "observation_id",
    "session_id",
    "dataset_run_id",
    "metadata",
    "lookups",
    "timestamp",
    "source",
    "evaluator_name",
    "evaluator_version",
    "evaluator_model",
    "author",
    "service",
    "environment",
    "release",
    "config_id",
    "config_version",
    "received_at",
    "raw_partition",
    "raw_offset",
)
"""Columns of a whole score, as in the table `scores`; absent is the empty text, of a number None."""
SCORES_MAX = 10_000
"""Scores of one answer; more are streamed by `scores`."""
_WINDOWS = (timedelta(hours=1), timedelta(days=1), timedelta(days=30))


@dataclass(frozen=True, slots=True)
class Scores(Result):
    """Whole scores; `metadata` and `lookups` are mappings."""

    items: tuple[Row, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return COLUMNS

    def rows(self) -> list[Row]:
        return list(self.items)


class Batch(Result):
    """Whole scores as ClickHouse sent them: rows are made of it when they are asked for."""

    __slots__ = ("_batch",)

    def __init__(self, batch: Any) -> None:
        self._batch = batch

    @property
    def columns(self) -> tuple[str, ...]:
        return COLUMNS

    def rows(self) -> list[Row]:
        return list(_rows_of(self._batch))

    def to_arrow(self) -> Any:
        arrow: Any = require("pyarrow", "analytics")
        return arrow.Table.from_batches([self._batch])


class Export:
    """A stream of whole scores, ordered by project, name and time; memory holds one batch. It can be read once."""

    columns = COLUMNS

    def __init__(self, batches: Iterator[Any]) -> None:
        self._batches = batches

    def __iter__(self) -> Iterator[Batch]:
        """Batches of scores. Raises ClickHouseUnavailable, QueryError, at any batch."""
        return map(Batch, self._batches)

    def arrow(self) -> Iterator[Any]:
        """pyarrow's RecordBatches, maps as maps."""
        return self._batches

    def write(self, target: Path | IO[bytes], format_: str | None = None) -> int:
        """Into a file: csv, json, jsonl or parquet, by the suffix of its name where it is not said; how many scores."""
        from scoreline_analytics.formats import write_batches

        return write_batches(self.columns, iter(self), target, format_)


def latest(reader: Reader, asked: Filter, n: int) -> Scores:
    """Ask ClickHouse: in the last hour with scores first, since to order all of them would read all."""
    require_count(n)
    extent = extent_of(reader, asked)
    if extent is None:
        return Scores(())
    for window in _WINDOWS:
        found = _ordered(reader, asked, "timestamp DESC, score_id", n, since=extent[1] - window)
        if len(found.items) == n:
            return found
    return _ordered(reader, asked, "timestamp DESC, score_id", n)


def worst(reader: Reader, asked: Filter, n: int) -> Scores:
    """Ask ClickHouse. How bad a failed score is, or one without a number, nobody knows: they are left out."""
    require_count(n)
    order = "ifNull(normalized, value), timestamp DESC, score_id"
    return _ordered(reader, asked, order, n, more=("status != 'failed'", "isNotNull(ifNull(normalized, value))"))


def export(reader: Reader, asked: Filter, check: Callable[[bool], None]) -> Export:
    """Ask ClickHouse, when the first batch is taken. `check` hears before it that there may be scores, and in the end
    that there were none; what it raises ends the stream."""
    parameters = Parameters()
    conditions = where(asked, reader.projects, parameters)
    statement = parameters.statement("export", columns=", ".join(COLUMNS), conditions=conditions)
    return Export(_checked(reader.batches(statement), check))


def _checked(batches: Iterator[Any], check: Callable[[bool], None]) -> Iterator[Any]:
    check(False)
    n = 0
    for batch in batches:
        n += batch.num_rows
        yield batch
    if n == 0:
        check(True)


def score(reader: Reader, project: str, score_id: str) -> Row | None:
    """Ask ClickHouse."""
    parameters = Parameters()
    this = f"score_id = {parameters.bind(score_id, 'String')}"
    found = _rows(reader, where(Filter(project=project), reader.projects, parameters, this), parameters, "timestamp", 1)
    return found.items[0] if found.items else None


def trace(reader: Reader, trace_id: str, project: str | None) -> Scores:
    """Ask ClickHouse."""
    parameters = Parameters()
    this = f"trace_id = {parameters.bind(trace_id, 'String')}"
    conditions = where(Filter(project=project), reader.projects, parameters, this)
    return _rows(reader, conditions, parameters, "timestamp, score_id", SCORES_MAX)


def require_count(n: int) -> None:
    """Raise QueryError when so many scores are no answer."""
    if not 1 <= n <= SCORES_MAX:
        raise QueryError(f"{n} scores are not within 1..{SCORES_MAX}; for more, export them: scoreline query scores")


def _ordered(
    reader: Reader, asked: Filter, order: str, n: int, *, since: Any = None, more: tuple[str, ...] = ()
) -> Scores:
    parameters = Parameters()
    recent = (f"timestamp >= {parameters.moment(since)}",) if since is not None else ()
    return _rows(reader, where(asked, reader.projects, parameters, *recent, *more), parameters, order, n)


def _rows(reader: Reader, conditions: str, parameters: Parameters, order: str, n: int) -> Scores:
    statement = parameters.statement(
        "scores",
        columns=", ".join(COLUMNS),
        conditions=conditions,
        order=order,
        limit=parameters.bind(n, "UInt32"),
    )
    rows = reader.rows(statement)
    return Scores(tuple(dict(zip(COLUMNS, map(_aware, row), strict=True)) for row in rows))


def _rows_of(batch: Any) -> Iterator[Row]:
    """Rows of an Arrow batch, column by column: to make each row of cells of its own takes three times as long."""
    columns = [_cells(column) for column in batch.columns]
    return (dict(zip(COLUMNS, cells, strict=True)) for cells in zip(*columns, strict=True))


def _cells(column: Any) -> list[Any]:
    """A map comes as a list of pairs; moments are UTC, as ClickHouse was asked for, whatever object says so."""
    kind = str(column.type)
    if kind.startswith("map"):
        return [dict(pairs) for pairs in column.to_pylist()]
    if kind.startswith("timestamp"):
        arrow: Any = require("pyarrow", "analytics")
        return [moment.replace(tzinfo=UTC) for moment in column.cast(arrow.timestamp("us")).to_pylist()]
    return column.to_pylist()


def _aware(cell: Any) -> Any:
    return cell.replace(tzinfo=UTC) if isinstance(cell, datetime) else cell
