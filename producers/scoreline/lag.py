"""How far a consumer group is behind its topic."""

from __future__ import annotations

import time

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from scoreline.kafka import client_options, error_of
from scoreline.settings import Settings
from scoreline.topics import declare_groups, declare_topics

_CALL_S_MAX = 5.0
_LOOK_S_MAX = 3.0
_PAUSE_S = 0.1
_COORDINATOR_IS_COMING = {
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
}
"""What a cluster answers for a moment after its first group or a dead broker."""


def pipeline_lag(settings: Settings) -> dict[str, int | None]:
    """Lag of worker and sink in records; None for one whose topic does not exist or when Kafka does not answer."""
    groups, topics = declare_groups(settings), declare_topics(settings)
    read_by = {
        "worker": ((groups.worker, topics.raw),),
        "sink": ((groups.sink_enriched, topics.enriched), (groups.sink_rejected, topics.rejected)),
    }
    lags: dict[str, int | None] = {}
    for process, lanes in read_by.items():
        try:
            lags[process] = sum([group_lag(settings, group, topic.name) for group, topic in lanes])
        except KafkaException:
            lags[process] = None
    return lags


def group_lag(settings: Settings, group: str, topic: str) -> int:
    """Records of `topic` that `group` has not committed yet.

    Counted as offsets, which includes the transaction markers between records; but a partition in which nothing
    except such markers is left counts 0, so that a group which has read everything has no lag.
    Raises KafkaException: the topic does not exist, or Kafka does not answer.
    """
    consumer = Consumer(
        client_options(
            settings,
            group_id=group,
            enable_auto_commit=False,
            enable_partition_eof=True,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            fetch_message_max_bytes=16_384,
            queued_max_messages_kbytes=64,
            fetch_wait_max_ms=50,
            log_level=0,
        )
    )
    try:
        behind = _behind(consumer, topic)
        unread = _unread(consumer, topic, {number: start for number, (start, _) in behind.items()})
        return sum(end - start for number, (start, end) in behind.items() if number in unread)
    finally:
        consumer.close()


def _behind(consumer: Consumer, topic: str) -> dict[int, tuple[int, int]]:
    """Partition → (next offset of the group, high watermark), where they differ."""
    metadata = consumer.list_topics(topic, timeout=_CALL_S_MAX).topics[topic]
    if metadata.error is not None:
        raise KafkaException(metadata.error)
    wanted = [TopicPartition(topic, number) for number in metadata.partitions]
    behind: dict[int, tuple[int, int]] = {}
    for committed in _committed(consumer, wanted):
        low, high = consumer.get_watermark_offsets(committed, timeout=_CALL_S_MAX)
        start = max(low, committed.offset)
        if start < high:
            behind[committed.partition] = (start, high)
    return behind


def _committed(consumer: Consumer, wanted: list[TopicPartition]) -> list[TopicPartition]:
    deadline = time.monotonic() + _CALL_S_MAX
    while True:
        try:
            return consumer.committed(wanted, timeout=_CALL_S_MAX)
        except KafkaException as error:
            if error_of(error).code() not in _COORDINATOR_IS_COMING or time.monotonic() > deadline:
                raise
        time.sleep(_PAUSE_S)


def _unread(consumer: Consumer, topic: str, starts: dict[int, int]) -> set[int]:
    """Those partitions that hold a record at or after their start; one that does not tell in time counts as such."""
    consumer.assign([TopicPartition(topic, number, start) for number, start in starts.items()])
    open_, unread = set(starts), set(starts)
    deadline = time.monotonic() + _LOOK_S_MAX
    while open_ and (wait_s := deadline - time.monotonic()) > 0:
        message = consumer.poll(wait_s)
        number = message.partition() if message else None
        if message is None or number is None:
            continue
        error = message.error()
        at_end = error is not None and error.code() == KafkaError._PARTITION_EOF  # pyright: ignore[reportPrivateUsage]
        if error is not None and not at_end:
            raise KafkaException(error)
        if at_end and number in open_:
            unread.discard(number)
        open_.discard(number)
        consumer.pause([TopicPartition(topic, number)])
    return unread
