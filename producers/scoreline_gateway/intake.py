"""Scores of a request, checked, sent and acknowledged: the one way into the raw topic."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from scoreline.errors import RetryableError
from scoreline.observe import catalogue, meter
from scoreline_gateway.delivering import Deliveries
from scoreline_gateway.reading import Desk, Item, Outcome, Prepared, random_ids

__all__ = ["Intake", "Outcome"]

CHECKED_AT_ONCE = 500
"""Scores that are checked before other requests get a turn."""

T = TypeVar("T")


class Intake:
    """Takes scores for the pipeline. For one event loop."""

    def __init__(self, deliveries: Deliveries) -> None:
        self._deliveries = deliveries
        for outcome in ("accepted", "rejected", "unavailable"):
            meter.add(catalogue.GATEWAY_SCORES, 0, outcome)

    async def accept(self, project: str, items: Sequence[Mapping[str, Any]]) -> list[Outcome]:
        """Take scores given as fields of the raw record; returns when the broker has those that were not rejected.

        The outcomes are in the order of `items`. A field that is None counts as absent; `score_id` is made and
        `timestamp` is now where they are absent; `project` is the one given here.

        Raises KafkaUnavailable when the broker did not acknowledge all of them in time (some may be stored), QueueFull
        when there is no room for them.
        """
        return await self._take(items, Desk(project, _now_ms(), random_ids()).prepare_fields)

    async def accept_texts(
        self, project: str, items: Iterable[Item], new_id: Callable[[], str] | None = None
    ) -> list[Outcome]:
        """As `accept`, for scores as they stand in a request's body; `new_id` gives the ids of those without one.

        Raises ValueError where `items` does.
        """
        return await self._take(items, Desk(project, _now_ms(), new_id or random_ids()).prepare_text)

    async def _take(self, items: Iterable[T], prepare: Callable[[T], Prepared | Outcome]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        records: list[tuple[bytes, bytes]] = []
        for number, item in enumerate(items, 1):
            prepared = prepare(item)
            if isinstance(prepared, Prepared):
                records.append((prepared.key, prepared.record))
                outcomes.append(Outcome(prepared.score_id, None))
            else:
                outcomes.append(prepared)
            if number % CHECKED_AT_ONCE == 0:
                await asyncio.sleep(0)
        meter.add(catalogue.GATEWAY_SCORES, len(outcomes) - len(records), "rejected")
        try:
            await self._deliveries.send(records)
        except RetryableError:
            meter.add(catalogue.GATEWAY_SCORES, len(records), "unavailable")
            raise
        meter.add(catalogue.GATEWAY_SCORES, len(records), "accepted")
        return outcomes


def _now_ms() -> int:
    return int(time.time() * 1000)
