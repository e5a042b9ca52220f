"""`summary`: the figures of each group."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from scoreline_analytics.clickhouse import Reader
from scoreline_analytics.figures import FIGURES, Figures, figures_of, quantile_name
from scoreline_analytics.moments import Grouping, Key, moments_of, pieced_statement
from scoreline_analytics.questions import GROUPS_MAX, Question, require_quantiles
from scoreline_analytics.results import Result, Row
from scoreline_analytics.rollups import levels_of

CATEGORIES_MAX = 50
"""Categories of one group, the most frequent."""


@dataclass(frozen=True, slots=True)
class Group:
    """The scores with the same values of the question's dimensions."""

    dimensions: dict[str, str]
    """Value of each dimension; empty where the scores have none."""
    figures: Figures

    def row(self) -> Row:
        """Dimensions and figures, flat, and the categories as a list of mappings."""
        categories = [share.row() for share in self.figures.categories]
        return {**self.dimensions, **self.figures.row(), "categories": categories}


@dataclass(frozen=True, slots=True)
class Summary(Result):
    """Groups, the largest first."""

    question: Question
    quantiles: tuple[float, ...]
    groups: tuple[Group, ...]
    is_complete: bool
    """Whether these are all; else the question's limit left some out."""

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.question.by, *FIGURES, *map(quantile_name, self.quantiles), "categories")

    def rows(self) -> list[Row]:
        return [group.row() for group in self.groups]


def summary(reader: Reader, question: Question, quantiles: tuple[float, ...]) -> Summary:
    """Ask ClickHouse."""
    require_quantiles(quantiles)
    grouping = Grouping(question.by, quantiles=quantiles)
    found = moments_of(reader, question, grouping, question.limit + 1)
    keys = list(found)[: question.limit]
    categories = _categories(reader, question, grouping) if any("CATEGORICAL" in found[k].types for k in keys) else {}
    groups = tuple(
        Group(
            dict(zip(question.by, key, strict=True)),
            figures_of(found[key], question.level, quantiles, categories.get(key, ())),
        )
        for key in keys
    )
    return Summary(question, quantiles, groups, is_complete=len(found) <= question.limit)


def _categories(reader: Reader, question: Question, grouping: Grouping) -> dict[Key, list[tuple[str, int]]]:
    """Label and count of the most frequent categories of each group."""
    levels = levels_of(question, (*grouping.by, "label"))
    limits = {"categories": CATEGORIES_MAX, "limit": GROUPS_MAX}
    statement = pieced_statement("categories", question, grouping, reader.projects, levels, limits)
    found: dict[Any, list[tuple[str, int]]] = {}
    for *key, label, n in reader.rows(statement):
        found.setdefault(tuple(key[: len(grouping.by)]), []).append((label, n))
    return found
