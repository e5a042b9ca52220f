"""What makes a lane: from which topic into which table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from confluent_kafka import Message

from scoreline_sink.clickhouse import Table
from scoreline_sink.rows import Times

ToRow = Callable[[int, int, Message], bytes | None]
"""(partition, offset, message) → row, or None for a record that is none."""


@dataclass(frozen=True, slots=True)
class Route:
    """From which topic, as which group, into which table, and how a record becomes a row."""

    topic: str
    group: str
    table: Table
    to_row: ToRow
    refused_max: int
    """Records of one plan that may become dead letters; 0: a refused one stops the lane."""
    times: Callable[[bytes], Times | None] = lambda _row: None
    """The times that a row holds; None where they cannot be read."""
