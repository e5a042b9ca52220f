"""One topic into one table: reads, plans and commits in one thread, inserts in others.

A batch goes through three steps. Its plan is committed with the offsets of its first records (1). It is inserted (2)
beside the batch before it, while the next one is read. A commit ends it, with the offsets behind its last records, and
announces the next (3, 1). Plans end in the order they were announced, so what a partition carries is always the open
plans that name it. A crash before 1 leaves nothing; after 1, whoever gets a partition finds the plans in the commit
metadata, reads their records again and settles them (`recovery`); after 3 nothing is left of it.

What ClickHouse refuses becomes a dead letter. The commit that ends such a plan is a Kafka transaction with the letters
in it (`ending`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import takewhile
from threading import Event

from confluent_kafka import Consumer, KafkaError, TopicPartition

from scoreline.errors import KafkaUnavailable, RetryableError, TopicError
from scoreline.observe import catalogue, meter, spans
from scoreline.observe.health import health
from scoreline.settings import Settings
from scoreline_sink import metering
from scoreline_sink.buffer import Buffer
from scoreline_sink.consuming import beginning, check, commit, committed, member_options, take
from scoreline_sink.ending import TransactionInDoubt, end_with_letters
from scoreline_sink.flight import Flight, Work, begin
from scoreline_sink.letters import Letter, write_letters
from scoreline_sink.linking import Parents
from scoreline_sink.patience import Patience
from scoreline_sink.plan import OPEN_PLANS_MAX, Plan, Sealed, encode_all
from scoreline_sink.progress import Progress
from scoreline_sink.recovery import read_handover, recover
from scoreline_sink.route import Route
from scoreline_sink.settle import Refusals, store

log = logging.getLogger(__name__)

TAKE_ROWS_MAX = 1000
"""Few enough that a record is still in the processor's cache when its row is made; ten thousand cost a tenth more."""
IDLE_WAIT_S = 0.5
FLIGHT_WAIT_S = 0.01
"""How long a read may wait while an insert runs: its end is not to wait much longer."""
PAUSE_AFTER_S = 2.0
"""How long a lane with a full buffer waits for the insert before it pauses and only polls for rebalances.

Pausing throws away what librdkafka has fetched and costs most of a second: right in an outage, wrong in a backlog.
"""
LAND_S = 8.0
"""How long a rebalance or the end of the process waits for the insert in flight."""
IDLE_COMMIT_S = 1.0


class Lane:
    """Everything below is called from the thread that calls `run`; only `ready` and `stopped` cross threads."""

    def __init__(self, route: Route, settings: Settings, stopped: Event) -> None:
        self.topic = route.topic
        self.ready = Event()
        """Set once the first assignment is recovered."""
        self._route, self._settings, self._stopped = route, settings, stopped
        self._consumer = Consumer({**member_options(settings, route.group), "error_cb": self._on_error, "log_level": 2})
        self._buffer = Buffer(settings.insert_rows_max, settings.insert_linger_s)
        self._flights: list[Flight] = []
        """Open plans in the order they were announced, or one recovery."""
        self._done: dict[int, int] = {}
        """Owned partition → committed offset."""
        self._read_to: dict[int, int] = {}
        """Owned partition → offset behind its last record or control record; known when it was read to its end."""
        self._doubtful = False
        """Whether the last commit may have happened or not: then no other may overwrite what it announced."""
        self._paused = False
        self._idle_commit_at = 0.0
        self._progress = Progress(route.topic)
        self._parents = Parents()
        self._gauges = metering.LaneGauges(route.table.name)

    def run(self) -> None:
        """Move rows until stopped, then finish what is in flight. Raises what ends a lane: any PermanentError."""
        commits = Patience(self._stopped)
        health.turn(self._route.table.name)
        try:
            self._consumer.subscribe(
                [self.topic], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
            )
            while not self._stopped.is_set():
                self._read()
                try:
                    self._advance()
                except TransactionInDoubt as error:
                    commits.wait(error)
                    self._begin_anew()
                except KafkaUnavailable as error:
                    meter.add(catalogue.SINK_COMMIT_FAILED, 1, self._route.table.name)
                    commits.wait(error)
                else:
                    commits.over()
                health.turn()
                self._gauges.put(self._lags, self._buffer.rows)
                self._progress.report(lambda: sum(self._lags().values()))
            self._let_go()
        except RetryableError as error:
            if not self._stopped.is_set():
                raise
            log.warning("%s: stopped while waiting; the next start settles what is planned: %s", self.topic, error)
        finally:
            self._abandon()
            health.leave()
            self._consumer.close()

    def _read(self) -> None:
        room = self._buffer.room
        if room == 0 and not self._paused and self._flights and self._flights[0].work.landed(PAUSE_AFTER_S):
            return
        if (room == 0) is not self._paused:
            (self._consumer.pause if room == 0 else self._consumer.resume)(self._consumer.assignment())
            self._paused = room == 0
        now = time.monotonic()
        messages = take(self._consumer, min(room, TAKE_ROWS_MAX) or 1, self._wait_s(now))
        self._parents.note(messages)
        for message in messages:
            error, partition, offset = message.error(), message.partition(), message.offset()
            if error is not None:
                self._on_event(error, partition, offset)
            elif partition in self._done and offset is not None:
                row = self._route.to_row(partition, offset, message)
                self._buffer.add(partition, offset, row, message.value() or b"", now)

    def _wait_s(self, now: float) -> float:
        if not all(flight.work.over for flight in self._flights):
            return FLIGHT_WAIT_S
        return min(IDLE_WAIT_S, self._buffer.wait_s(now))

    def _advance(self) -> None:
        """The next step of the protocol, if it is time for one. Nothing changes when the commit fails."""
        now, landed = time.monotonic(), self._landed(0)
        flying = self._flights[len(landed) :]
        due = self._buffer.due(now) if _leaves_room(flying) else None
        if due is not None:
            self._commit(landed, due)
            parents = self._parents.take(due.plan)
            work = self._work(lambda cancelled: self._store(due, parents, cancelled))
            times = metering.last_times(due, self._route.times)
            self._flights = [*flying, Flight(due.plan, due.plan.ends, work, times)]
            self._buffer.pop()
        elif landed and not self._buffer.rows:
            self._commit(landed, None)
            self._flights = flying
        elif not self._flights and now >= self._idle_commit_at:
            self._commit_ends()
            self._idle_commit_at = now + IDLE_COMMIT_S

    def _landed(self, within_s: float) -> list[Flight]:
        """The flights that may be ended: those over within that time and behind no other. Raises what one raised."""
        end = time.monotonic() + within_s
        return list(takewhile(lambda flight: flight.work.landed(max(0.0, end - time.monotonic())), self._flights))

    def _store(self, planned: Sealed, parents: Sequence[bytes], cancelled: Event) -> Refusals:
        route, begun = self._route, time.monotonic()
        refusals = store(route.table, planned, planned.plan.token(route.topic), route.refused_max, cancelled)
        metering.queryable(planned, route.times)
        if parents:
            seconds = time.monotonic() - begun
            spans.batch("scoreline.sink.insert", seconds, parents, table=route.table.name, rows=planned.plan.rows)
        return refusals

    def _work(self, settle: Callable[[Event], Refusals]) -> Work[tuple[Letter, ...]]:
        """Begin to settle something, and then to write the dead letters of what is refused."""
        return begin(lambda cancelled: write_letters(self._settings, self._route, settle(cancelled), cancelled))

    def _commit(self, landed: Sequence[Flight], planned: Sealed | None) -> None:
        """End the plans that have landed and announce the next, in one commit."""
        held = self._buffer.partitions()
        offsets: dict[int, tuple[int, str]] = {}
        for partition, end in ((p, end) for flight in landed for p, end in flight.ends.items()):
            offsets[partition] = (end if partition in held else max(end, self._read_to.get(partition, 0)), "")
        plans = [flight.plan for flight in self._flights[len(landed) :] if flight.plan is not None]
        if planned is not None:
            plans.append(planned.plan)
            offsets |= {r.partition: (r.first, "") for r in planned.plan.ranges}
        offsets |= _carrying(plans, offsets)
        letters = tuple(letter for flight in landed for letter in flight.work.outcome.result())
        self._send(offsets, letters)
        if landed:
            records = sum(flight.plan.rows for flight in landed if flight.plan is not None)
            self._progress.settled(records, len(letters))
            self._gauges.done(records, len(letters), [flight.times for flight in landed])
            health.say(self._route.table.name, None)
            self.ready.set()

    def _commit_ends(self) -> None:
        """Behind the last row stand control records of its transaction: an idle partition's lag is to be 0."""
        held = self._buffer.partitions()
        self._send({p: (end, "") for p, end in self._read_to.items() if p not in held and end > self._done.get(p, end)})

    def _send(self, offsets: dict[int, tuple[int, str]], letters: tuple[Letter, ...] = ()) -> None:
        offsets = {partition: at for partition, at in offsets.items() if partition in self._done}
        if offsets:
            self._doubtful = True
            begun = time.monotonic()
            if letters:
                end_with_letters(self._settings, self._route, self._consumer, min(self._done), offsets, letters)
            else:
                commit(self._consumer, self.topic, offsets)
            self._doubtful = False
            meter.observe(catalogue.SINK_COMMIT, time.monotonic() - begun, self._route.table.name)
            self._done |= {partition: offset for partition, (offset, _) in offsets.items()}

    def _on_assign(self, _consumer: Consumer, assigned: list[TopicPartition]) -> None:
        if any(tp.partition >= self._settings.partitions for tp in assigned):
            raise TopicError(
                f"{self.topic} has got partitions beyond SCORELINE_PARTITIONS={self._settings.partitions}; "
                "docs/partitions.md says what to do"
            )
        self._begin(sorted(tp.partition for tp in assigned))

    def _begin_anew(self) -> None:
        """Read again what is committed, and go on from there, with the partitions that this member has."""
        partitions = sorted(self._done)
        self._abandon()
        self._consumer.resume(self._consumer.assignment())
        self._begin(partitions)

    def _begin(self, partitions: list[int]) -> None:
        route, consumer = self._route, self._consumer
        health.say(route.table.name, "its partitions are not settled yet")
        handover = read_handover(
            committed(consumer, route.topic, partitions, self._stopped),
            lambda partition: beginning(consumer, route.topic, partition, self._stopped),
        )
        log.info("%s: assigned partitions %s, %d plans to settle", route.topic, partitions, len(handover.plans))
        self._done = dict(handover.starts)
        self._gauges.assigned(self._done, self._settings.partitions)
        consumer.assign([TopicPartition(route.topic, p, offset) for p, offset in handover.starts.items()])
        self._paused = False
        work = self._work(lambda cancelled: recover(self._settings, route, handover, cancelled))
        self._flights = [Flight(None, handover.ends, work)]

    def _on_revoke(self, _consumer: Consumer, _revoked: list[TopicPartition]) -> None:
        self._let_go()

    def _on_lost(self, _consumer: Consumer, _lost: list[TopicPartition]) -> None:
        log.warning("%s: partitions lost, their next owner settles what is planned", self.topic)
        self._abandon()

    def _let_go(self) -> None:
        """Finish and commit what is in flight, drop what is not planned yet."""
        try:
            landed = self._landed(LAND_S)
            if landed and not self._doubtful:
                self._commit(landed, None)
        except KafkaUnavailable as error:
            log.warning("%s: stored but not committed, the next owner settles it: %s", self.topic, error)
        finally:
            self._abandon()

    def _abandon(self) -> None:
        """Forget everything. An insert that still runs is harmless: its plan is committed, its token known."""
        for flight in self._flights:
            flight.work.cancelled.set()
        self._flights = []
        self._buffer.clear()
        self._parents.clear()
        self._done, self._read_to = {}, {}
        self._doubtful = False
        self._gauges.forget()

    def _on_event(self, error: KafkaError, partition: int | None, offset: int | None) -> None:
        if error.code() != KafkaError._PARTITION_EOF:
            check(error, self.topic)
        elif partition in self._done and offset is not None:
            # what was read before a revocation is looked at after it
            self._read_to[partition] = offset

    def _on_error(self, error: KafkaError) -> None:
        self._progress.trouble(error.str())

    def _lags(self) -> dict[int, int]:
        """Owned partition → records between what is committed and its end, control records included."""
        lags: dict[int, int] = {}
        for partition, done in self._done.items():
            _, high = self._consumer.get_watermark_offsets(TopicPartition(self.topic, partition), cached=True)
            lags[partition] = max(0, high - done)
        return lags


def _leaves_room(flying: Sequence[Flight]) -> bool:
    """Whether another plan may be announced: not before a recovery has ended, of which the partitions carry plans."""
    return len(flying) < OPEN_PLANS_MAX and all(flight.plan is not None for flight in flying)


def _carrying(plans: Sequence[Plan], partitions: Iterable[int]) -> dict[int, tuple[int, str]]:
    """(first open offset, metadata) of those of `partitions` that open plans, in their order, name."""
    carried: dict[int, list[Plan]] = {partition: [] for partition in partitions}
    firsts: dict[int, int] = {}
    for plan in plans:
        for r in plan.ranges:
            if r.partition in carried:
                carried[r.partition].append(plan)
                firsts.setdefault(r.partition, r.first)
    return {partition: (first, encode_all(carried[partition])) for partition, first in firsts.items()}
