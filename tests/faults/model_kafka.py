"""Kafka as the worker and the sink see it: logs, transactions with fencing, and clients that ask them.

A client here has those methods of confluent-kafka's that the product calls. What is modelled: records of an open or
aborted transaction are not visible, and nothing behind an open one is; markers take offsets; `init_transactions`
fences by epoch and aborts; an answer can be lost with the request done, not done, or done later, and a late EndTxn
ends whatever transaction its epoch then has open (KAFKA-14402); a transaction that lasts too long is aborted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from tests.faults.world import Process, World

TRANSACTION_TIMEOUT_S = 15.0
NO_OFFSET = -1001
T = TypeVar("T")
Headers = Sequence[tuple[str, bytes]]


@dataclass(eq=False)
class Transaction:
    """Records and offsets that become visible together or never."""

    epoch: int
    began: float
    state: str = "open"
    logs: set[tuple[str, int]] = field(default_factory=set)
    offsets: dict[tuple[str, str, int], tuple[int, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Entry:
    """What stands at one offset: a record, or the marker that ends a transaction."""

    key: bytes | None = None
    value: bytes | None = None
    headers: Headers = ()
    timestamp: int = 0
    transaction: Transaction | None = None
    marker: bool = False


@dataclass(frozen=True, slots=True)
class RawMessage:
    """A record as the worker's agent gets it."""

    key: bytes | None
    value: bytes | None
    offset: int
    timestamp: int
    headers: Headers


class Message:
    """A record, or an event of the consumer, as confluent-kafka hands it out."""

    def __init__(self, partition: int, offset: int, entry: Entry, error: KafkaError | None = None) -> None:
        self._partition, self._offset, self._entry, self._error = partition, offset, entry, error

    def error(self) -> KafkaError | None:
        return self._error

    def partition(self) -> int:
        return self._partition

    def offset(self) -> int:
        return self._offset

    def key(self) -> bytes | None:
        return self._entry.key

    def value(self) -> bytes | None:
        return self._entry.value

    def headers(self) -> Headers:
        return self._entry.headers

    def timestamp(self) -> tuple[int, int]:
        return 1, self._entry.timestamp


class Log:
    """One partition; the index of an entry is its offset."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self._stable = 0

    def stable_end(self) -> int:
        """Where a read_committed reader has to stop."""
        while self._stable < len(self.entries):
            transaction = self.entries[self._stable].transaction
            if transaction is not None and transaction.state == "open":
                break
            self._stable += 1
        return self._stable

    def committed(self, start: int = 0) -> Iterator[tuple[int, Entry]]:
        """(offset, entry) of every visible record from `start`."""
        for offset in range(start, self.stable_end()):
            entry = self.entries[offset]
            if not entry.marker and (entry.transaction is None or entry.transaction.state == "committed"):
                yield offset, entry


@dataclass(frozen=True, slots=True)
class GroupMetadata:
    """What a transaction says of the consumer whose offsets it commits."""

    group: str
    check: Callable[[], None] = lambda: None
    """Raises unless the coordinator still takes commits of this member."""


class Broker:
    """Logs, committed offsets and transactional ids. `faults` is how often a request or its answer is lost."""

    def __init__(self, world: World, faults: float) -> None:
        self.world = world
        self.faults = faults
        self.logs: defaultdict[tuple[str, int], Log] = defaultdict(Log)
        self.offsets: dict[tuple[str, str, int], tuple[int, str]] = {}
        """(group, topic, partition) → (offset, metadata)."""
        self._epochs: defaultdict[str, int] = defaultdict(int)
        self._open: dict[str, Transaction] = {}
        self._network = Process("network")

    def request(self, apply: Callable[[], T], *, can_be_late: bool = True) -> T:
        """Send one request that changes something; raises when there is no answer, whatever came of it."""
        self.world.step()
        self.expire()
        fate = self.world.random.random() / self.faults if self.faults else 1.0
        if fate >= 1.0:
            answer = apply()
            self.world.step()
            return answer
        if fate < 0.5:
            apply()
        elif fate < 0.7 and can_be_late:
            self.later(apply)
        self.world.step()
        raise no_answer()

    def later(self, apply: Callable[[], object]) -> None:
        """Do what a request asks for some time after its sender gave up."""
        delay = self.world.random.choice((0.0, 0.5, 12.0))

        def arrive() -> None:
            self.world.sleep(delay)
            try:
                apply()
            except KafkaException:
                """The refusal reaches nobody."""

        self.world.spawn(self._network, arrive)

    def expire(self) -> None:
        """Abort what is open for too long, and fence its producer."""
        for name, transaction in list(self._open.items()):
            if self.world.now - transaction.began > TRANSACTION_TIMEOUT_S:
                self.fence(name)

    def open_transactions(self) -> list[str]:
        """Transactional ids with one that is neither ended nor too old."""
        self.expire()
        return list(self._open)

    def fence(self, name: str) -> int:
        """A new epoch for a transactional id; what the old one has open is aborted."""
        self.end(name, self._epochs[name], "aborted")
        self._epochs[name] += 1
        return self._epochs[name]

    def check(self, name: str, epoch: int) -> None:
        if self._epochs[name] != epoch:
            raise KafkaException(KafkaError(KafkaError._FENCED, "a newer producer has this id", fatal=True))

    def transaction(self, name: str, epoch: int) -> Transaction:
        """The transaction that this producer has open; opened by the first request that needs it."""
        self.expire()
        self.check(name, epoch)
        if name not in self._open:
            self._open[name] = Transaction(epoch, self.world.now)
        return self._open[name]

    def append(self, transaction: Transaction | None, topic: str, partition: int, entry: Entry) -> int:
        """Write a record; returns its offset."""
        log = self.logs[topic, partition]
        log.entries.append(entry)
        if transaction is not None:
            transaction.logs.add((topic, partition))
        return len(log.entries) - 1

    def end(self, name: str, epoch: int, state: str) -> None:
        """Commit or abort whatever this epoch has open."""
        self.check(name, epoch)
        transaction = self._open.pop(name, None)
        if transaction is None:
            return
        self.finish(transaction, state)

    def finish(self, transaction: Transaction, state: str) -> None:
        transaction.state = state
        for log in sorted(transaction.logs):
            self.logs[log].entries.append(Entry(transaction=transaction, marker=True))
        if state == "committed":
            self.offsets |= transaction.offsets

    def unstable(self, key: tuple[str, str, int]) -> bool:
        """Whether an open transaction holds a new offset for this group and partition."""
        self.expire()
        return any(key in transaction.offsets for transaction in self._open.values())


class Producer:
    """A transactional producer."""

    def __init__(self, broker: Broker, config: Mapping[str, Any]) -> None:
        self._broker = broker
        self._name: str = config["transactional.id"]
        self._epoch = -1
        self._queue: list[tuple[str, int, Entry, Callable[..., None] | None]] = []

    def init_transactions(self, _timeout: float) -> None:
        self._epoch = self._broker.request(lambda: self._broker.fence(self._name))

    def begin_transaction(self) -> None:
        self._broker.world.step()

    def poll(self, _timeout: float) -> None:
        """Send some of what waits. There are no connections, and so none is lost."""
        if self._queue:
            self._broker.world.step()
            self._send(self._broker.world.random.randint(1, 20))

    def __len__(self) -> int:
        return len(self._queue)

    def produce(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None,
        partition: int,
        headers: Headers = (),
        on_delivery: Callable[..., None] | None = None,
    ) -> None:
        self._queue.append((topic, partition, Entry(key, value, headers), on_delivery))
        if self._broker.world.chance(0.2):
            self._broker.world.step()
            self._send(1)

    def send_offsets_to_transaction(
        self, positions: list[TopicPartition], member: GroupMetadata, _timeout: float
    ) -> None:
        epoch = self._epoch

        def apply() -> None:
            transaction = self._broker.transaction(self._name, epoch)
            member.check()
            for at in positions:
                transaction.offsets[member.group, at.topic, at.partition] = (at.offset, at.metadata or "")

        self._broker.request(apply)

    def commit_transaction(self, _timeout: float) -> None:
        while self._queue:
            self._broker.world.step()
            if self._broker.world.chance(self._broker.faults / 2):
                raise no_answer()
            self._send(self._broker.world.random.randint(1, 20))
        epoch = self._epoch
        self._broker.request(lambda: self._broker.end(self._name, epoch, "committed"))

    def purge(self) -> None:
        self._queue.clear()

    def _send(self, records: int) -> None:
        sent, self._queue = self._queue[:records], self._queue[records:]
        for topic, partition, entry, on_delivery in sent:
            transaction = self._broker.transaction(self._name, self._epoch)
            written = Entry(entry.key, entry.value, entry.headers, 0, transaction)
            offset = self._broker.append(transaction, topic, partition, written)
            if on_delivery is not None:
                on_delivery(None, Message(partition, offset, written))


class Reader:
    """A read_committed consumer that is told what to read."""

    def __init__(self, broker: Broker, config: Mapping[str, Any]) -> None:
        self.broker = broker
        self.group: str = config["group.id"]
        self._positions: dict[tuple[str, int], int] = {}
        self._ends: dict[tuple[str, int], int] = {}
        self._paused = False
        self._fetched_at = 0.0
        """When the first records arrive."""

    def consumer_group_metadata(self) -> GroupMetadata:
        return GroupMetadata(self.group)

    def committed(self, positions: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        """Committed offsets; waits for stable ones."""
        self.broker.world.step()
        answers = [self._committed(at, timeout) for at in positions]
        self.broker.world.step()
        if self.broker.world.chance(self.broker.faults):
            raise no_answer()
        return answers

    def _committed(self, at: TopicPartition, timeout: float) -> TopicPartition:
        key = (self.group, at.topic, at.partition)
        if not self.broker.world.wait(lambda: not self.broker.unstable(key), timeout):
            raise no_answer()
        offset, metadata = self.broker.offsets.get(key, (NO_OFFSET, ""))
        return TopicPartition(at.topic, at.partition, offset, metadata=metadata)

    def get_watermark_offsets(self, at: TopicPartition, cached: bool = False, **_timeout: float) -> tuple[int, int]:
        if not cached:
            self.broker.world.step()
        return 0, self.broker.logs[at.topic, at.partition].stable_end()

    def assign(self, positions: list[TopicPartition]) -> None:
        self._positions = {(at.topic, at.partition): at.offset for at in positions}
        self._ends = {}
        self._paused = False
        self._fetched_at = self.broker.world.now + self.broker.world.random.choice((0.0, 0.01, 0.4))

    def unassign(self) -> None:
        self._positions = {}

    def assignment(self) -> list[TopicPartition]:
        return [TopicPartition(topic, partition) for topic, partition in self._positions]

    def pause(self, _positions: list[TopicPartition]) -> None:
        self._paused = True

    def resume(self, _positions: list[TopicPartition]) -> None:
        self._paused = False

    def consume(self, messages_max: int, timeout: float) -> list[Message]:
        """Some of what there is, partitions in any order, and an event wherever an end is reached."""
        self.broker.world.step()
        self.broker.world.wait(self._has_some, timeout)
        wanted = self.broker.world.random.randint(1, messages_max) if messages_max < 50 else messages_max
        found: list[Message] = []
        partitions = list(self._positions)
        self.broker.world.random.shuffle(partitions)
        for at in partitions if self._has_some() else ():
            if self._has_more(at) and len(found) < wanted:
                found += self._read(at, self.broker.world.random.randint(1, wanted - len(found)))
        return found

    def close(self) -> None:
        self._positions = {}

    def _has_some(self) -> bool:
        self.broker.expire()
        return self.broker.world.now >= self._fetched_at and any(self._has_more(at) for at in self._positions)

    def _has_more(self, at: tuple[str, int]) -> bool:
        return not self._paused and self._ends.get(at, -1) != self.broker.logs[at].stable_end()

    def _read(self, at: tuple[str, int], messages_max: int) -> list[Message]:
        log, partition = self.broker.logs[at], at[1]
        found: list[Message] = []
        for offset, entry in log.committed(self._positions[at]):
            if len(found) == messages_max:
                return found
            found.append(Message(partition, offset, entry))
            self._positions[at] = offset + 1
        if len(found) == messages_max:
            return found
        self._positions[at] = self._ends[at] = log.stable_end()
        end = KafkaError(KafkaError._PARTITION_EOF, "end of partition")
        return [*found, Message(partition, self._positions[at], Entry(), end)]


def no_answer() -> KafkaException:
    return KafkaException(KafkaError(KafkaError._TIMED_OUT, "no answer", retriable=True))
