"""Which spans emitted the scores of a batch, for its span's links. Only where spans are exported."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from confluent_kafka import Message

from scoreline.observe import spans
from scoreline.tracing import parent_of
from scoreline_sink.plan import Coordinates, Plan
from scoreline_sink.rows import RecordHeaders

HELD_MAX = 10_000
"""Records that were read and are not planned yet whose span is remembered."""


class Parents:
    """`traceparent` of records that were read, until they are planned."""

    def __init__(self) -> None:
        self._held: dict[Coordinates, bytes] = {}

    def note(self, messages: Iterable[Message]) -> None:
        """Remember who emitted these, where anybody wants to know."""
        if not spans.are_on():
            return
        for message in messages:
            if message.error() is None and len(self._held) < HELD_MAX:
                parent = parent_of(cast(RecordHeaders, message.headers() or []))
                if parent is not None:
                    self._held[message.partition() or 0, message.offset() or 0] = parent

    def take(self, plan: Plan) -> list[bytes]:
        """Those of a plan's records; they are forgotten."""
        if not self._held:
            return []
        last = {r.partition: r.last for r in plan.ranges}
        taken = [at for at in self._held if at[1] <= last.get(at[0], -1)]
        return [self._held.pop(at) for at in taken]

    def clear(self) -> None:
        """Whoever owns the partitions reads them again."""
        self._held.clear()
