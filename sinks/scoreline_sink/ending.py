"""The end of a plan with refused records: its dead letters and its offsets in one Kafka transaction.

Before it, the plan stands in the committed metadata and no letter is visible: the successor settles the plan, is
refused the same rows and writes the same letters. After it, the plan is gone and the letters are there. So no crash
makes two letters of one record, or none.

What keeps two processes from both doing it is the group's generation, which the coordinator checks when the offsets
are put into the transaction: whoever lost its partitions since is refused, and its letters never become visible. What
keeps one process from doing it twice is that the transaction is asked to commit only after its offsets were accepted:
from then on a read of the committed offsets waits until it is decided. So a process that does not learn the outcome
reads the offsets again, as after a rebalance, and either finds the plan or not. The transactional id is that of the
lowest partition which the process owns. It fences nobody who still has a right to commit; it lets the next attempt,
whatever plans it ends, abort at once what this one left open.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from threading import Event
from typing import Any

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from scoreline.errors import KafkaUnavailable
from scoreline.kafka import CALL_TIMEOUT_S, client_options, error_of
from scoreline.settings import Settings
from scoreline.topics import REJECTED_BYTES_MAX, declare_topics
from scoreline_sink.consuming import translate
from scoreline_sink.flight import begin
from scoreline_sink.letters import Letter
from scoreline_sink.route import Route

TRANSACTION_TIMEOUT_MS = 15_000
TRANSACTION_S = 45.0
"""How long all calls may take together; librdkafka keeps no bound of its own while a broker restarts."""


class TransactionInDoubt(KafkaUnavailable):
    """The transaction may have been committed or not; only the committed offsets can tell."""


def end_with_letters(
    settings: Settings,
    route: Route,
    consumer: Consumer,
    owned: int,
    offsets: Mapping[int, tuple[int, str]],
    letters: Sequence[Letter],
) -> None:
    """Write the letters and commit partition → (offset, metadata), both or neither; `owned` is the lowest partition.

    Raises TransactionInDoubt when the outcome is unknown; ConflictingOwner when it was refused, else as `translate`:
    then neither has happened.
    """
    positions = [TopicPartition(route.topic, p, offset, metadata=plan) for p, (offset, plan) in offsets.items()]
    member = consumer.consumer_group_metadata()
    transactional_id = f"{route.group}.{route.topic}.{owned}"
    work = begin(lambda cancelled: _transact(settings, route, transactional_id, positions, member, letters, cancelled))
    if not work.landed(TRANSACTION_S):
        work.cancelled.set()
        raise TransactionInDoubt(f"{route.topic}: the transaction of {len(letters)} dead letters is not answered")


def _transact(
    settings: Settings,
    route: Route,
    transactional_id: str,
    positions: list[TopicPartition],
    member: Any,
    letters: Sequence[Letter],
    cancelled: Event,
) -> None:
    topic = declare_topics(settings).rejected.name
    producer = Producer(
        client_options(
            settings,
            transactional_id=transactional_id,
            transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
            compression_type="lz4",
            message_max_bytes=REJECTED_BYTES_MAX,
            queue_buffering_max_kbytes=2_000_000,
            # the default of 100 ms is waited for while the markers of the transaction before are written
            retry_backoff_ms=5,
        )
    )
    try:
        producer.init_transactions(CALL_TIMEOUT_S)
        producer.begin_transaction()
        for letter in letters:
            producer.produce(topic, letter.value, letter.key, letter.partition, headers=letter.headers)
        producer.send_offsets_to_transaction(positions, member, CALL_TIMEOUT_S)
        # Given up meanwhile: the offsets may have been read again before these were accepted.
        if not cancelled.is_set():
            producer.commit_transaction(CALL_TIMEOUT_S)
    except KafkaException as error:
        translated = translate(error_of(error), route.topic)
        if isinstance(translated, KafkaUnavailable):
            raise TransactionInDoubt(str(translated)) from error
        raise translated from error
    finally:
        producer.purge()
