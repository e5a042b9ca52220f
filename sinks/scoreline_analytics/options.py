"""Options that the subcommands of `scoreline query` share."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from scoreline.commands.moments import moment_of
from scoreline.errors import QueryError
from scoreline_analytics.questions import LEVEL, Filter, Question

Shown = Literal["table", "json", "csv", "jsonl", "parquet"]


def several(text: str) -> Parameter:
    """An option that takes one value or more."""
    return Parameter(negative="", consume_multiple=True, help=text)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Which:
    """Which scores."""

    name: Annotated[list[str] | None, several("Only scores with one of these names.")] = None
    project: Annotated[str | None, Parameter(help="Only scores of this project.")] = None
    since: Annotated[
        str | None,
        Parameter(help="Only scores judged then or later: 30s, 15m, 6h, 7d or 2w ago, a date (UTC), or RFC 3339."),
    ] = None
    until: Annotated[str | None, Parameter(help="Only scores judged earlier.")] = None
    where: Annotated[
        list[str] | None,
        several(
            "Conditions: FIELD=VALUE (of several values for one field any will do), FIELD!=VALUE, FIELD~TEXT "
            "(contains), value>=0.5, metadata.KEY (has it), !metadata.KEY."
        ),
    ] = None

    def filter(self) -> Filter:
        """As a filter. Raises QueryError."""
        now = datetime.now(UTC)
        return Filter(
            names=tuple(self.name or ()),
            project=self.project,
            since=None if self.since is None else moment_of(self.since, now),
            until=None if self.until is None else moment_of(self.until, now),
            where=tuple(self.where or ()),
        )


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Grouped(Which):
    """Which scores, in which groups."""

    by: Annotated[
        list[str] | None,
        several(
            "Dimensions to group by, instead of name: project, name, status, data_type, label, service, environment, "
            "release, source, evaluator_name, evaluator_version, evaluator_model, author, config_id, target, "
            "dataset_run_id, session_id, trace_id, observation_id, metadata.KEY or lookups.FIELD.ATTRIBUTE."
        ),
    ] = None
    limit: Annotated[int, Parameter(help="Groups at most: the largest.")] = 1000
    level: Annotated[float, Parameter(help="Confidence level of the intervals.")] = LEVEL

    def question(self) -> Question:
        """As a question. Raises QueryError."""
        which = self.filter()
        return Question(
            names=which.names,
            project=which.project,
            since=which.since,
            until=which.until,
            where=which.where,
            by=tuple(dict.fromkeys(self.by or ("name",))),
            limit=self.limit,
            level=self.level,
        )


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Output:
    """Where the answer goes, and how."""

    format: Annotated[
        Shown | None, Parameter(help="table (four digits), json (an array), csv, jsonl or parquet (every digit).")
    ] = None
    json: Annotated[bool, Parameter(name="--json", negative="", show_default=False, help="As --format json.")] = False
    output: Annotated[
        Path | None, Parameter(help="Into this file; its suffix says the format: .csv, .json, .jsonl, .parquet.")
    ] = None

    @property
    def chosen(self) -> Shown | None:
        """The format that was said. Raises QueryError for two of them."""
        if self.json and self.format not in (None, "json"):
            raise QueryError(f"--json and --format {self.format} contradict each other; give one")
        return "json" if self.json else self.format
