"""Answers: frozen, as rows, Arrow, pandas, polars or a file."""

from __future__ import annotations

import importlib
from abc import abstractmethod
from pathlib import Path
from typing import IO, Any

from scoreline.errors import SettingsError

Row = dict[str, Any]


class Result:
    """What every answer can do. Cells: text, numbers, None, aware datetimes, lists of mappings; never NaN."""

    __slots__ = ()

    @property
    @abstractmethod
    def columns(self) -> tuple[str, ...]:
        """Names of the columns, also where there is no row."""

    @abstractmethod
    def rows(self) -> list[Row]:
        """A mapping for each row, in the order of the columns."""

    def to_arrow(self) -> Any:
        """The rows as a pyarrow Table. Raises SettingsError when pyarrow is not installed."""
        require("pyarrow", "analytics")
        from scoreline_analytics.tables import table_of

        return table_of(self.columns, self.rows())

    def to_pandas(self) -> Any:
        """The rows as a pandas DataFrame. Raises SettingsError when pandas is not installed."""
        require("pandas", "analytics")
        return self.to_arrow().to_pandas()

    def to_polars(self) -> Any:
        """The rows as a polars DataFrame. Raises SettingsError when polars is not installed."""
        polars: Any = require("polars", "analytics")
        return polars.from_arrow(self.to_arrow())

    def write(self, target: Path | IO[bytes], format_: str | None = None) -> None:
        """Write a file: csv, json, jsonl or parquet, by the suffix of its name where it is not said.

        Raises QueryError for another format.
        """
        from scoreline_analytics.formats import write

        write(self, target, format_)


def require(module: str, extra: str) -> Any:
    """The module. Raises SettingsError that says how to install it."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        install = module if module in ("pandas", "polars") else f"'scoreline[{extra}]'"
        raise SettingsError(f"{module} is not installed; do: pip install {install}") from error
