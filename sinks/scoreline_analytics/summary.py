"""`summary`: the figures of each group."""

from __future__ import annotations

from dataclasses import dataclass

from scoreline_analytics.clickhouse import Reader
from scoreline_analytics.figures import FIGURES, Figures, figures_of, quantile_name
from scoreline_analytics.moments import Grouping, moments_of
from scoreline_analytics.questions import Question, require_quantiles
from scoreline_analytics.results import Result, Row
from scoreline_analytics.sides import labels_of


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
    categories = labels_of(reader, question) if any("CATEGORICAL" in found[k].types for k in keys) else {}
    groups = tuple(
        Group(
            dict(zip(question.by, key, strict=True)),
            figures_of(found[key], question.level, quantiles, tuple(categories.get(key, {}).items())),
        )
        for key in keys
    )
    return Summary(question, quantiles, groups, is_complete=len(found) <= question.limit)
