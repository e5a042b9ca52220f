"""Topics on a real broker: made once as declared, and refused when they are not."""

from __future__ import annotations

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from scoreline import kafka
from scoreline.access import Component
from scoreline.errors import KafkaUnavailable, TopicError
from scoreline.kafka import client_options, ensure_topics, require_topics
from scoreline.settings import Settings
from scoreline.topics import declare_topics


def test_topics_are_created_once_as_declared(settings: Settings) -> None:
    """The second call finds everything; a worker's check is content with it."""
    with pytest.raises(TopicError, match="scoreline topics"):
        require_topics(settings, Component.WORKER)
    assert all(report.created for report in ensure_topics(settings))
    assert not any(report.created for report in ensure_topics(settings))
    require_topics(settings, Component.WORKER)


def test_topic_with_other_partitions_is_refused(settings: Settings) -> None:
    """More partitions on a keyed topic break deduplication; the message says so."""
    ensure_topics(settings)
    with pytest.raises(TopicError, match="partitions"):
        ensure_topics(settings.model_copy(update={"partitions": 8}))


def test_topic_with_other_settings_is_refused(settings: Settings) -> None:
    """A configs topic that is not compacted would lose configs to retention."""
    admin = AdminClient(client_options(settings))
    name = declare_topics(settings).configs.name
    admin.create_topics([NewTopic(name, 1, 1, config={"cleanup.policy": "delete"})])[name].result(30)
    with pytest.raises(TopicError, match=r"cleanup\.policy=delete, compact is declared"):
        ensure_topics(settings)


def test_broker_that_is_away_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Address and setting stand in the message."""
    monkeypatch.setattr(kafka, "CALL_TIMEOUT_S", 1.0)
    with pytest.raises(KafkaUnavailable, match=r"127\.0\.0\.1:1 \(SCORELINE_KAFKA\)"):
        require_topics(Settings(kafka="127.0.0.1:1"), Component.WORKER)


def test_kafka_options_pass_through() -> None:
    """They win over ours, and an unknown one is an error of librdkafka, not ignored."""
    options = client_options(Settings(kafka_options={"linger.ms": "77", "ssl.ca.location": "x"}), linger_ms=5)
    assert (options["linger.ms"], options["ssl.ca.location"]) == ("77", "x")
