"""Every way to say a score: the calls of a client, down to a checked record that is to be sent."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, Unpack
from uuid import UUID

import uuid_utils

from scoreline.delivery import Delivery, OnDelivered
from scoreline.errors import InvalidScore, PermanentError, ScorelineError
from scoreline.evaluating import current_evaluator
from scoreline.fields import (
    DataTypeName,
    Judgement,
    More,
    Score,
    SourceName,
    add_baggage,
    identified,
    record_fields,
)
from scoreline.handles import Handle
from scoreline.preparing import prepare
from scoreline.reading import Event
from scoreline.refusals import Refusals
from scoreline.rejections import Reason, Rejection, found
from scoreline.tracing import current_baggage, current_span, span_or_warn

if TYPE_CHECKING:
    from scoreline.settings import Settings

YIELD_SCORES = 100
"""How many scores `score_many_async` checks before other tasks have their turn."""


class Checked(NamedTuple):
    """One score of a batch."""

    score: Mapping[str, Any]
    key: bytes
    record: bytes | None
    """None for one that was refused."""

    @property
    def score_id(self) -> str:
        """Empty for what is no score at all."""
        return self.score["score_id"] if isinstance(self.score, dict) else ""


class Emitter(ABC):
    """The calls of `Client`. The `_async` variants do the same without blocking the event loop."""

    settings: Settings
    delivery: Delivery
    _refuse: Refusals

    @abstractmethod
    def send(self, key: bytes, record: bytes, on_delivered: OnDelivered | None = None) -> None:
        """Send a checked record; raises when there is no room."""

    @abstractmethod
    async def send_async(self, key: bytes, record: bytes, on_delivered: OnDelivered | None = None) -> None:
        """As `send`, without blocking the event loop."""

    @abstractmethod
    def _origin(self) -> Mapping[str, str]:
        """The fields that say where scores come from."""

    def create_score(
        self,
        *,
        name: str,
        value: float | str | bool | None = None,
        error: str | None = None,
        session_id: str | None = None,
        dataset_run_id: str | None = None,
        trace_id: str | None = None,
        observation_id: str | None = None,
        score_id: str | None = None,
        data_type: DataTypeName | None = None,
        comment: str | None = None,
        config_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        timestamp: datetime | None = None,
        source: SourceName | None = None,
        evaluator: Mapping[str, str] | None = None,
        author: str | None = None,
    ) -> str:
        """Emit one score and return its id, without waiting for the broker.

        `value` is the result; where the judge failed, `error` says why in its place, and the score counts as failed.
        At least one of `trace_id`, `session_id` and `dataset_run_id` says what was judged; an `observation_id` needs
        its `trace_id`. Without `score_id` one is made (UUIDv7); give your own to make a retry harmless. `timestamp`
        has a zone and defaults to now.

        Raises InvalidScore at once when a rule of the contract is broken, QueueFull when the broker has been away so
        long that the queue is full (`SCORELINE_QUEUE_EVENTS_MAX`) and stays so for `SCORELINE_QUEUE_WAIT_S`, or when
        the spool is (`SCORELINE_SPOOL_BYTES_MAX`, or its disk). A score that raised was not taken.
        """
        if score_id is None:
            score_id = str(uuid_utils.uuid7())
        score: Score = {
            "score_id": score_id,
            "name": name,
            "value": value,
            "error": error,
            "data_type": data_type,
            "trace_id": trace_id,
            "observation_id": observation_id,
            "session_id": session_id,
            "dataset_run_id": dataset_run_id,
            "comment": comment,
            "metadata": metadata,
            "config_id": config_id,
            "author": author,
            "source": source,
            "evaluator": evaluator,
            "timestamp": timestamp,
        }
        self._take(score, None)
        return score_id

    async def create_score_async(self, **score: Unpack[Score]) -> str:
        """As `create_score`. Other tasks have their turn only when the queue is full."""
        taken = identified(score)
        await self._take_async(taken, None)
        return taken["score_id"]

    def submit(self, **score: Unpack[Score]) -> Handle:
        """As `create_score`; returns a handle on the delivery, which knows the id."""
        taken = identified(score)
        handle = Handle(taken["score_id"], self.settings.flush_s)
        self._take(taken, handle.settle)
        return handle

    async def submit_async(self, **score: Unpack[Score]) -> Handle:
        """As `submit`: awaiting the call waits for room in the queue, awaiting its handle for the broker."""
        taken = identified(score)
        handle = Handle(taken["score_id"], self.settings.flush_s)
        await self._take_async(taken, handle.settle)
        return handle

    def score_many(self, scores: Iterable[Score]) -> list[str]:
        """Emit many scores, each the arguments of `create_score` as a mapping; returns their ids in the same order.

        All are checked before the first is sent: one that is invalid raises, with its place, and none is sent. At most
        `SCORELINE_QUEUE_EVENTS_MAX` at once; more raise PermanentError. QueueFull can come in the middle, with a note
        of how many were taken: with ids of your own the same call again is harmless.

        With `strict=False` the valid ones are sent until the queue is full.
        """
        batch = [self._check(place, score) for place, score in enumerate(self._bounded(scores))]
        for place, checked in enumerate(batch):
            if checked.record is not None:
                try:
                    self.send(checked.key, checked.record)
                except ScorelineError as failure:
                    self._refuse_from(place, batch, failure)
                    break
        return [checked.score_id for checked in batch]

    async def score_many_async(self, scores: Iterable[Score]) -> list[str]:
        """As `score_many`; other tasks have their turn meanwhile."""
        import asyncio

        batch: list[Checked] = []
        for place, score in enumerate(self._bounded(scores)):
            batch.append(self._check(place, score))
            if place % YIELD_SCORES == 0:
                await asyncio.sleep(0)
        for place, checked in enumerate(batch):
            if checked.record is not None:
                try:
                    await self.send_async(checked.key, checked.record)
                except ScorelineError as failure:
                    self._refuse_from(place, batch, failure)
                    break
        return [checked.score_id for checked in batch]

    def score_current_span(
        self,
        *,
        name: str,
        value: float | str | bool | None = None,
        score_id: str | None = None,
        data_type: DataTypeName | None = None,
        comment: str | None = None,
        config_id: str | None = None,
        **more: Unpack[More],
    ) -> str | None:
        """`create_score` for the active OpenTelemetry span. Without one: no score, None, and one warning.

        `more` are the other arguments of `create_score`, but for the targets. Raises as `create_score`.
        """
        span = span_or_warn()
        return span and self.create_score(
            trace_id=span.trace_id,
            observation_id=span.span_id,
            name=name,
            value=value,
            score_id=score_id,
            data_type=data_type,
            comment=comment,
            config_id=config_id,
            **more,
        )

    def score_current_trace(
        self,
        *,
        name: str,
        value: float | str | bool | None = None,
        score_id: str | None = None,
        data_type: DataTypeName | None = None,
        comment: str | None = None,
        config_id: str | None = None,
        **more: Unpack[More],
    ) -> str | None:
        """As `score_current_span`, for the whole trace of the active span."""
        span = span_or_warn()
        return span and self.create_score(
            trace_id=span.trace_id,
            name=name,
            value=value,
            score_id=score_id,
            data_type=data_type,
            comment=comment,
            config_id=config_id,
            **more,
        )

    async def score_current_span_async(self, **score: Unpack[Judgement]) -> str | None:
        """As `score_current_span`, without blocking the event loop."""
        span = span_or_warn()
        return span and await self.create_score_async(**score, trace_id=span.trace_id, observation_id=span.span_id)

    async def score_current_trace_async(self, **score: Unpack[Judgement]) -> str | None:
        """As `score_current_trace`, without blocking the event loop."""
        span = span_or_warn()
        return span and await self.create_score_async(**score, trace_id=span.trace_id)

    def score(
        self,
        trace_id: str | UUID,
        name: str,
        value: str,
        data_type: DataTypeName = "NUMERIC",
        reason: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> str:
        """`create_score` for a trace, with a value in text and its reason as comment. A UUID is written with dashes.

        Raises as `create_score`.
        """
        return self.create_score(
            trace_id=str(trace_id), name=name, value=value, data_type=data_type, comment=reason, metadata=metadata
        )

    def _take(self, score: Mapping[str, Any], on_delivered: OnDelivered | None) -> None:
        """Check a score that has its id, and send it."""
        try:
            event, record = self._prepare(score)
            self.send(event.key, record, on_delivered)
        except ScorelineError as failure:
            self._refused(failure, score, on_delivered)

    async def _take_async(self, score: Mapping[str, Any], on_delivered: OnDelivered | None) -> None:
        try:
            event, record = self._prepare(score)
            await self.send_async(event.key, record, on_delivered)
        except ScorelineError as failure:
            self._refused(failure, score, on_delivered)

    def _prepare(self, score: Mapping[str, Any]) -> tuple[Event, bytes]:
        return prepare(self._fields(score), int(time.time() * 1000))

    def _bounded(self, scores: Iterable[Score]) -> list[Score]:
        limit = self.settings.queue_events_max
        bounded = list(islice(scores, limit + 1))
        if len(bounded) <= limit:
            return bounded
        message = f"more than {limit} scores at once (SCORELINE_QUEUE_EVENTS_MAX); none was sent, send them in parts"
        self._refused(PermanentError(message), {}, None)
        return []

    def _check(self, place: int, score: Mapping[str, Any]) -> Checked:
        """Check one score of a batch."""
        try:
            if not isinstance(score, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise InvalidScore(Rejection(Reason.INVALID_VALUE, f"expected a mapping, found {found(score)}"))
            score = identified(score)
            event, record = self._prepare(score)
        except InvalidScore as failure:
            why = failure.rejection
            self._refused(InvalidScore(replace(why, detail=f"scores[{place}]: {why.detail}")), score, None)
            return Checked(score, b"", None)
        return Checked(score, event.key, record)

    def _refuse_from(self, place: int, batch: list[Checked], failure: ScorelineError) -> None:
        """No room for a batch from `place` on."""
        failure.add_note(f"{place} of {len(batch)} scores were taken")
        for left in batch[place:]:
            if left.record is not None:
                self._refused(failure, left.score, None)

    def _fields(self, score: Mapping[str, Any]) -> dict[str, Any]:
        """The fields of the raw record, those that only this process knows included. Raises InvalidScore."""
        fields = record_fields(score, self._origin(), current_evaluator(), datetime.now(UTC))
        baggage = current_baggage()
        if baggage is not None:
            add_baggage(fields, baggage, current_span())
        return fields

    def _refused(self, failure: ScorelineError, score: Mapping[str, Any], on_delivered: OnDelivered | None) -> None:
        """A score was not taken."""
        self.delivery.refused += 1
        self._refuse(failure, score)
        if on_delivered is not None:
            on_delivered(failure)
