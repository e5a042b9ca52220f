"""How far a consumer group is behind, on a real broker."""

from __future__ import annotations

import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from scoreline.lag import group_lag, pipeline_lag
from scoreline.settings import Settings

GROUP = "lag-test"


@pytest.fixture
def topic(settings: Settings) -> str:
    """A topic of two partitions."""
    name = f"{settings.topic_prefix}lag"
    admin = AdminClient({"bootstrap.servers": settings.kafka})
    admin.create_topics([NewTopic(name, 2, 1)])[name].result(30)
    return name


def _commit(settings: Settings, topic: str, partition: int, offset: int) -> None:
    consumer = Consumer({"bootstrap.servers": settings.kafka, "group.id": settings.topic_prefix + GROUP})
    try:
        consumer.commit(offsets=[TopicPartition(topic, partition, offset)], asynchronous=False)
    finally:
        consumer.close()


def _lag(settings: Settings, topic: str) -> int:
    return group_lag(settings, settings.topic_prefix + GROUP, topic)


def test_group_without_commits_has_everything_before_it(settings: Settings, topic: str) -> None:
    """Then its commits count, partition by partition."""
    producer = Producer({"bootstrap.servers": settings.kafka})
    for partition, count in ((0, 3), (1, 5)):
        for _ in range(count):
            producer.produce(topic, b"x", partition=partition)
    assert producer.flush(30) == 0
    assert _lag(settings, topic) == 8
    _commit(settings, topic, 1, 4)
    assert _lag(settings, topic) == 4
    _commit(settings, topic, 0, 3)
    _commit(settings, topic, 1, 5)
    assert _lag(settings, topic) == 0


def test_group_that_has_read_every_record_has_no_lag_behind_transaction_markers(settings: Settings, topic: str) -> None:
    """A commit marker takes an offset that no reader ever gets, so offsets alone would never say 0."""
    options = {"bootstrap.servers": settings.kafka, "transactional.id": f"{settings.topic_prefix}lag"}
    producer = Producer(options)
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(topic, b"x", partition=0)
    producer.commit_transaction(30)
    assert _lag(settings, topic) == 2
    _commit(settings, topic, 0, 1)
    assert _lag(settings, topic) == 0
    producer.begin_transaction()
    producer.produce(topic, b"x", partition=0)
    producer.commit_transaction(30)
    assert _lag(settings, topic) == 3


def test_topic_that_does_not_exist_has_no_lag_to_tell(settings: Settings) -> None:
    """Before `scoreline topics` has run, status says null and does not fail."""
    with pytest.raises(KafkaException):
        _lag(settings, f"{settings.topic_prefix}nowhere")
    assert pipeline_lag(settings) == {"worker": None, "sink": None}
