"""More partitions for a pipeline whose ids are remembered by partition: `scoreline topics repartition`.

A record's key decides its partition, by its hash modulo their number. With a multiple of the old number, what has
hashed to the new partition q has been in the old one q modulo the old number, and nothing else has. So the new one
begins with the state of that old one: each id is known where it comes from now on. The entries are copied as they are,
but for the offset of the first occurrence, which means nothing in another partition: it becomes 0, and offset 0 is
taken away, so that every record is behind it.

The steps in their order; whoever stops after any of them runs the command again:

    changelog grows, each new partition begins with a record that no worker reads on (`UNSEEDED`)
    rejected, enriched and raw grow
    each new raw partition loses its offset 0
    each new changelog partition gets the entries, in transactions that also commit the group's offset 1; then it
    loses its first record, and workers may open it
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions

from scoreline.errors import KafkaUnavailable, TopicError
from scoreline.kafka import CALL_TIMEOUT_S, client_options, error_of, partition_counts, topic_id
from scoreline.lag import group_lag
from scoreline.settings import Settings
from scoreline.topics import Topic, declare_groups, declare_topics
from scoreline_streams.batch import Outcome
from scoreline_streams.changelog import UNSEEDED, restore
from scoreline_streams.deduplicate import carried_over
from scoreline_streams.transactions import Transactions

log = logging.getLogger(__name__)

_T = TypeVar("_T")

FIRST_OFFSET = 1
"""Where the records of a new raw partition begin."""
WRITE_S = 30.0
LED_S = 20.0
"""How long a new partition may be without a leader."""
DOCUMENT = "docs/partitions.md"


@dataclass(frozen=True, slots=True)
class Report:
    """What was done."""

    before: int
    after: int
    """Partitions."""
    seeded: Mapping[int, int]
    """New partition → entries that its state begins with."""


def repartition(settings: Settings, tell: Callable[[str], None] = log.info) -> Report:
    """Give the topics `settings.partitions` partitions and the new ones their state.

    Raises TopicError when that is no multiple of what there is, when emitters, worker or sink are still at work, or
    when a new partition holds scores already; KafkaUnavailable.
    """
    return _Repartition(settings, tell).run()


class _Repartition:
    def __init__(self, settings: Settings, tell: Callable[[str], None]) -> None:
        self._settings, self._tell = settings, tell
        self._topics, self._groups = declare_topics(settings), declare_groups(settings)
        self._admin = AdminClient(client_options(settings))
        self._reader = Consumer(
            client_options(
                settings,
                group_id=declare_groups(settings).reader,
                enable_auto_commit=False,
                auto_offset_reset="error",
                isolation_level="read_uncommitted",
                fetch_wait_max_ms=20,
            )
        )

    def run(self) -> Report:
        try:
            with closing(self._reader):
                return self._run()
        except KafkaException as error:
            raise KafkaUnavailable(
                f"{error_of(error).str()}; run the command again, it goes on where it was"
            ) from error

    def _run(self) -> Report:
        topics, wanted = self._topics, self._settings.partitions
        counts = self._counts()
        before, resumed = self._before(counts)
        if before == wanted:
            return Report(before, wanted, {})
        self._require_stopped(is_drained=resumed)
        ends = self._raw_ends(before)
        new = range(before, wanted)
        self._grow(topics.changelog, counts)
        for partition in new:
            self._mark(partition, before)
        for topic in (topics.rejected, topics.enriched, topics.raw):
            self._grow(topic, counts)
        for partition in new:
            self._take_first_offset(partition)
        seeded = {partition: self._seed(partition, partition % before) for partition in new}
        if self._raw_ends(before) != ends:
            raise TopicError(
                f"scores arrived in {topics.raw.name} meanwhile: an emitter still runs. What it sent by the old "
                f"number of partitions can be stored twice if it is sent again; see {DOCUMENT}"
            )
        return Report(before, wanted, seeded)

    def _counts(self) -> dict[str, int]:
        topics, wanted = self._topics, self._settings.partitions
        keyed = (topics.raw, topics.enriched, topics.rejected, topics.changelog)
        existing = partition_counts(self._admin, self._settings)
        if missing := [topic.name for topic in keyed if topic.name not in existing]:
            raise TopicError(f"missing: {', '.join(missing)}; create them with: scoreline topics")
        counts = {topic.name: existing[topic.name] for topic in keyed}
        before = min(counts.values())
        if before > wanted or wanted % before or not set(counts.values()) <= {before, wanted}:
            shown = ", ".join(f"{name} {count}" for name, count in counts.items())
            raise TopicError(
                f"cannot get from these partitions to {wanted} (SCORELINE_PARTITIONS): {shown}. Only a multiple lets "
                f"every new partition begin with the state of one old one, and Kafka takes none away; see {DOCUMENT}"
            )
        return counts

    def _before(self, counts: Mapping[str, int]) -> tuple[int, bool]:
        """The number of partitions before, and whether an earlier run was left in its middle."""
        least, wanted = min(counts.values()), self._settings.partitions
        marks = [
            int(mark) for partition in range(counts[self._topics.changelog.name]) if (mark := self._mark_of(partition))
        ]
        if least < wanted:
            return least, bool(marks)
        return (marks[0], True) if marks else (wanted, False)

    def _require_stopped(self, *, is_drained: bool) -> None:
        topics, groups = self._topics, self._groups
        for who, group in (
            ("worker", groups.worker),
            ("sink", groups.sink_enriched),
            ("sink", groups.sink_rejected),
        ):
            described = cast("dict[str, Future[Any]]", self._admin.describe_consumer_groups([group]))  # pyright: ignore[reportUnknownMemberType]
            found = len(described[group].result(CALL_TIMEOUT_S).members)
            if found:
                raise TopicError(
                    f"group {group} has {found} member(s): stop every {who}; one with a "
                    "SCORELINE_INSTANCE_ID counts until SCORELINE_SESSION_TIMEOUT_S is over"
                )
        behind = 0 if is_drained else group_lag(self._settings, groups.worker, topics.raw.name)
        if behind:
            raise TopicError(
                f"{groups.worker} has {behind} records of {topics.raw.name} to read: stop all emitters, let the worker "
                "read them, then stop it and run this again"
            )

    def _raw_ends(self, count: int) -> list[int]:
        return [self._bounds(self._topics.raw, partition)[1] for partition in range(count)]

    def _bounds(self, topic: Topic, partition: int) -> tuple[int, int]:
        return self._reader.get_watermark_offsets(TopicPartition(topic.name, partition), timeout=CALL_TIMEOUT_S)

    def _grow(self, topic: Topic, counts: Mapping[str, int]) -> None:
        wanted = self._settings.partitions
        if counts[topic.name] == wanted:
            return
        futures = cast("dict[str, Future[None]]", self._admin.create_partitions([NewPartitions(topic.name, wanted)]))  # pyright: ignore[reportUnknownMemberType]
        futures[topic.name].result(CALL_TIMEOUT_S * 3)
        self._tell(f"{topic.name}: {wanted} partitions")

    def _mark_of(self, partition: int) -> str | None:
        """What the record says that keeps workers from this changelog partition; None: it has none."""
        found = self._first_record(self._topics.changelog, partition)
        return found[1].decode() if found is not None and found[0] == UNSEEDED else None

    def _mark(self, partition: int, before: int) -> None:
        if self._bounds_once_led(self._topics.changelog, partition) == (0, 0):
            self._write(self._topics.changelog, partition, UNSEEDED, str(before).encode())

    def _take_first_offset(self, partition: int) -> None:
        raw = self._topics.raw
        low, high = self._bounds_once_led(raw, partition)
        if low >= FIRST_OFFSET:
            return
        if high == 0:
            self._write(raw, partition, UNSEEDED, b"")
        found = self._first_record(raw, partition)
        if found is None or found[0] != UNSEEDED:
            raise TopicError(
                f"{raw.name}[{partition}] holds scores already: partitions were added by hand, or an emitter still "
                f"runs; what to do then is in {DOCUMENT}"
            )
        self._delete_before(raw, partition, FIRST_OFFSET)

    def _bounds_once_led(self, topic: Topic, partition: int) -> tuple[int, int]:
        return self._once_led(topic, lambda: self._bounds(topic, partition))

    def _once_led(self, topic: Topic, call: Callable[[], _T]) -> _T:
        """What `call` returns once Kafka knows the leader of partitions that were made a moment ago."""
        deadline = time.monotonic() + LED_S
        while True:
            try:
                return call()
            except KafkaException:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
                # else both go on believing in the number of partitions that they have heard of first
                self._reader.list_topics(topic.name, timeout=CALL_TIMEOUT_S)
                self._admin.list_topics(topic.name, timeout=CALL_TIMEOUT_S)

    def _first_record(self, topic: Topic, partition: int) -> tuple[bytes | None, bytes] | None:
        """Key and value of the oldest record; None: there is none."""
        low, high = self._bounds_once_led(topic, partition)
        if low == high:
            return None
        self._reader.assign([TopicPartition(topic.name, partition, low)])
        try:
            messages = self._reader.consume(1, CALL_TIMEOUT_S)
        finally:
            self._reader.unassign()
        if not messages:
            raise KafkaUnavailable(f"{topic.name}[{partition}] cannot be read; run the command again")
        if (error := messages[0].error()) is not None:
            raise KafkaException(error)
        return messages[0].key(), messages[0].value() or b""

    def _write(self, topic: Topic, partition: int, key: bytes, value: bytes) -> None:
        producer = Producer(client_options(self._settings, acks="all", message_timeout_ms=round(WRITE_S * 1000)))
        delivered: list[bool] = []
        producer.produce(
            topic.name, value, key, partition, on_delivery=lambda error, _: delivered.append(error is None)
        )
        producer.flush(WRITE_S)
        if delivered != [True]:
            raise KafkaUnavailable(f"{topic.name}[{partition}] does not take records yet; run the command again")

    def _delete_before(self, topic: Topic, partition: int, offset: int) -> None:
        at = TopicPartition(topic.name, partition, offset)

        def delete() -> None:
            deleted = cast("dict[TopicPartition, Future[Any]]", self._admin.delete_records([at]))  # pyright: ignore[reportUnknownMemberType]
            for future in deleted.values():
                future.result(CALL_TIMEOUT_S)

        self._once_led(topic, delete)

    def _seed(self, partition: int, source: int) -> int:
        if self._mark_of(partition) is None:
            return 0
        settings, topics = self._settings, self._topics
        raw_id = topic_id(settings, topics.raw.name)
        transactions = Transactions(settings, topics, self._groups.worker, partition, raw_id)
        try:
            transactions.open(lambda: False)
            seed = Seed(transactions)
            seed.write({})
            restore(settings, topics.changelog.name, source, seed, raw_id, lambda: False)
        finally:
            transactions.close()
        low, _ = self._bounds(topics.changelog, partition)
        self._delete_before(topics.changelog, partition, low + 1)
        self._tell(f"partition {partition}: {seed.entries:,} entries of partition {source}")
        return seed.entries


class Seed:
    """Takes what is restored from one changelog partition and commits it as the beginning of another."""

    changelog_next = 0
    raw_next = 0
    is_empty = True

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions
        self.entries = 0

    def write(self, entries: Mapping[bytes, bytes | None]) -> None:
        """Commit these entries. Raises KafkaException."""
        carried = {key: None if seen is None else carried_over(seen) for key, seen in entries.items()}
        self._transactions.begin(Outcome(entries=carried), FIRST_OFFSET)
        self._transactions.commit()
        self.entries += len(entries)

    def rebuild(self, why: str) -> None:
        """Never needed: nothing was read before."""
        raise AssertionError(why)
