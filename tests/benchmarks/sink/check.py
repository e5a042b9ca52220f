"""Whether the table holds the backlog: every record once, and nothing else. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Known:
    """What must be in the table once all is stored."""

    rows: int
    value_sum: float
    """Exact: every value is a multiple of 1/8."""
    bytes: int
    """Length of all values together."""


@dataclass(frozen=True)
class Found:
    """What is in the table."""

    rows: int
    raw_records: int
    """Raw records, each counted once however many rows it has."""
    enriched_records: int
    """The same of enriched ones; as many as known where rows do not say."""
    value_sum: float
    rolled_up: int
    """Scores by the rollup of the hour."""


def mismatches(known: Known, found: Found) -> list[str]:
    """Every way in which the table is not the backlog."""
    wrong: list[str] = []
    if found.rows != known.rows:
        wrong.append(f"{found.rows} rows instead of {known.rows}")
    if found.raw_records != known.rows:
        wrong.append(f"{found.raw_records} raw records instead of {known.rows}")
    if found.enriched_records != known.rows:
        wrong.append(f"{found.enriched_records} enriched records instead of {known.rows}")
    if found.value_sum != known.value_sum:
        wrong.append(f"values add up to {found.value_sum} instead of {known.value_sum}")
    if found.rolled_up != known.rows:
        wrong.append(f"{found.rolled_up} scores rolled up instead of {known.rows}")
    return wrong
