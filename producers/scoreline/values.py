"""The canonical form of a score's value under its data type."""

from __future__ import annotations

import math
import re

import msgspec

from scoreline.events import DataType
from scoreline.rejections import Reason, Rejection, found

EXACT_INTEGER_MAX = 2**53
"""Integers up to this magnitude have an exact double (IEEE 754 binary64)."""

_DECIMAL = re.compile(r"[+-]?(?:[0-9]{1,400}(?:\.[0-9]{0,400})?|\.[0-9]{1,400})(?:[eE][+-]?[0-9]{1,4})?")
_INTEGER = re.compile(r"[+-]?[0-9]+")


class Value(msgspec.Struct, frozen=True, gc=False):
    """A value as analytics sees it."""

    number: float | None
    """What an average may use; None for a category without a number."""
    label: str | None
    """The category, `true` or `false`; None for a number."""


_TRUE, _FALSE = Value(1.0, "true"), Value(0.0, "false")
_BOOLEANS: dict[object, Value] = {True: _TRUE, False: _FALSE, "true": _TRUE, "false": _FALSE}  # 1.0 is True, 0.0 False
_INFERRED = {float: DataType.NUMERIC, str: DataType.CATEGORICAL, bool: DataType.BOOLEAN}


def infer_data_type(value: float | bool | str) -> DataType:
    """Data type of a value that came without one: number, string, boolean."""
    return _INFERRED[type(value)]


def canonical_value(value: float | bool | str, data_type: DataType) -> Value | Rejection:
    """`value` as a number, a label or both, or why it does not fit `data_type`."""
    kind = type(value)
    if data_type is DataType.NUMERIC:
        if kind is float:
            return Value(value, None)  # pyright: ignore[reportArgumentType]
        if kind is str:
            return _decimal(str(value))
    elif data_type is DataType.BOOLEAN:
        known = _BOOLEANS.get(value)
        if known is not None:
            return known
    elif kind is str and value:
        return Value(None, str(value))
    expected = {
        DataType.NUMERIC: "a finite number or a decimal string",
        DataType.BOOLEAN: 'true, false, 1, 0, "true" or "false"',
        DataType.CATEGORICAL: "a non-empty string",
    }[data_type]
    return Rejection(Reason.INVALID_VALUE, f"value: {data_type} takes {expected}, found {found(value)}")


def _decimal(text: str) -> Value | Rejection:
    if _DECIMAL.fullmatch(text):
        number = float(text)
        exact = not _INTEGER.fullmatch(text) or abs(int(text)) <= EXACT_INTEGER_MAX
        if math.isfinite(number) and exact:
            return Value(number, None)
    return Rejection(
        Reason.INVALID_VALUE,
        f"value: NUMERIC takes a finite decimal string, integers within ±2^53, found {found(text)}",
    )
