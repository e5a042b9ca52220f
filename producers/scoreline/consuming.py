"""Scores as they leave the pipeline: `for score in scoreline.consume(group="alerts"): …`, at least once."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import logging
import re
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Self

from confluent_kafka import Message

from scoreline.enriched import EnrichedScore, decode_enriched
from scoreline.errors import ConflictingOwner, KafkaUnavailable, MalformedRecord, SettingsError
from scoreline.kafka import CALL_TIMEOUT_S, Start
from scoreline.membership import SLICE_S, Membership
from scoreline.settings import Settings, load_settings
from scoreline.topics import record_key

log = logging.getLogger(__name__)

OnMalformed = Callable[[MalformedRecord, Message], None]
_GROUP = re.compile(r"(?!scoreline\.)[a-zA-Z0-9._-]{1,200}")


def consume(
    *,
    group: str,
    name: str | Iterable[str] | None = None,
    project: str | Iterable[str] | None = None,
    start: Start = "end",
    on_malformed: OnMalformed | None = None,
    settings: Settings | None = None,
) -> ScoreConsumer:
    """Scores from `scores.enriched`, each at least once for the whole `group`, in order within one score's partition.

    `name` and `project` choose some; the others are passed over. `start` is where a group begins that Kafka does not
    know yet: now (`end`), with the oldest score that the topic holds (`beginning`), or with those enriched since a
    time with zone. `on_malformed` is called with a record that is no enriched score, which is then passed over;
    without it, MalformedRecord is raised, again at every start. `settings` default to `SCORELINE_*`.

    Raises SettingsError.
    """
    member = ScoreConsumer(_Wanted.of(name, project, on_malformed), settings or load_settings(), _group(group), start)
    atexit.register(member.close)
    return member


def consume_async(
    *,
    group: str,
    name: str | Iterable[str] | None = None,
    project: str | Iterable[str] | None = None,
    start: Start = "end",
    on_malformed: OnMalformed | None = None,
    settings: Settings | None = None,
) -> AsyncScoreConsumer:
    """`consume` for asyncio: the same parameters, `async with` and `async for`."""
    wanted = _Wanted.of(name, project, on_malformed)
    return AsyncScoreConsumer(wanted, settings or load_settings(), _group(group), start)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Which scores the caller wants, and what becomes of records that are none."""

    names: frozenset[str]
    keys: tuple[bytes, ...]
    """What a wanted record's key begins with: its project."""
    on_malformed: OnMalformed | None

    @classmethod
    def of(
        cls, name: str | Iterable[str] | None, project: str | Iterable[str] | None, on_malformed: OnMalformed | None
    ) -> Self:
        return cls(_names(name), tuple(record_key(one, "") for one in sorted(_names(project))), on_malformed)

    def read(self, record: Message) -> EnrichedScore | None:
        """The score, None when it is not wanted. Raises MalformedRecord."""
        if self.keys and not (record.key() or b"").startswith(self.keys):
            return None
        try:
            score = decode_enriched(record.value() or b"")
        except MalformedRecord as error:
            named = MalformedRecord(f"{record.topic()}[{record.partition()}]@{record.offset()}: {error}")
            if self.on_malformed is None:
                raise named from error
            self.on_malformed(named, record)
            return None
        return score if not self.names or score.name in self.names else None


class _Wait:
    """How long a batch waits for more: `wait_s` since it was first asked whether that is over."""

    def __init__(self, wait_s: float) -> None:
        self._wait_s = wait_s
        self._deadline: float | None = None

    def over(self) -> bool:
        now = time.monotonic()
        if self._deadline is None:
            self._deadline = now + self._wait_s
        return now >= self._deadline

    def slice_s(self) -> float:
        """How long to wait before the next look."""
        return SLICE_S if self._deadline is None else min(max(self._deadline - time.monotonic(), 0.0), SLICE_S)


def _names(names: str | Iterable[str] | None) -> frozenset[str]:
    return frozenset((names,) if isinstance(names, str) else names or ())


def _group(group: str) -> str:
    if not _GROUP.fullmatch(group):
        raise SettingsError(
            f"group: {group!r} is no name for it; 1-200 letters, digits, dots, dashes and underscores are, "
            "but scoreline.… is the pipeline's own"
        )
    return group


class _Consuming:
    """What both forms share: who is a member, what is wanted, and when it ends."""

    def __init__(self, wanted: _Wanted, settings: Settings, group: str, start: Start) -> None:
        if isinstance(start, datetime) and start.tzinfo is None:
            raise SettingsError(f"start: {start.isoformat()} has no zone; give one, as datetime.now(UTC)")
        self._wanted = wanted
        self._stopped = False
        self._member = Membership(settings, group, start, self._arrived)

    def stop(self) -> None:
        """Let the iteration end after the score in hand. Never waits: for signal handlers and other threads."""
        self._stopped = True

    def _arrived(self) -> None:
        raise NotImplementedError

    def _begin(self, max_records: int) -> None:
        if max_records < 1:
            raise SettingsError(f"max_records: at least 1, found {max_records}")
        self._member.join()
        self._member.give_back()

    def _fill(self, scores: list[EnrichedScore], max_records: int) -> bool:
        """Take what is there into `scores`; whether that is all for now: as many as asked for, or the end."""
        while len(scores) < max_records:
            if self._stopped:
                return True
            try:
                score = self._next()
            except MalformedRecord:
                if scores:
                    return True  # the scores before it first; it is met again by the next call
                raise
            if score is None:
                return self._stopped or self._member.ended
            scores.append(score)
        return True

    def _next(self) -> EnrichedScore | None:
        while not self._stopped and (record := self._member.peek()) is not None:
            score = self._wanted.read(record)
            if score is None:
                self._member.skip(record)
            elif self._member.hand(record):
                return score
        return None

    def _committing(self) -> Iterator[None]:
        """Commit what was handed out: one step for every look at whether that is done."""
        forfeited = self._member.forfeited
        deadline = time.monotonic() + CALL_TIMEOUT_S
        self._member.finish()
        while self._member.uncommitted():
            if time.monotonic() > deadline:
                raise KafkaUnavailable(
                    f"no answer to a commit within {CALL_TIMEOUT_S:g} s; it is tried again by itself"
                )
            yield
        if forfeited or self._member.forfeited:
            raise ConflictingOwner("partitions went to another member before this was committed; it comes again there")

    def _leave(self) -> None:
        self._stopped = True
        if not self._member.leave():
            log.warning("left %s without Kafka's answer: some finished scores come again", self._member.topic)


class ScoreConsumer(_Consuming):
    """Scores for one member of a group, made by `consume`; iterate over it, once at a time.

    A score is finished when the next one is asked for, or at `commit`. What is finished is committed within a second,
    when a partition goes to another member, and at `close`. What is not comes again: after a crash, after an exception
    in the loop's body, after `break`. So write what you do by `score_id` and doing it twice is harmless. A body may
    take as long as it likes; the member keeps its partitions meanwhile. A broker that is away is waited for.
    """

    def __init__(self, wanted: _Wanted, settings: Settings, group: str, start: Start) -> None:
        self._news = threading.Event()
        super().__init__(wanted, settings, group, start)

    def __iter__(self) -> Iterator[EnrichedScore]:
        """One score after the other, without end until `stop` or `close`.

        Raises MalformedRecord, TopicError, SettingsError, ConflictingOwner.
        """
        for [score] in self.batches(1):
            yield score

    def batches(self, max_records: int = 500, max_wait_s: float = 1.0) -> Iterator[list[EnrichedScore]]:
        """Lists of 1 to `max_records` scores; fewer when `max_wait_s` has passed since the first of them.

        A batch is finished when the next one is asked for. Raises as `__iter__`.
        """
        self._begin(max_records)
        while batch := self._batch(max_records, max_wait_s):
            yield batch
            self._member.finish()

    def commit(self) -> None:
        """Everything handed out so far is finished: commit it now, and return when Kafka has it.

        Raises KafkaUnavailable when Kafka does not answer in time, which is tried again by itself; ConflictingOwner
        when partitions went to another member before, to which their scores come again.
        """
        for _ in self._committing():
            self._news.clear()
            self._news.wait(SLICE_S / 4)

    def close(self) -> None:
        """Commit what is finished and leave the group. The iteration ends."""
        atexit.unregister(self.close)
        self._leave()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _arrived(self) -> None:
        self._news.set()

    def _batch(self, max_records: int, max_wait_s: float) -> list[EnrichedScore]:
        scores: list[EnrichedScore] = []
        wait = _Wait(max_wait_s)
        while True:
            self._news.clear()
            if self._fill(scores, max_records) or (scores and wait.over()):
                return scores
            self._news.wait(wait.slice_s())


class AsyncScoreConsumer(_Consuming):
    """`ScoreConsumer` for asyncio, made by `consume_async`: the same meaning of finished. The loop is never blocked.

    A task that is cancelled while it waits has taken nothing that does not come again.
    """

    def __init__(self, wanted: _Wanted, settings: Settings, group: str, start: Start) -> None:
        self._news = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        super().__init__(wanted, settings, group, start)

    async def __aiter__(self) -> AsyncIterator[EnrichedScore]:
        """One score after the other, without end until `stop` or `close`; raises as `ScoreConsumer`'s."""
        async for [score] in self.batches(1):
            yield score

    async def batches(self, max_records: int = 500, max_wait_s: float = 1.0) -> AsyncIterator[list[EnrichedScore]]:
        """Lists of 1 to `max_records` scores, as `ScoreConsumer.batches`."""
        self._loop = asyncio.get_running_loop()
        self._begin(max_records)
        while batch := await self._batch(max_records, max_wait_s):
            yield batch
            self._member.finish()

    async def commit(self) -> None:
        """As `ScoreConsumer.commit`. Raises KafkaUnavailable, ConflictingOwner."""
        for _ in self._committing():
            await self._wait(SLICE_S / 4)

    async def close(self) -> None:
        """Commit what is finished and leave the group. The iteration ends."""
        await asyncio.to_thread(self._leave)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _arrived(self) -> None:
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # of a closed loop, where nobody waits
                self._loop.call_soon_threadsafe(self._news.set)

    async def _batch(self, max_records: int, max_wait_s: float) -> list[EnrichedScore]:
        scores: list[EnrichedScore] = []
        wait = _Wait(max_wait_s)
        while True:
            if self._fill(scores, max_records) or (scores and wait.over()):
                return scores
            await self._wait(wait.slice_s())

    async def _wait(self, wait_s: float) -> None:
        self._news.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._news.wait(), wait_s)
