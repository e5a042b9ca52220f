"""What can be asked about scores: the question, its dimensions and its points in time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from scoreline.errors import QueryError

Step = Literal["minute", "hour", "day"]

DIMENSIONS = (
    "project",
    "name",
    "status",
    "data_type",
    "label",
    "service",
    "environment",
    "release",
    "source",
    "evaluator_name",
    "evaluator_version",
    "evaluator_model",
    "author",
    "config_id",
    "target",
    "dataset_run_id",
    "session_id",
    "trace_id",
    "observation_id",
)
"""The text columns of the table `scores` that scores can be grouped and filtered by; absent is the empty text."""
MAPS = ("metadata", "lookups")
"""Columns whose keys are dimensions too: `metadata.KEY`, `lookups.FIELD.ATTRIBUTE`."""
GROUPS_MAX = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Which scores, in which groups."""

    by: tuple[str, ...] = ("name",)
    """Dimensions, one group for each combination of their values; none: all scores in one group."""
    step: Step | None = None
    """One group for each minute, hour or day (UTC) of the judged time, beside `by`."""
    names: tuple[str, ...] = ()
    """Scores with one of these names; none: all."""
    project: str | None = None
    """Scores of this project; None: of all."""
    since: datetime | None = None
    """Scores judged then or later."""
    until: datetime | None = None
    """Scores judged earlier."""
    where: tuple[tuple[str, str], ...] = ()
    """(dimension, value): only scores with that value; of several values for one dimension any will do."""
    limit: int = 1000
    """Groups at most: by time, then the largest first."""

    def __post_init__(self) -> None:
        """Raise QueryError for what cannot be asked, with what can."""
        for dimension in (*self.by, *(dimension for dimension, _ in self.where)):
            require_dimension(dimension)
        for moment in (self.since, self.until):
            if moment is not None and moment.tzinfo is None:
                raise QueryError(f"{moment.isoformat()} has no zone; give one, as 2026-01-31T12:00:00Z")
        if not 1 <= self.limit <= GROUPS_MAX:
            raise QueryError(f"limit {self.limit} is not within 1..{GROUPS_MAX}")


def require_dimension(dimension: str) -> None:
    """Raise QueryError, listing the dimensions, when this is none."""
    column, _, key = dimension.partition(".")
    if dimension not in DIMENSIONS and not (column in MAPS and key):
        raise QueryError(
            f"no dimension {dimension!r}; there are {', '.join(DIMENSIONS)}, metadata.KEY and lookups.FIELD.ATTRIBUTE"
        )


def conditions_of(texts: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """`DIMENSION=VALUE` texts as pairs. Raises QueryError."""
    pairs = [text.partition("=") for text in texts]
    for dimension, separator, _ in pairs:
        if not separator:
            raise QueryError(f"{dimension!r} is not DIMENSION=VALUE, as in environment=prod")
    return tuple((dimension, value) for dimension, _, value in pairs)
