"""Two sides whose scores have no partners: what is known of each, and what separates them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from scoreline_analytics.clickhouse import Reader
from scoreline_analytics.moments import NONE, Grouping, Key, Moments, moments_of, pieced_statement
from scoreline_analytics.questions import GROUPS_MAX, Question
from scoreline_analytics.rollups import levels_of
from scoreline_analytics.significance import Difference, Sample, categories, two_shares, welch_t

CATEGORIES_MAX = 50
"""Categories of one group, the most frequent."""


@dataclass(frozen=True, slots=True)
class Side:
    """Groups of one side."""

    groups: Mapping[Key, Moments]
    labels: Mapping[Key, dict[str, int]] = field(default_factory=dict[Key, dict[str, int]])
    """Counts of the categories of each group."""

    def of(self, key: Key) -> tuple[Moments, dict[str, int]]:
        """Moments and categories of a group; of one without scores, none."""
        return self.groups.get(key, NONE), self.labels.get(key, {})


def side_of(reader: Reader, question: Question, limit: int = GROUPS_MAX) -> Side:
    """Ask ClickHouse, without quantiles: the rollups answer where they can."""
    groups = moments_of(reader, question, Grouping(question.by), limit)
    return Side(groups, labels_of(reader, question) if any("CATEGORICAL" in m.types for m in groups.values()) else {})


def labels_of(reader: Reader, question: Question) -> dict[Key, dict[str, int]]:
    """Label and count of the most frequent categories of each group, the most frequent first."""
    levels = levels_of(question, (*question.by, "label"))
    limits = {"categories": CATEGORIES_MAX, "limit": GROUPS_MAX}
    statement = pieced_statement("categories", question, Grouping(question.by), reader.projects, levels, limits)
    found: dict[Key, dict[str, int]] = {}
    for *key, label, n in reader.rows(statement):
        found.setdefault(tuple(key[: len(question.by)]), {})[label] = n
    return found


def unpaired(a: tuple[Moments, dict[str, int]], b: tuple[Moments, dict[str, int]], level: float) -> Difference | None:
    """What separates two groups; None where their types differ or one has nothing to compare."""
    (moments_a, labels_a), (moments_b, labels_b) = a, b
    types = (moments_a.types | moments_b.types) - {""}
    type_ = next(iter(types)) if len(types) == 1 else None
    if type_ == "CATEGORICAL":
        return categories(labels_a, labels_b) if labels_a and labels_b else None
    if type_ is None or moments_a.mean is None or moments_b.mean is None:
        return None
    if type_ == "BOOLEAN":
        return two_shares(hits(moments_a), moments_a.numbers, hits(moments_b), moments_b.numbers, level)
    return welch_t(sample(moments_a), sample(moments_b), level)


def hits(moments: Moments) -> int:
    """How many are true."""
    return round((moments.mean or 0.0) * moments.numbers)


def sample(moments: Moments) -> Sample:
    """The numbers of a group that has some."""
    return Sample(moments.numbers, moments.mean or 0.0, moments.variance)
