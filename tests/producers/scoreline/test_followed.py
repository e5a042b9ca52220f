"""A compacted topic in memory, on a real broker."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from scoreline import followed as module
from scoreline.configs import ScoreConfig, decode_config, encode_config
from scoreline.errors import KafkaUnavailable, TopicError
from scoreline.events import DataType
from scoreline.followed import Followed
from scoreline.kafka import client_options, ensure_topics
from scoreline.settings import Settings
from scoreline.topics import Topics, declare_topics
from tests.support import eventually, produce


@pytest.fixture
def topics(settings: Settings) -> Topics:
    ensure_topics(settings)
    return declare_topics(settings)


def config(config_id: str, version: int = 1) -> ScoreConfig:
    return ScoreConfig(id=config_id, name="accuracy", data_type=DataType.NUMERIC, version=version)


@contextmanager
def following(
    settings: Settings, topic: str, decode: Callable[[bytes], ScoreConfig] = decode_config
) -> Iterator[Followed[ScoreConfig]]:
    followed = Followed(settings, topic, decode)
    followed.start()
    try:
        yield followed
    finally:
        followed.stop()


def test_newest_entries_are_followed_and_bad_records_reported_once(
    settings: Settings, topics: Topics, caplog: pytest.LogCaptureFixture
) -> None:
    """Tombstones forget, older versions are no entries, and what cannot be read stalls nothing."""
    name, a, b = topics.configs.name, config("a"), config("b", 2)
    with following(settings, name) as followed:
        produce(settings, name, [(a.key, encode_config(a)), (b.key, encode_config(b)), (b.version_key, b"{")])
        produce(settings, name, [(b"default/bad", b"{"), (b"default/c", encode_config(a)), (a.key, None)])
        followed.catch_up()
        assert followed.entries == {b.key: b}
        followed.catch_up()
        followed.check(10)
    assert [record.levelname for record in caplog.records if "ignored" in record.message] == ["ERROR", "ERROR"]


def test_entry_of_an_open_transaction_is_not_waited_for(settings: Settings, topics: Topics) -> None:
    """Nobody has got an acknowledgement for it yet; once it is committed it is heard."""
    name, a = topics.configs.name, config("a")
    producer = Producer(client_options(settings, transactional_id=f"{name}.test"))
    producer.init_transactions(30)
    with following(settings, name) as followed:
        for committed in (False, True):
            producer.begin_transaction()
            producer.produce(name, encode_config(a), a.key)
            producer.flush(30)
            followed.catch_up()
            assert followed.entries == {}
            followed.check(10)
            if committed:
                producer.commit_transaction(30)
            else:
                producer.abort_transaction(30)
        eventually(lambda: followed.entries == {a.key: a}, "the committed entry is heard")


def test_dead_thread_is_noticed(settings: Settings, topics: Topics) -> None:
    """A bug in decoding must not leave a worker with frozen configs."""

    def broken(_value: bytes) -> ScoreConfig:
        raise RuntimeError("a bug")

    with following(settings, topics.configs.name, broken) as followed:
        followed.check(10)
        produce(settings, topics.configs.name, [(b"default/a", b"{}")])
        with pytest.raises(KafkaUnavailable, match="a bug"):
            followed.catch_up()
        with pytest.raises(KafkaUnavailable, match="a bug"):
            followed.check(10)


def test_deleted_topic_is_noticed(settings: Settings, topics: Topics, monkeypatch: pytest.MonkeyPatch) -> None:
    """librdkafka would go on to wait for it without end."""
    monkeypatch.setattr(module, "CALL_TIMEOUT_S", 2.0)
    with following(settings, topics.configs.name) as followed:
        followed.catch_up()
        admin = AdminClient(client_options(settings))
        admin.delete_topics([topics.configs.name])[topics.configs.name].result(30)

        def is_noticed() -> bool:
            try:
                followed.check(1000)
            except TopicError as error:
                return "create it with: scoreline topics" in str(error)
            return False

        eventually(is_noticed, "the deleted topic is noticed")


def test_topic_that_is_not_read_on_is_noticed(
    settings: Settings, topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Entries wait and the position stands still, for whatever reason."""
    followed = Followed(settings, topics.configs.name, decode_config)
    produce(settings, topics.configs.name, [(b"default/a", b"{}")])
    followed.check(10)
    later = time.monotonic() + 11
    monkeypatch.setattr(module.time, "monotonic", lambda: later)
    with pytest.raises(KafkaUnavailable, match="read up to 0 of 1"):
        followed.check(10)
    monkeypatch.undo()
    followed.stop()
