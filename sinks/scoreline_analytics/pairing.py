"""Which scores of two sides are about the same item: the join of them is ClickHouse's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scoreline.errors import QueryError
from scoreline_analytics.clickhouse import Reader
from scoreline_analytics.fields import require_dimension
from scoreline_analytics.moments import finite
from scoreline_analytics.questions import Filter
from scoreline_analytics.statements import Parameters, Statement, has, where

PAIR_KEYS = (
    "metadata.item",
    "metadata.item_id",
    "metadata.example_id",
    "metadata.sample_id",
    "metadata.dataset_item_id",
    "observation_id",
    "trace_id",
    "session_id",
)
"""What names an item, in the order in which `auto` tries them."""
PAIRS_MIN = 2
AUTO, UNPAIRED = "auto", "none"
_NO_ITEMS = {"project", "name", "status", "data_type", "label", "source", "target"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Items of one score name and type with numbers on both sides, several of an item averaged; of true/false those
    with exactly one on each."""

    n: int
    mean_a: float | None
    mean_b: float | None
    mean_difference: float | None
    """b less a."""
    variance: float | None
    """Of the differences, of the sample (n - 1)."""
    only_a: int
    """Pairs whose number is 1 in a and 0 in b: of true/false scores, true in a alone."""
    only_b: int
    numbers_a: int
    numbers_b: int
    """Numbers of each side that the pairs are made of."""


def pair_keys(reader: Reader, a: Filter, b: Filter, pair: str) -> list[str]:
    """The keys to try: the one that was asked for, or of PAIR_KEYS those that scores of both sides have."""
    if pair != AUTO:
        return [] if pair == UNPAIRED else [pair]
    present = [reader.rows(keys_statement(side, reader.projects))[0] for side in (a, b)]
    return [key for key, *counts in zip(PAIR_KEYS, *present, strict=True) if min(counts) >= PAIRS_MIN]


def require_item(pair: str) -> None:
    """Raise QueryError for what names no items, with what does."""
    if pair in (AUTO, UNPAIRED):
        return
    require_dimension(pair)
    if pair in _NO_ITEMS:
        raise QueryError(f"{pair} names no item to pair by; give auto, none, {', '.join(PAIR_KEYS)} or metadata.KEY")


def keys_statement(side: Filter, projects: Sequence[str] | None) -> Statement:
    """The statement of queries/pair_keys.sql."""
    parameters = Parameters()
    counts = ", ".join(f"countIf({has(key, parameters)})" for key in PAIR_KEYS)
    return parameters.statement("pair_keys", counts=counts, conditions=where(side, projects, parameters))


def pairs_of(reader: Reader, a: Filter, b: Filter, key: str) -> dict[tuple[str, str], Pairs]:
    """Pairs of each score name and type that has some."""
    rows = reader.rows(pairs_statement("pairs", a, b, key, reader.projects))
    return {(name, type_): _pairs(*figures) for name, type_, *figures in rows if figures[0]}


def pairs_statement(
    query: str,
    a: Filter,
    b: Filter,
    key: str,
    projects: Sequence[str] | None,
    limits: Mapping[str, int] | None = None,
) -> Statement:
    """The statement of queries/<query>.sql."""
    parameters = Parameters(dict(limits or {}))
    return parameters.statement(
        query,
        item=parameters.column(key),
        in_a=where(a, projects, parameters),
        in_b=where(b, projects, parameters),
    )


def _pairs(n: int, mean_a: float, mean_b: float, difference: float, variance: float | None, *counts: int) -> Pairs:
    only_a, only_b, numbers_a, numbers_b = counts
    numbers: list[Any] = [finite(figure) for figure in (mean_a, mean_b, difference, variance)]
    return Pairs(
        n=n,
        mean_a=numbers[0],
        mean_b=numbers[1],
        mean_difference=numbers[2],
        variance=numbers[3],
        only_a=only_a,
        only_b=only_b,
        numbers_a=numbers_a,
        numbers_b=numbers_b,
    )


def rule_of(key: str | None, pair: str, a_pair: str) -> str:
    """How scores were paired, in words; `a_pair` says what is one."""
    if key is None and pair == UNPAIRED:
        return "not paired, as asked"
    if key is None and pair == AUTO:
        return f"not paired: no two items are in both sides by any of {', '.join(PAIR_KEYS)}"
    chosen = f"paired by {key}" if key is not None else f"not paired: no two items are in both sides by {pair}"
    first = ", the first key with two common items" if pair == AUTO else ""
    return f"{chosen}{first}; a pair is {a_pair}"
