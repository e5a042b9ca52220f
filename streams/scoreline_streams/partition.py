"""One assigned input partition: opened, fed with batches, closed. Crash-only: what it cannot explain ends the process.

Opening is ordered: fence the previous owner, then read the committed offset, then restore the state, then seek, then
fetch. While a transaction commits in a thread, the next batch of the partition is already validated and deduplicated;
it begins its own transaction only when the one before has committed.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import NoReturn, TypeVar

from confluent_kafka import KafkaError, KafkaException

from scoreline.configs import ScoreConfig
from scoreline.errors import ScorelineError, StateError
from scoreline.followed import Followed
from scoreline.kafka import error_of
from scoreline.lookups import Lookup
from scoreline.observe import catalogue, meter
from scoreline.observe.lag import Behind
from scoreline.settings import Settings
from scoreline.topics import Topics
from scoreline_streams import metering
from scoreline_streams.batch import Known, Outcome, RawRecord, config_keys, id_hashes, read, settle
from scoreline_streams.breaker import Breaker, Limits
from scoreline_streams.changelog import restore
from scoreline_streams.state import Size, State
from scoreline_streams.transactions import Transactions

log = logging.getLogger(__name__)

COMMIT_DEADLINE_S = 20.0
"""librdkafka's own timeouts are not kept when a broker restarts; after this the process ends."""
CLOSE_DEADLINE_S = 25.0
FED_S_MAX = 2.0
"""After this a fetched batch counts as lost on its way (Faust drops some at a seek or rebalance)."""
CRASHED = 70
"""Exit status of a crash-only end (EX_SOFTWARE); the supervisor restarts the process."""

_T = TypeVar("_T")


def die(why: str) -> NoReturn:
    """End the process at once: the next owner aborts what is open and continues from the committed offset."""
    log.critical("%s; ending this process, its successor continues from the committed offset", why)
    logging.shutdown()
    os._exit(CRASHED)


@dataclass(slots=True)
class Counts:
    """What a worker has committed since it started, in records."""

    records: int = 0
    enriched: int = 0
    duplicates: int = 0
    rejected: int = 0
    transactions: int = 0

    def add(self, records: int, outcome: Outcome) -> None:
        self.records += records
        self.enriched += len(outcome.enriched)
        self.duplicates += outcome.duplicates
        self.rejected += len(outcome.rejected)
        self.transactions += 1


@dataclass(frozen=True, slots=True)
class Context:
    """What all partitions of a worker share."""

    settings: Settings
    topics: Topics
    group: str
    configs: Followed[ScoreConfig]
    lookups: Followed[Lookup]
    raw_identity: str
    changelog_identity: str
    """The ids that Kafka gave the two topics."""
    pool: Executor
    seek: Callable[[int, int], Awaitable[None]]
    """`seek(partition, offset)` of the consumer that feeds the partitions."""
    on_change: Callable[[], None]
    """Called when a partition opens or stops being open."""
    counts: Counts = field(default_factory=Counts)


class Partition:
    """Owns the producer, the state and the position of one input partition while it is assigned."""

    def __init__(self, number: int, context: Context) -> None:
        settings = context.settings
        self.number = number
        self.is_open = False
        self._context = context
        self._closed = False
        self._next = 0
        self._fed_until = 0.0
        self._progress_at = 0.0
        limits = Limits(settings.reject_run_max, settings.reject_ratio_max, settings.reject_window)
        self._breaker = Breaker(limits)
        self._stopped_by_flood = False
        self._state: State | None = None
        self._transactions: Transactions | None = None
        self._opening: asyncio.Task[None] | None = None
        self._commit: asyncio.Task[None] | None = None
        self._busy = asyncio.Lock()
        self.committed = 0
        """The raw offset behind the last batch that is committed."""
        self.committed_at = 0.0
        """Kafka's time of its last record, Unix seconds; 0 before the first one."""
        self.behind = Behind()

    @property
    def is_stopped(self) -> bool:
        """Whether a flood of rejections has stopped it."""
        return self._stopped_by_flood

    def state_size(self) -> Size | None:
        """Of the state; None while it is not open, or closes right now. For another thread than the loop's."""
        state = self._state
        return None if state is None or not self.is_open else state.size()

    @property
    def is_hungry(self) -> bool:
        """Whether to fetch: open, and the last batch that was fetched is under way."""
        return self.is_open and time.monotonic() >= self._fed_until

    def feed(self) -> None:
        """A batch was fetched and will come to `handle`."""
        self._fed_until = time.monotonic() + FED_S_MAX

    def start(self) -> None:
        """Begin to open in the background: the rebalance that assigned the partition must not wait for it."""
        self._opening = asyncio.create_task(self._open())

    async def handle(self, records: Sequence[RawRecord]) -> None:
        """Process one fetched batch; returns when its transaction is under way."""
        async with self._busy:
            try:
                await self._handle(records)
            except KafkaException as error:
                self._reopen(error_of(error))
            except ScorelineError as error:
                die(f"partition {self.number}: {error}")
            except Exception as error:
                log.exception("partition %d", self.number)
                die(f"partition {self.number}: {error!r}")
            finally:
                self._fed_until = 0.0

    async def check_progress(self) -> None:
        """End the process when this partition has records to process and has committed none for `stall_s`."""
        stall_s = self._context.settings.stall_s
        still_s = time.monotonic() - self._progress_at
        if not self.is_open or still_s < stall_s / 2 or self._transactions is None:
            return
        try:
            waiting = await self._in_thread(self._record_waits)
        except KafkaException as error:
            log.warning("partition %d: %s", self.number, error_of(error).str())
            return
        if not waiting and (self._commit is None or self._commit.done()):
            self._progress_at = time.monotonic()
        elif still_s >= stall_s:
            die(
                f"partition {self.number}: records wait at offset {self._next} and nothing was committed for "
                f"{still_s:.0f} s (SCORELINE_STALL_S)"
            )

    def _record_waits(self) -> bool:
        """Whether there is a record at or behind the next offset; behind the last one can be control records only."""
        transactions = self._transactions
        if transactions is None or transactions.log_end() <= self._next:
            return False
        return transactions.first_record(self._next) is not None

    async def close(self) -> None:
        """Let the running transaction end, then release producer and state; within the rebalance."""
        self._closed = True
        self.is_open = False
        self._context.on_change()
        try:
            async with asyncio.timeout(CLOSE_DEADLINE_S):
                if self._opening is not None:
                    await asyncio.wait([self._opening])
                async with self._busy:
                    await self._committed()
                    await self._in_thread(self._release)
        except TimeoutError:
            die(f"partition {self.number} did not close within {CLOSE_DEADLINE_S:.0f} s")

    async def _open(self) -> None:
        started = time.monotonic()
        try:
            self._next = await self._in_thread(self._open_blocking)
            if self._closed:
                return
            await self._context.seek(self.number, self._next)
        except (KafkaException, ScorelineError) as error:
            if self._closed:
                log.info("partition %d closed while opening: %s", self.number, error)
                return
            die(f"partition {self.number} cannot be opened: {error}")
        except Exception as error:
            log.exception("opening partition %d", self.number)
            die(f"partition {self.number} cannot be opened: {error!r}")
        self._fed_until = 0.0
        self._progress_at = time.monotonic()
        self.committed = self._next
        self.is_open = True
        meter.observe(catalogue.WORKER_OPENING, time.monotonic() - started)
        self._context.on_change()
        log.info("partition %d open at offset %d after %.2f s", self.number, self._next, time.monotonic() - started)

    def _open_blocking(self) -> int:
        context = self._context
        if self._transactions is not None:
            self._transactions.close()
        self._transactions = Transactions(
            context.settings, context.topics, context.group, self.number, context.raw_identity
        )
        offset = self._transactions.open(self._is_closed)
        if self._state is None:
            folder = context.settings.state_dir / context.topics.raw.name / str(self.number)
            identity = f"{context.raw_identity}/{context.changelog_identity}"
            self._state = State(folder, identity, context.settings.state_horizon_days)
        changelog = context.topics.changelog.name
        restore(context.settings, changelog, self.number, self._state, context.raw_identity, self._is_closed)
        if offset < self._state.raw_next:
            log.warning(
                "partition %d: the offset of group %s is %d, it was set back or has expired; %s says that the records "
                "before %d are settled, so it continues there",
                self.number,
                context.group,
                offset,
                changelog,
                self._state.raw_next,
            )
            self._transactions.begin(Outcome(), self._state.raw_next)
            self._transactions.commit()
        return max(offset, self._state.raw_next)

    def _is_closed(self) -> bool:
        return self._closed

    async def _handle(self, records: Sequence[RawRecord]) -> None:
        if records[0].offset < self._next:
            records = [record for record in records if record.offset >= self._next]
        if not records or not self.is_open or (records[0].offset > self._next and not await self._gap_is_real(records)):
            return
        context, state, transactions = self._context, self._state, self._transactions
        assert state is not None
        assert transactions is not None

        hashes = id_hashes(records)
        looking_up = self._in_thread(lambda: state.look_up(hashes))
        events = read(records)
        if not config_keys(events) <= context.configs.entries.keys():
            await self._in_thread(context.configs.catch_up)
        known = Known(context.configs.entries, context.lookups.entries)
        seen = await looking_up
        outcome = settle(context.topics.raw.name, self.number, records, events, hashes, seen, known)
        flood = self._breaker.flood(records[0].offset, records[-1].offset, len(records), outcome.rejected)
        if flood is not None:
            self._stop_for_flood(flood)
            return

        await self._committed()
        if not self.is_open or transactions is not self._transactions:
            return
        state.changelog_next = transactions.changelog_end or state.changelog_next
        state.raw_next = transactions.raw_end or state.raw_next
        state.write(outcome.entries)
        self._next = records[-1].offset + 1
        begun = time.monotonic()
        transactions.begin(outcome, self._next)
        self._commit = asyncio.create_task(self._finish(transactions, records, outcome, begun))

    async def _finish(
        self, transactions: Transactions, records: Sequence[RawRecord], outcome: Outcome, begun: float
    ) -> None:
        loop = asyncio.get_running_loop()
        commit = loop.run_in_executor(self._context.pool, transactions.commit)
        done, _ = await asyncio.wait([commit], timeout=COMMIT_DEADLINE_S)
        if not done:
            die(f"partition {self.number}: transaction stuck for {COMMIT_DEADLINE_S:.0f} s")
        error = commit.exception()
        if error is None:
            self._progress_at = time.monotonic()
            self.committed, self.committed_at = records[-1].offset + 1, records[-1].timestamp / 1000
            self._context.counts.add(len(records), outcome)
            metering.committed(len(records), outcome, self._progress_at - begun)
            metering.linked(self.number, len(records), outcome, self._progress_at - begun)
        elif isinstance(error, KafkaException):
            self._reopen(error_of(error))
        else:
            die(f"partition {self.number}: {error!r}")

    async def _committed(self) -> None:
        """Return once the last transaction has ended, either way."""
        if self._commit is not None:
            await self._commit
            self._commit = None

    async def _gap_is_real(self, records: Sequence[RawRecord]) -> bool:
        """Whether offsets are missing in the log itself (control records, aborted transactions of a producer).

        What was fetched can be lost on its way or overtaken by a seek, so the log is asked; if it holds what is
        missing, that is fetched again.
        """
        await self._committed()
        transactions = self._transactions
        if not self.is_open or transactions is None:
            return False
        low = await self._in_thread(transactions.log_start)
        if low > self._next:
            raise StateError(
                f"{self._context.topics.raw.name}[{self.number}] begins at {low}, offset {self._next} is not processed "
                "yet: retention was shorter than the outage. To go on without those records, set the offset of group "
                f"{self._context.group} to {low}"
            )
        first = await self._in_thread(lambda: transactions.first_record(self._next))
        if first != records[0].offset:
            await self._context.seek(self.number, self._next)
            return False
        log.info("partition %d: no records from %d to %d", self.number, self._next, records[0].offset)
        self._next = records[0].offset
        return True

    def _reopen(self, error: KafkaError) -> None:
        """The outcome of a transaction is unknown: a new producer fences it, and the committed offset tells."""
        if error.fatal() or error.code() in (KafkaError._FENCED, KafkaError.INVALID_PRODUCER_EPOCH):  # pyright: ignore[reportPrivateUsage]
            die(f"partition {self.number} was taken over: {error.str()}")
        log.warning("partition %d: transaction failed (%s); opening anew", self.number, error.str())
        meter.add(catalogue.WORKER_FAILED)
        self.is_open = False
        self._context.on_change()
        if not self._closed and not self._stopped_by_flood:
            self.start()

    def _stop_for_flood(self, flood: str) -> None:
        """The partition stays assigned and closed, the others go on; lag and the missing ready file tell."""
        self._stopped_by_flood = True
        self.is_open = False
        self._context.on_change()
        log.critical(
            "partition %d of %s stopped at offset %d: %s. Mend the sender, or raise the limit to let them be "
            "rejected; then start this worker again",
            self.number,
            self._context.topics.raw.name,
            self._next,
            flood,
        )

    def _release(self) -> None:
        if self._transactions is not None:
            self._transactions.close()
            self._transactions = None
        if self._state is not None:
            self._state.close()
            self._state = None

    def _in_thread(self, call: Callable[[], _T]) -> asyncio.Future[_T]:
        return asyncio.get_running_loop().run_in_executor(self._context.pool, call)
