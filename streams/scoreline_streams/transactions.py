"""One Kafka transaction per batch: enriched, rejected, changelog and the input offset, all or none."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from scoreline.dead_letters import carry
from scoreline.errors import KafkaUnavailable
from scoreline.kafka import CALL_TIMEOUT_S, client_options, error_of
from scoreline.rejections import rejection_headers
from scoreline.settings import Settings
from scoreline.topics import REJECTED_BYTES_MAX, Topics
from scoreline.tracing import TRACEPARENT
from scoreline_streams.batch import Outcome
from scoreline_streams.changelog import FORMAT, pack, pack_position

log = logging.getLogger(__name__)

TRANSACTION_TIMEOUT_MS = 15_000
OPEN_DEADLINE_S = 90.0
REQUEST_BYTES_MAX = 1_000_000
"""Keys and values of one produce request. No topic takes less (`RAW_BYTES_MAX`)."""
LINGER_MS = 5000
"""Longer than requests take that are full. What does not fill one is sent by the commit, at once."""
WHOLE_REQUESTS_S_MAX = 2.0


class _Connections:
    """librdkafka's log of one producer, which alone tells of a lost connection.

    What was sent on it may still arrive, and librdkafka sends it again under the same epoch without a word. Its second
    identical message within half a minute it keeps to itself, so the first one must have consequences.
    """

    def __init__(self) -> None:
        self.lost: str | None = None
        """The first loss of a connection on which something may have been sent."""

    def log(self, level: int, form: str, *parts: str) -> None:
        logging.getLogger("scoreline.librdkafka").log(level, form, *parts)
        if parts[0] == "FAIL" and "Connect to" not in parts[-1]:
            self.lost = self.lost or parts[-1]


class Transactions:
    """The transactional producer of one input partition, and where its input continues.

    Its transactional id is the partition's alone, so opening it fences whoever owned the partition before; only then
    is the committed offset read, and it is final. One transaction is open at a time. After an error whose outcome is
    unknown the object is dropped and a new one opened: librdkafka must not retry EndTxn on the same epoch.
    """

    def __init__(self, settings: Settings, topics: Topics, group: str, partition: int, raw_id: str) -> None:
        """`raw_id` is the id that Kafka gave the raw topic."""
        self._settings = settings
        self._raw_id = raw_id
        self._topics = topics
        self._group = group
        self.partition = partition
        self._connections = _Connections()
        self._producer = Producer(
            client_options(
                settings,
                transactional_id=f"{group}.{topics.raw.name}.{partition}",
                transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
                compression_type="lz4",
                linger_ms=LINGER_MS,
                batch_size=REQUEST_BYTES_MAX,
                message_max_bytes=REJECTED_BYTES_MAX,
                queue_buffering_max_messages=2 * settings.batch_events_max + 1000,
                queue_buffering_max_kbytes=1_000_000,
                # the default of 100 ms is waited for after every commit, until the markers are written
                retry_backoff_ms=2,
            )
            | {"logger": self._connections}
        )
        self._member = Consumer(
            client_options(
                settings,
                group_id=group,
                isolation_level="read_committed",
                enable_auto_commit=False,
                auto_offset_reset="error",
            )
        )
        self._metadata = self._member.consumer_group_metadata()
        self.changelog_end: int | None = None
        """Offset behind the last committed changelog record of this producer."""
        self.raw_end: int | None = None
        """Raw offset behind the last batch that this producer committed."""
        self._changelog_sent: int | None = None
        self._next_offset = 0
        self._last_request = 0

    def open(self, closed: Callable[[], bool]) -> int:
        """Fence the previous owner; returns the raw offset at which to continue.

        Raises KafkaException (fenced, fatal) and KafkaUnavailable.
        """
        deadline = time.monotonic() + OPEN_DEADLINE_S
        while True:
            try:
                self._producer.init_transactions(CALL_TIMEOUT_S)
                break
            except KafkaException as error:
                reason = error_of(error)
                if closed() or reason.fatal() or not reason.retriable():
                    raise
                if time.monotonic() > deadline:
                    raise KafkaUnavailable(f"init_transactions: {reason.str()}") from error
        return self._committed_offset(deadline)

    def _committed_offset(self, deadline: float) -> int:
        """The group's offset. A read_committed consumer asks for a stable one and librdkafka waits for it."""
        raw = TopicPartition(self._topics.raw.name, self.partition)
        while True:
            try:
                [committed] = self._member.committed([raw], timeout=CALL_TIMEOUT_S)
                if committed.error is not None:
                    raise KafkaException(committed.error)
                return committed.offset if committed.offset >= 0 else self.log_start()
            except KafkaException as error:
                if time.monotonic() > deadline:
                    raise KafkaUnavailable(f"committed offset: {error_of(error).str()}") from error
                time.sleep(0.1)

    def log_start(self) -> int:
        """The lowest offset that the raw partition still holds. Raises KafkaException."""
        return self._watermarks()[0]

    def log_end(self) -> int:
        """The offset that the next raw record will get. Raises KafkaException."""
        return self._watermarks()[1]

    def first_record(self, offset: int) -> int | None:
        """Offset of the first raw record at or behind `offset`; None when none comes in time. Raises KafkaException."""
        self._member.assign([TopicPartition(self._topics.raw.name, self.partition, offset)])
        try:
            messages = self._member.consume(1, CALL_TIMEOUT_S)
        finally:
            self._member.unassign()
        if not messages:
            return None
        error = messages[0].error()
        if error is not None:
            raise KafkaException(error)
        return messages[0].offset()

    def _watermarks(self) -> tuple[int, int]:
        raw = TopicPartition(self._topics.raw.name, self.partition)
        return self._member.get_watermark_offsets(raw, timeout=CALL_TIMEOUT_S)

    def begin(self, outcome: Outcome, next_offset: int) -> None:
        """Open a transaction and hand everything the batch writes to librdkafka. Raises KafkaException.

        `next_offset` is the raw offset behind the batch.
        """
        self._next_offset = next_offset
        producer, partition = self._producer, self.partition
        producer.begin_transaction()
        self._changelog_sent = None
        produce, enriched = producer.produce, self._topics.enriched.name
        if outcome.parents:
            self._produce_linked(outcome)
        else:
            for key, value in outcome.enriched:
                produce(enriched, value, key, partition)
        self._last_request = fitting(outcome.enriched) + len(outcome.rejected)
        for letter in outcome.rejected:
            record = letter.record
            key, value, headers = carry(record.key, record.value, record.headers)
            headers += rejection_headers(letter.rejection, letter.origin)
            producer.produce(self._topics.rejected.name, value, key, partition, headers=headers)
        self._produce_changelog(pack(outcome.entries))

    def _produce_linked(self, outcome: Outcome) -> None:
        for place, (key, value) in enumerate(outcome.enriched):
            parent = outcome.parents.get(place)
            headers: dict[str, str | bytes | None] = {} if parent is None else {TRACEPARENT: parent}
            self._producer.produce(self._topics.enriched.name, value, key, self.partition, headers=headers)

    def _produce_changelog(self, values: Iterable[bytes]) -> None:
        headers = pack_position(self._raw_id, self._next_offset)
        for value in values:
            self._last_request += 1
            self._producer.produce(
                self._topics.changelog.name,
                value,
                FORMAT,
                self.partition,
                on_delivery=self._changelog_delivered,
                headers=list(headers),
            )

    def _changelog_delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is None:
            self._changelog_sent = message.offset()

    def commit(self) -> None:
        """Put the input offset into the transaction and commit; blocking.

        Raises KafkaException; also when it committed, but something sent before may arrive late and end or change the
        next transaction of this producer's epoch. Only a new epoch fences that.
        """
        raw = TopicPartition(self._topics.raw.name, self.partition, self._next_offset)
        self._producer.send_offsets_to_transaction([raw], self._metadata, CALL_TIMEOUT_S)
        self._send_whole_requests()
        self._producer.commit_transaction(CALL_TIMEOUT_S)
        self._producer.poll(0)  # hands over what librdkafka has logged
        if self._connections.lost is not None:
            raise KafkaException(KafkaError(KafkaError._TRANSPORT, self._connections.lost))  # pyright: ignore[reportPrivateUsage]
        self.raw_end = self._next_offset
        if self._changelog_sent is not None:
            self.changelog_end = self._changelog_sent + 1

    def _send_whole_requests(self) -> None:
        """Return when the rest of the enriched records fits into one request, or late.

        An idempotent producer has one request of a partition under way. While more waits behind it, librdkafka's thread
        sleeps, but not during a flush, and a commit is one: then it goes round all partitions without a pause until
        the broker answers, on a core that the broker may lack.
        """
        deadline = time.monotonic() + WHOLE_REQUESTS_S_MAX
        while len(self._producer) > self._last_request and (left_s := deadline - time.monotonic()) > 0:
            self._producer.poll(left_s)

    def close(self) -> None:
        """Drop what is unsent. An open transaction is aborted by the successor's `open`."""
        self._producer.purge()
        self._member.close()


def fitting(records: Sequence[tuple[bytes | None, bytes]]) -> int:
    """How many of the last records can be left when no request is full."""
    size = 0
    for count, (key, value) in enumerate(reversed(records)):
        size += len(key or b"") + len(value)
        if size >= REQUEST_BYTES_MAX:
            return count
    return len(records)
