"""`change`: a period against the one of the same length before it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from scoreline.errors import QueryError
from scoreline_analytics.clickhouse import Reader
from scoreline_analytics.figures import Figures, figures_of
from scoreline_analytics.moments import Moments
from scoreline_analytics.questions import Question
from scoreline_analytics.results import Result, Row
from scoreline_analytics.sides import side_of, unpaired
from scoreline_analytics.significance import Difference


@dataclass(frozen=True, slots=True)
class Changed:
    """One group before and now."""

    dimensions: dict[str, str]
    before: Figures
    """Of a group that is new: n 0."""
    now: Figures
    difference: Difference | None
    """Now less before; None where there is nothing to compare."""

    def row(self) -> Row:
        """Flat."""
        difference = self.difference
        return {
            **self.dimensions,
            "n_before": self.before.n,
            "n": self.now.n,
            "failed_before": self.before.failed,
            "failed": self.now.failed,
            "data_type": self.now.data_type or self.before.data_type,
            "mean_before": self.before.mean,
            "mean": self.now.mean,
            "difference": difference and difference.difference,
            "low": difference and difference.low,
            "high": difference and difference.high,
            "effect": difference and difference.effect,
            "effect_size": difference and difference.effect_size,
            "p": difference and difference.p,
            "method": difference and difference.method,
        }


COLUMNS = (
    *("n_before", "n", "failed_before", "failed", "data_type", "mean_before", "mean", "difference", "low", "high"),
    *("effect", "effect_size", "p", "method"),
)


@dataclass(frozen=True, slots=True)
class Change(Result):
    """Groups, the largest first. `difference` is of means, of true/false scores of the shares of true."""

    question: Question
    """Of the period now, its `until` filled in."""
    before: Question
    groups: tuple[Changed, ...]
    is_complete: bool
    """Whether these are all groups; else the question's limit left some out."""

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.question.by, *COLUMNS)

    def rows(self) -> list[Row]:
        return [group.row() for group in self.groups]


def change(reader: Reader, question: Question, now: datetime) -> Change:
    """Ask ClickHouse. From `since` to `until` (`now` where it is not said), against as long a time before `since`."""
    if question.since is None:
        raise QueryError("a change needs the beginning of its period: give since (--since 7d)")
    until = question.until or now
    this = replace(question, until=until)
    before = replace(question, since=question.since - (until - question.since), until=question.since)
    side_now, side_before = side_of(reader, this), side_of(reader, before)
    keys = list(dict.fromkeys((*side_now.groups, *side_before.groups)))
    level = question.level

    def figures(moments: Moments) -> Figures:
        return figures_of(moments, level)

    groups = tuple(
        Changed(
            dict(zip(question.by, key, strict=True)),
            figures(side_before.of(key)[0]),
            figures(side_now.of(key)[0]),
            unpaired(side_before.of(key), side_now.of(key), level),
        )
        for key in keys[: question.limit]
    )
    return Change(this, before, groups, is_complete=len(keys) <= question.limit)
