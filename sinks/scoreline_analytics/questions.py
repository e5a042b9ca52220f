"""What is asked: which scores, and in which groups."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from scoreline.errors import QueryError
from scoreline_analytics.fields import Condition, condition_of, require_dimension

GROUPS_MAX = 100_000
LEVEL = 0.95
QUANTILES = (0.5, 0.9, 0.95, 0.99)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which scores: all that fulfil everything that is said."""

    names: tuple[str, ...] = ()
    """Scores with one of these names; none: all."""
    project: str | None = None
    """Scores of this project; None: of all that the reader may see."""
    since: datetime | None = None
    """Scores judged then or later."""
    until: datetime | None = None
    """Scores judged earlier."""
    where: tuple[Condition | str, ...] = ()
    """Conditions, or their texts as in `condition_of`; of several `=` on one field any will do."""

    def __post_init__(self) -> None:
        """Raise QueryError for what cannot be asked, with what can."""
        for moment in (self.since, self.until):
            if moment is not None and moment.tzinfo is None:
                raise QueryError(f"{moment.isoformat()} has no zone; give one, as 2026-01-31T12:00:00Z")
        if self.since is not None and self.until is not None and self.since >= self.until:
            raise QueryError(f"since {self.since.isoformat()} is not before until {self.until.isoformat()}")
        _ = self.conditions

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """`where`, one for each field and operator, `=` and `!=` of one field joined."""
        joined: dict[tuple[str, str], Condition] = {}
        for item in self.where:
            condition = condition_of(item) if isinstance(item, str) else item
            key = (condition.field, condition.operator)
            before = joined.get(key)
            values = (*(before.values if before else ()), *condition.values)
            joined[key] = Condition(condition.field, condition.operator, tuple(dict.fromkeys(values)))
        return tuple(joined.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Question(Filter):
    """Which scores, in which groups."""

    by: tuple[str, ...] = ("name",)
    """Dimensions, one group for each combination of their values; none: all scores in one group."""
    limit: int = 1000
    """Groups at most, the largest first."""
    level: float = LEVEL
    """Confidence level of the intervals."""

    def __post_init__(self) -> None:
        """Raise QueryError for what cannot be asked, with what can."""
        Filter.__post_init__(self)
        for dimension in self.by:
            require_dimension(dimension)
        if len(set(self.by)) < len(self.by):
            raise QueryError(f"a dimension is given twice: {', '.join(self.by)}")
        if not 1 <= self.limit <= GROUPS_MAX:
            raise QueryError(f"limit {self.limit} is not within 1..{GROUPS_MAX}")
        require_level(self.level)


def require_level(level: float) -> None:
    """Raise QueryError for a confidence level that is none."""
    if not 0.0 < level < 1.0:
        raise QueryError(f"confidence level {level} is not between 0 and 1; give 0.95")


def require_quantiles(quantiles: tuple[float, ...]) -> None:
    """Raise QueryError for what is no quantile."""
    for quantile in quantiles:
        if not 0.0 <= quantile <= 1.0:
            raise QueryError(f"quantile {quantile} is not within 0..1; give 0.99 for p99")
