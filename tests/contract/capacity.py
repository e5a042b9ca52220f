"""Sizes for the capacity guide, from figures measured for docs/benchmarks.md. Pure."""

from __future__ import annotations

import math

RATES = (1_000, 100_000, 1_000_000)
"""Events a second."""
LOAD = 0.6
"""Share of a core that is planned for."""
WORKER, SINK, CLICKHOUSE, GATEWAY = 80_000, 305_000, 110_000, 52_000
"""Events or rows a second and core."""
RAW, ENRICHED, CHANGELOG = 144, 270, 31
"""Bytes a record, compressed."""
REPLICAS = 3
DAY_S = 86_400
KAFKA_DAYS = 7
STATE, CHANGELOG_BYTES, ROW = 47, 31, 86
"""Bytes an id and a score on disk."""


def rows() -> list[tuple[str, ...]]:
    """A line for each size, a cell for each of `RATES`."""
    return [
        ("worker processes", *(_cores(rate, WORKER) for rate in RATES)),
        ("partitions", *(f"{max(4, 2 * math.ceil(rate / WORKER / LOAD))}" for rate in RATES)),
        ("sink processes", *(_cores(rate, SINK) for rate in RATES)),
        ("ClickHouse cores, for storing", *(_cores(rate, CLICKHOUSE) for rate in RATES)),
        ("gateways, if all comes in bulk over HTTP", *(_cores(rate, GATEWAY) for rate in RATES)),
        ("network into the brokers", *(_a_second(rate * (RAW + ENRICHED + CHANGELOG) * REPLICAS) for rate in RATES)),
        ("network out of them", *(_a_second(rate * (RAW + ENRICHED)) for rate in RATES)),
        (
            "Kafka's disk, 7 days, 3 replicas",
            *(_size(rate * DAY_S * KAFKA_DAYS * (RAW + ENRICHED) * REPLICAS) for rate in RATES),
        ),
        ("state, for each day of the horizon", *(_size(rate * DAY_S * STATE) for rate in RATES)),
        (
            "its changelog in Kafka, for each day, 3 replicas",
            *(_size(rate * DAY_S * CHANGELOG_BYTES * REPLICAS) for rate in RATES),
        ),
        ("ClickHouse's disk, for each 30 days of retention", *(_size(rate * DAY_S * 30 * ROW) for rate in RATES)),
    ]


def header() -> tuple[str, ...]:
    return ("events a second", *(f"{rate:,}" for rate in RATES))


def _cores(rate: int, of_one: int) -> str:
    return f"{max(1, math.ceil(rate / of_one / LOAD))}"


def _a_second(size: float) -> str:
    return f"{_size(size)}/s"


def _size(size: float) -> str:
    for unit in ("B", "kB", "MB", "GB", "TB", "PB"):
        if size < 1000 or unit == "PB":
            return f"{size:.3g} {unit}"
        size /= 1000
    raise AssertionError
