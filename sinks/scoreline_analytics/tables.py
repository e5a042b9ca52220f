"""Rows as a pyarrow Table, with the same schema whatever the rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import pyarrow

pa: Any = pyarrow  # its types are partly unknown

MOMENT = pa.timestamp("us", tz="UTC")
TEXTS = pa.map_(pa.string(), pa.string())
_SHARE = pa.struct(
    [
        ("label", pa.string()),
        ("n", pa.int64()),
        ("share", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
    ]
)
_FLOATS = (
    *("mean", "mean_low", "mean_high", "mean_before", "mean_a", "mean_b", "difference", "effect_size", "hedges_g"),
    *("p", "p_holm", "p_bh", "p50", "p90", "p95", "p99", "value", "normalized", "true_rate", "sd", "min", "max"),
    *("low", "high", "share", "pearson", "pearson_low", "pearson_high", "spearman", "mae", "rmse", "bias", "same"),
    *("same_low", "same_high", "kappa"),
)
_TYPES: dict[str, Any] = {
    "metadata": TEXTS,
    "lookups": TEXTS,
    "categories": pa.list_(_SHARE),
    **dict.fromkeys(("time", "timestamp", "received_at", "last"), MOMENT),
    **dict.fromkeys(_FLOATS, pa.float64()),
    **dict.fromkeys(("n", "failed", "missing", "config_version", "raw_partition", "raw_offset"), pa.int64()),
}
"""Types of the columns whose type their cells may not tell."""


def table_of(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> Any:
    """The pyarrow.Table; a column of nothing but None is text, where no other type is known."""
    return pa.table({column: _array(column, [row.get(column) for row in rows]) for column in columns})


def _array(column: str, values: list[Any]) -> Any:
    type_ = _TYPES.get(column)
    if type_ is TEXTS:
        return pa.array([None if value is None else list(value.items()) for value in values], TEXTS)
    if type_ is None and any(isinstance(value, datetime) for value in values):
        type_ = MOMENT
    array = pa.array(values, type_)
    return array.cast(pa.string()) if pa.types.is_null(array.type) else array
