"""`rejections`: why scores were rejected, from which service, with an example and the way out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from scoreline.errors import QueryError
from scoreline.remedies import field_of, remedy_of
from scoreline_analytics.clickhouse import Reader
from scoreline_analytics.questions import Filter
from scoreline_analytics.results import Result, Row
from scoreline_analytics.statements import Parameters, moment_text

EXAMPLE_BYTES_MAX = 16 * 1024
"""Of an example's value; the rest is cut off."""
GROUPS_MAX = 1000
COLUMNS = (
    *(
        "reason",
        "service",
        "n",
        "handled",
        "last",
        "remedy",
        "field",
        "detail",
        "letter",
        "project",
        "score_id",
        "name",
    ),
    *("stage", "key", "value", "value_bytes"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectionFilter:
    """Which rejected records: all that fulfil everything that is said. A service, project or name that could not be
    read of the record is the empty text."""

    reasons: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    project: str | None = None
    since: datetime | None = None
    """Rejected then or later."""
    until: datetime | None = None
    """Rejected earlier."""

    def __post_init__(self) -> None:
        """Raise QueryError for what cannot be asked."""
        Filter(since=self.since, until=self.until)


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One rejected record, the latest of its reason and service."""

    letter: str
    """Partition and offset in `scores.rejected`, as `scoreline dlq show` takes it."""
    project: str
    score_id: str
    name: str
    stage: str
    detail: str
    """What was found and what was expected."""
    field: str | None
    """The field that is wrong; None where the whole record is."""
    key: str | None
    value: str | None
    """Its first EXAMPLE_BYTES_MAX bytes as text, what is no UTF-8 as U+FFFD; None: it had no value."""
    value_bytes: int | None
    """How long the whole value is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """Records of one service, rejected for one reason."""

    reason: str
    service: str
    n: int
    handled: int
    """Of the n, those that `scoreline dlq` has replayed or discarded."""
    last: datetime
    """When the latest was rejected, UTC."""
    remedy: str
    """What to do about this reason."""
    example: Example

    def row(self) -> Row:
        """Flat, in the order of COLUMNS."""
        example = {name: getattr(self.example, name) for name in Example.__slots__}
        own = {name: getattr(self, name) for name in ("reason", "service", "n", "handled", "last", "remedy")}
        found = {**own, **example}
        return {column: found[column] for column in COLUMNS}


@dataclass(frozen=True, slots=True)
class Rejections(Result):
    """Groups, the largest first."""

    groups: tuple[Rejected, ...]
    is_complete: bool
    """Whether these are all; else the limit left some out."""

    @property
    def columns(self) -> tuple[str, ...]:
        return COLUMNS

    def rows(self) -> list[Row]:
        return [group.row() for group in self.groups]


def rejections(reader: Reader, asked: RejectionFilter, limit: int) -> Rejections:
    """Ask ClickHouse. A reader of some projects does not see records whose project could not be read."""
    if not 1 <= limit <= GROUPS_MAX:
        raise QueryError(f"limit {limit} is not within 1..{GROUPS_MAX}")
    parameters = Parameters({"limit": limit + 1})
    statement = parameters.statement("rejections", conditions=_conditions(asked, reader.projects, parameters))
    rows = reader.rows(statement)
    examples = _examples(reader, [tuple(place) for *_, place in rows[:limit]])
    groups = tuple(
        Rejected(
            reason=reason,
            service=service,
            n=n,
            handled=handled,
            last=last.replace(tzinfo=UTC),
            remedy=remedy_of(reason),
            example=replace(example, field=field_of(reason, example.detail)),
        )
        for reason, service, n, handled, last, place in rows[:limit]
        if (example := examples.get(tuple(place))) is not None
    )
    return Rejections(groups, is_complete=len(rows) <= limit)


def rejected_values(reader: Reader, column: str, asked: RejectionFilter, limit: int) -> list[str]:
    """Values of `project`, `service`, `name` or `reason` of rejected records, the most frequent first."""
    parameters = Parameters({"limit": limit})
    conditions = _conditions(asked, reader.projects, parameters)
    return [v for (v,) in reader.rows(parameters.statement("rejected_values", column=column, conditions=conditions))]


def _examples(reader: Reader, places: list[tuple[Any, ...]]) -> dict[tuple[Any, ...], Example]:
    if not places:
        return {}
    parameters = Parameters({"bytes": EXAMPLE_BYTES_MAX})
    statement = parameters.statement(
        "rejected_records",
        places=parameters.bind(places, "Array(Tuple(UInt16, UInt64))"),
        conditions=_conditions(RejectionFilter(), reader.projects, parameters),
    )
    return {
        (partition, offset): Example(
            letter=f"{partition}/{offset}",
            project=project,
            score_id=score_id,
            name=name,
            stage=stage,
            detail=detail,
            field=None,
            key=key,
            value=value,
            value_bytes=size,
        )
        for partition, offset, project, score_id, name, stage, detail, key, size, value in reader.rows(statement)
    }


def _conditions(asked: RejectionFilter, projects: Sequence[str] | None, parameters: Parameters) -> str:
    chosen = (("reason", asked.reasons), ("service", asked.services), ("name", asked.names), ("project", projects))
    conditions = [
        f"{column} IN {parameters.bind(list(values), 'Array(String)')}"
        for column, values in chosen
        if values or (column == "project" and values is not None)
    ]
    if asked.project is not None:
        conditions.append(f"project = {parameters.bind(asked.project, 'String')}")
    for moment, sign in ((asked.since, ">="), (asked.until, "<")):
        if moment is not None:
            conditions.append(f"rejected_at {sign} {parameters.bind(moment_text(moment), _MOMENT)}")
    return " AND ".join(conditions) or "1"


_MOMENT = "DateTime64(6, 'UTC')"
