"""What the options of `scoreline reconcile` say, as values."""

from __future__ import annotations

from collections.abc import Sequence

from scoreline.errors import QueryError


def partitions_of(asked: Sequence[int], partitions: int) -> tuple[int, ...]:
    """The partitions asked for, all where none is. Raises QueryError for one that the topic does not have."""
    unknown = [partition for partition in asked if not 0 <= partition < partitions]
    if unknown:
        raise QueryError(f"--partition {unknown[0]}: the topic has partitions 0..{partitions - 1}")
    return tuple(sorted(set(asked))) or tuple(range(partitions))
