"""A row's columns to the fields of a raw score: a pure function of the row and of the plan made from `--map`."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, NoReturn, cast

from scoreline.commands.coercion import timestamp_of, value_of
from scoreline.errors import InvalidScore
from scoreline.events import Evaluator, ScoreEvent
from scoreline.rejections import Reason, Rejection, found

Columns = Mapping[str, Any]
"""One row: column → value as JSON has it; in CSV every value is text, and None where the cell is empty."""
Fields = dict[str, Any]
"""The fields of a raw score, not yet checked."""
Cells = Literal["json", "text"]
"""Whether a row's values have types of their own or are all text, as in CSV."""
Rest = Literal["ignored", "metadata"]
"""What becomes of columns that are no field and that no template names."""

FIELDS = frozenset(ScoreEvent.model_fields)
_EVALUATOR_FIELDS = frozenset(Evaluator.model_fields)
_JSON_FIELDS = ("metadata", "evaluator", "schema_version")
"""Fields whose text cell holds JSON."""
_TOKEN = re.compile(r"\{\{|\}\}|\{([^{}]+)\}|([{}])")


class Column(NamedTuple):
    """A place in a template that a row fills."""

    name: str


class Template(NamedTuple):
    """Text and columns in turn, or one lone column, whose value keeps its type; everything else makes text."""

    parts: tuple[str | Column, ...]
    lone: str | None
    """Name of the column, where the template is nothing else."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How to read the rows of one file."""

    fields: tuple[tuple[str, Template], ...]
    inner: tuple[tuple[tuple[str, str], Template], ...]
    """Templates for keys inside `metadata` and `evaluator`."""
    taken: frozenset[str]
    """Columns taken for the field of their name: the fields that no template fills."""
    used: frozenset[str]
    """Columns that a template names: every row must have them."""
    rest: Rest
    cells: Cells
    value_is_text: bool
    """Whether `value` comes as text although its column may be typed: it is made by a template, not one lone column."""


def plan_of(assignments: Sequence[str], rest: Rest, cells: Cells) -> Plan:
    """The plan that `FIELD=TEMPLATE` assignments make. Raises ValueError, naming what is wrong with which."""
    fields: dict[str, Template] = {}
    inner: dict[tuple[str, str], Template] = {}
    for assignment in assignments:
        field, separator, text = assignment.partition("=")
        if not separator:
            raise ValueError(f"{assignment!r} is not FIELD=TEMPLATE, as in name={{metric}}")
        parent, key = _split(field)
        if parent in fields if key is None else (parent, key) in inner:
            raise ValueError(f"{field} is mapped twice")
        if key is None:
            fields[parent] = _template(text)
        else:
            inner[parent, key] = _template(text)
    templates = (*fields.values(), *inner.values())
    columns = (part for template in templates for part in template.parts if isinstance(part, Column))
    return Plan(
        fields=tuple(fields.items()),
        inner=tuple(inner.items()),
        taken=FIELDS - fields.keys(),
        used=frozenset(column.name for column in columns),
        rest=rest,
        cells=cells,
        value_is_text=cells == "text" or ("value" in fields and fields["value"].lone is None),
    )


def fields_of(row: Columns, plan: Plan, record: Columns | None = None) -> Fields:
    """The score that a row says, with an id.

    Without a `score_id` the id is a hash of the mapped fields: the same row gives the same id in every import, and two
    equal rows are one score. `record` is what a preset made the row of: templates find its columns too, before the
    row's. Raises InvalidScore when the row lacks a column or a value cannot be read.
    """
    fields: Fields = {column: row[column] for column in plan.taken.intersection(row) if row[column] is not None}
    columns = {**row, **record} if record is not None and (plan.fields or plan.inner) else row
    for field, template in plan.fields:
        if (item := _fill(template, columns, field)) is not None:
            fields[field] = item
    if plan.cells == "text":
        _parse_json_cells(fields)
    if plan.rest == "metadata":
        for column in row.keys() - plan.taken - plan.used:
            if row[column] is not None:
                _put(fields, "metadata", column, row[column])
    for (parent, key), template in plan.inner:
        if (item := _fill(template, columns, f"{parent}.{key}")) is not None:
            _put(fields, parent, key, item)
    if plan.value_is_text and isinstance(value := fields.get("value"), str):
        fields["value"] = value_of(value, fields.get("data_type"))
    if isinstance(value := fields.get("value"), float) and not math.isfinite(value):
        _reject(Reason.INVALID_VALUE, f"value: expected a finite number, found {value}")
    if "timestamp" in fields:
        fields["timestamp"] = timestamp_of(fields["timestamp"])
    if "score_id" not in fields:
        fields["score_id"] = _hash(fields)
    return fields


def _split(field: str) -> tuple[str, str | None]:
    """`name` → name, None; `metadata.model` → metadata, model. Raises ValueError for what is no field of a score."""
    parent, dot, key = field.partition(".")
    if not dot and field in FIELDS:
        return field, None
    if (parent == "metadata" and key) or (parent == "evaluator" and key in _EVALUATOR_FIELDS):
        return parent, key
    known = ", ".join(sorted(FIELDS))
    raise ValueError(f"{field!r} is no field of a score; there are {known}, metadata.KEY and evaluator.name")


def _template(text: str) -> Template:
    parts: list[str | Column] = []
    literal, end = "", 0
    for token in _TOKEN.finditer(text):
        literal += text[end : token.start()]
        end = token.end()
        if token[2] is not None:
            raise ValueError(f"{text!r}: a lone {token[2]!r}; write {token[2] * 2!r} for the character itself")
        if token[1] is None:
            literal += token[0][0]
            continue
        if literal:
            parts.append(literal)
        parts.append(Column(token[1]))
        literal = ""
    literal += text[end:]
    if literal:
        parts.append(literal)
    only = parts[0] if len(parts) == 1 else None
    return Template(tuple(parts), only.name if isinstance(only, Column) else None)


def _fill(template: Template, row: Columns, field: str) -> Any:
    """The template's value, None where it is absent: an empty template, or a lone column that is empty in this row."""
    try:
        if template.lone is not None:
            return _column(row, template.lone)
        parts = (part if type(part) is str else _text(_column(row, part[0]), part[0], field) for part in template.parts)
        return "".join(parts) or None
    except KeyError as error:
        _reject(Reason.MISSING_FIELD, f"{field}: this row has no column {found(error.args[0])}")


def _column(row: Columns, name: str) -> Any:
    """A column of the row; `a.b` is also b inside the object a. Raises KeyError, naming the column."""
    if name in row:
        return row[name]
    item: Any = row
    for part in name.split("."):
        if not isinstance(item, Mapping) or part not in item:
            raise KeyError(name)
        item = cast(Columns, item)[part]
    return item


def _text(item: Any, column: str, field: str) -> str:
    if isinstance(item, str):
        return item
    if item is None:
        _reject(Reason.MISSING_FIELD, f"{field}: column {found(column)} is empty in this row")
    return json.dumps(item, ensure_ascii=False)


def _put(fields: Fields, parent: str, key: str, item: Any) -> None:
    inside = fields.get(parent)
    if inside is None:
        fields[parent] = {key: item}
    elif isinstance(inside, dict):
        fields[parent] = {**inside, key: item}
    else:
        _reject(Reason.INVALID_VALUE, f"{parent}: expected an object to put {found(key)} into, found {found(inside)}")


def _parse_json_cells(fields: Fields) -> None:
    for field in _JSON_FIELDS:
        if isinstance(cell := fields.get(field), str):
            try:
                fields[field] = json.loads(cell)
            except (ValueError, RecursionError):
                _reject(Reason.INVALID_VALUE, f"{field}: expected JSON in this cell, found {found(cell)}")


def _hash(fields: Fields) -> str:
    canonical = json.dumps(fields, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:32]


def _reject(reason: Reason, detail: str) -> NoReturn:
    raise InvalidScore(Rejection(reason, detail))
