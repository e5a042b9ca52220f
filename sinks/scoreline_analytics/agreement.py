"""`agreement`: how far two score names or two judges say the same of the same items."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from scoreline.errors import QueryError
from scoreline_analytics.catalogue import question_of
from scoreline_analytics.clickhouse import Reader
from scoreline_analytics.intervals import wilson
from scoreline_analytics.moments import Grouping, moments_of
from scoreline_analytics.pairing import PAIRS_MIN, pair_keys, pairs_statement, rule_of
from scoreline_analytics.questions import Filter, require_level
from scoreline_analytics.results import Result, Row
from scoreline_analytics.significance import alike, kappa

PAIRS_MAX = 1_000_000
COLUMNS = (
    *("pairs", "unpaired_a", "unpaired_b", "pearson", "pearson_low", "pearson_high", "spearman"),
    *("mae", "rmse", "bias", "same", "same_low", "same_high", "kappa"),
)

A_PAIR = "an item with exactly one score on each side"


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement(Result):
    """Two sides on the same items. Figures of numbers and of labels; what does not exist is None."""

    a: Filter
    b: Filter
    pair: str
    """The dimension that names the item."""
    rule: str
    level: float
    pairs: int
    """Items with exactly one score on each side."""
    unpaired_a: int
    unpaired_b: int
    """Scores of each side that are in no pair; failed ones apart."""
    pearson: float | None
    pearson_low: float | None
    pearson_high: float | None
    spearman: float | None
    """Of the ranks; equal numbers share theirs."""
    mae: float | None
    """Mean absolute difference."""
    rmse: float | None
    bias: float | None
    """Mean difference, b less a."""
    same: float | None
    """Share of pairs with the same label (category, true or false), with its Wilson interval."""
    same_low: float | None
    same_high: float | None
    kappa: float | None
    """Cohen's, of the labels."""
    confusion: dict[tuple[str, str], int]
    """How many pairs have (label of a, label of b)."""

    @property
    def columns(self) -> tuple[str, ...]:
        return COLUMNS

    def rows(self) -> list[Row]:
        return [{column: getattr(self, column) for column in COLUMNS}]


def agreement(reader: Reader, a: Filter, b: Filter, pair: str, level: float) -> Agreement:
    """Ask ClickHouse. Raises QueryError when there are no pairs, or more than PAIRS_MAX."""
    require_level(level)
    for key in pair_keys(reader, a, b, pair):
        statement = pairs_statement("agreement", a, b, key, reader.projects, {"limit": PAIRS_MAX + 1})
        found = reader.rows(statement)
        if len(found) > PAIRS_MAX:
            raise QueryError(f"more than {PAIRS_MAX} pairs; ask for a shorter time or fewer scores")
        if len(found) >= PAIRS_MIN:
            n_a, n_b = (_count(reader, side) for side in (a, b))
            return _agreement(a, b, key, pair, level, found, n_a, n_b)
    raise QueryError(
        f"nothing to compare: {rule_of(None, pair, A_PAIR)}; say what names the item, as --pair metadata.KEY"
    )


def _count(reader: Reader, side: Filter) -> int:
    found = moments_of(reader, question_of(side, ()), Grouping(()), 1)
    return sum(moments.n for moments in found.values())


def _agreement(
    a: Filter, b: Filter, key: str, pair: str, level: float, found: Sequence[Sequence[Any]], n_a: int, n_b: int
) -> Agreement:
    numbers = [(x, y) for x, y, *_ in found if x is not None and y is not None]
    confusion = Counter((x, y) for *_, x, y in found if x and y)
    same = sum(n for (x, y), n in confusion.items() if x == y)
    same_low, same_high = wilson(same, confusion.total(), level)
    return Agreement(
        a=a,
        b=b,
        pair=key,
        rule=rule_of(key, pair, A_PAIR),
        level=level,
        pairs=len(found),
        unpaired_a=n_a - len(found),
        unpaired_b=n_b - len(found),
        **alike([x for x, _ in numbers], [y for _, y in numbers], level),
        same=same / confusion.total() if confusion else None,
        same_low=same_low,
        same_high=same_high,
        kappa=kappa(confusion),
        confusion=dict(confusion.most_common()),
    )
