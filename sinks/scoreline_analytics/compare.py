"""`compare`: two runs, releases, models or periods, score name by score name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from scoreline.errors import QueryError
from scoreline_analytics.catalogue import question_of
from scoreline_analytics.clickhouse import Reader
from scoreline_analytics.moments import Moments, at_home, homes
from scoreline_analytics.pairing import PAIRS_MIN, Pairs, pair_keys, pairs_of, rule_of
from scoreline_analytics.questions import Filter, require_level
from scoreline_analytics.results import Result, Row
from scoreline_analytics.sides import Side, side_of, unpaired
from scoreline_analytics.significance import Difference, Sample, benjamini_hochberg, holm, mcnemar, paired_t

COLUMNS = (
    *("name", "data_type", "method", "n_a", "n_b", "failed_a", "failed_b", "missing_a", "missing_b"),
    *("pairs", "unpaired_a", "unpaired_b", "mean_a", "mean_b", "difference", "low", "high"),
    *("effect", "effect_size", "hedges_g", "p", "p_holm", "p_bh"),
)
A_PAIR = (
    "an item with numbers of the name on both sides, several of a side averaged; of true/false one with a single score "
    "on each side"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One score name and type on both sides."""

    name: str
    data_type: str
    n_a: int
    n_b: int
    """Scores of each side, failed ones apart."""
    failed_a: int
    failed_b: int
    missing_a: int
    missing_b: int
    """Scores without a number."""
    pairs: int
    """Items with numbers on both sides; 0: not paired."""
    unpaired_a: int
    unpaired_b: int
    """Numbers of each side that are in no pair, and so not in a paired difference."""
    mean_a: float | None
    mean_b: float | None
    """Of the pairs where it is paired, else of all numbers of the side."""
    difference: Difference | None
    """b less a; None where one side has nothing to compare."""
    p_holm: float | None = None
    """p, corrected by Holm for all names that were compared."""
    p_bh: float | None = None
    """p, corrected by Benjamini and Hochberg."""

    def row(self) -> Row:
        """Flat, in the order of COLUMNS."""
        return {column: _cell(self, column) for column in COLUMNS}


def _cell(compared: Compared, column: str) -> object:
    own = column in ("name", "data_type", "pairs", "p_holm", "p_bh") or column.endswith(("_a", "_b"))
    return getattr(compared, column) if own else compared.difference and getattr(compared.difference, column)


@dataclass(frozen=True, slots=True)
class Comparison(Result):
    """Score names in alphabetical order."""

    a: Filter
    b: Filter
    pair: str | None
    """The dimension that names the item; None: not paired."""
    rule: str
    """How scores were paired, in words."""
    level: float
    names: tuple[Compared, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return COLUMNS

    def rows(self) -> list[Row]:
        return [compared.row() for compared in self.names]


def compare(reader: Reader, a: Filter, b: Filter, pair: str, level: float) -> Comparison:
    """Ask ClickHouse."""
    require_level(level)
    if a == b:
        raise QueryError("both sides are the same scores; give each side a condition of its own")
    sides = [side_of(reader, question_of(side, ("name", "data_type"))) for side in (a, b)]
    places = homes(*(side.groups for side in sides))
    sides = [replace(side, groups=at_home(side.groups, places)) for side in sides]
    key, pairs = _paired(reader, a, b, pair)
    keys = sorted({key for side in sides for key in side.groups})
    found = [_compared(key, sides[0], sides[1], pairs.get((key[0], key[1])), level) for key in keys]
    return Comparison(a, b, key, rule_of(key, pair, A_PAIR), level, tuple(corrected(found)))


def _paired(reader: Reader, a: Filter, b: Filter, pair: str) -> tuple[str | None, dict[tuple[str, str], Pairs]]:
    for key in pair_keys(reader, a, b, pair):
        pairs = {name: found for name, found in pairs_of(reader, a, b, key).items() if found.n >= PAIRS_MIN}
        if pairs:
            return key, pairs
    return None, {}


def _compared(key: tuple[str, ...], side_a: Side, side_b: Side, pairs: Pairs | None, level: float) -> Compared:
    name, data_type = key
    (a, _), (b, _) = side_a.of(key), side_b.of(key)
    if data_type == "CATEGORICAL":
        pairs = None
    of_pairs = None if pairs is None else _paired_difference(data_type, pairs, level)
    return Compared(
        name=name,
        data_type=data_type,
        n_a=a.n,
        n_b=b.n,
        failed_a=a.failed,
        failed_b=b.failed,
        missing_a=a.n - a.numbers,
        missing_b=b.n - b.numbers,
        pairs=pairs.n if pairs else 0,
        unpaired_a=a.numbers - (pairs.numbers_a if pairs else 0),
        unpaired_b=b.numbers - (pairs.numbers_b if pairs else 0),
        mean_a=_mean(a) if pairs is None else pairs.mean_a,
        mean_b=_mean(b) if pairs is None else pairs.mean_b,
        difference=of_pairs or unpaired(side_a.of(key), side_b.of(key), level),
    )


def _mean(moments: Moments) -> float | None:
    return moments.mean


def _paired_difference(data_type: str, pairs: Pairs, level: float) -> Difference | None:
    if data_type == "BOOLEAN":
        return mcnemar(pairs.only_a, pairs.only_b, pairs.n, level)
    if pairs.mean_difference is None:
        return None
    return paired_t(Sample(pairs.n, pairs.mean_difference, pairs.variance), level)


def corrected(found: Sequence[Compared]) -> list[Compared]:
    """The same with p values corrected for how many there are."""
    tested = [(index, c.difference.p) for index, c in enumerate(found) if c.difference and c.difference.p is not None]
    p_values = [p for _, p in tested]
    result = list(found)
    adjusted = zip(tested, holm(p_values), benjamini_hochberg(p_values), strict=True)
    for (index, _), p_holm, p_bh in adjusted:
        result[index] = replace(found[index], p_holm=p_holm, p_bh=p_bh)
    return result
