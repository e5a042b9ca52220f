"""Delivery through every trouble that a real broker can make: what was accepted is on the topic once."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from scoreline.client import Client
from scoreline.delivery import Acknowledgement
from scoreline.errors import InvalidScore, KafkaUnavailable, PermanentError, QueueFull, ScorelineError
from scoreline.kafka import client_options, ensure_topics
from scoreline.settings import Settings
from scoreline.topics import declare_topics
from tests.conftest import Stack
from tests.producers.scoreline.emitting import broker_pid, frozen, ids_on, start
from tests.support import eventually, raise_fatally, read_topic

Outcome = Acknowledgement | ScorelineError

IMPATIENT = {"socket.timeout.ms": "2000", "reconnect.backoff.max.ms": "500"}
"""Requests time out and are sent again while a test lasts; by default it takes a minute."""


def emit(client: Client, *ids: str) -> None:
    for score_id in ids:
        client.create_score(name="n", value=1, trace_id="t", score_id=score_id)


def numbered(tag: str, count: int) -> list[str]:
    return [f"{tag}-{number:06d}" for number in range(count)]


@pytest.fixture
def topics(settings: Settings) -> Settings:
    ensure_topics(settings)
    return settings


@pytest.fixture
def broker(stack: Stack) -> int:
    return broker_pid(stack.data_dir)


@pytest.mark.parametrize("queue_wait_s", [0.0, 0.5])
@pytest.mark.parametrize("kept", ["memory", "spool"])
def test_full_queue_is_an_error_at_once_or_after_a_wait_as_chosen(
    topics: Settings, broker: int, tmp_path: Path, queue_wait_s: float, kept: str
) -> None:
    """When the broker is back all that was accepted arrives, and nothing that raised, also not from the disk."""
    spool_dir = tmp_path / "spool" if kept == "spool" else None
    small = topics.model_copy(
        update={"queue_events_max": 20, "queue_wait_s": queue_wait_s, "spool_dir": spool_dir, "flush_s": 20.0}
    )
    with Client(small) as client:
        with frozen(broker):
            emit(client, *numbered("taken", 20))
            began = time.monotonic()
            for _ in range(3):
                with pytest.raises(QueueFull, match="SCORELINE_QUEUE_EVENTS_MAX"):
                    emit(client, "refused")
            waited_s = time.monotonic() - began
        assert waited_s >= 3 * queue_wait_s
        assert queue_wait_s or waited_s < 0.2
        eventually(lambda: client.flush(1) == 0, "the queue is empty")
        assert (client.delivery.sent, client.delivery.acknowledged) == (20, 20)
    assert ids_on(topics) == numbered("taken", 20)


def test_waiting_caller_goes_on_when_there_is_room(topics: Settings) -> None:
    """Backpressure: a caller faster than the broker waits, and nothing raises."""
    with Client(topics.model_copy(update={"queue_events_max": 10})) as client:
        emit(client, *numbered("s", 500))
    assert ids_on(topics) == numbered("s", 500)


def test_missing_topic_is_named_with_its_remedy_and_then_written_to(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither silence nor loss: a warning within seconds, an error when the queue is full, delivery once it is made."""
    small = settings.model_copy(update={"queue_events_max": 100, "queue_wait_s": 0.0})
    raw = declare_topics(settings).raw.name
    with Client(small) as client:
        emit(client, *numbered("early", 60))
        eventually(lambda: f"topic {raw} does not exist" in caplog.text, "a warning")
        assert "create it with: scoreline topics" in caplog.text
        emit(client, *numbered("held", 40))
        with pytest.raises(QueueFull, match="scoreline topics"):
            emit(client, "refused")
        ensure_topics(settings)
        eventually(lambda: client.flush(1) == 0, "everything is sent")
    assert ids_on(settings) == numbered("early", 60) + numbered("held", 40)


def test_missing_topic_is_why_scores_were_lost_at_exit(settings: Settings) -> None:
    """The error of closing says what to do, not that the broker is down."""
    client = Client(settings.model_copy(update={"flush_s": 7.0}))
    emit(client, "s")
    with pytest.raises(KafkaUnavailable, match=r"1 scores .* scoreline topics"):
        client.close()


def test_topic_deleted_and_made_again_under_a_client_is_written_to(topics: Settings) -> None:
    """Scores that were taken meanwhile go to the new topic."""
    admin = AdminClient(client_options(topics))
    raw = declare_topics(topics).raw.name
    with Client(topics) as client:
        emit(client, "before")
        assert client.flush(10) == 0
        admin.delete_topics([raw])[raw].result(30)
        eventually(lambda: raw not in admin.list_topics(timeout=10).topics, "the topic is deleted")
        emit(client, *numbered("gone", 10))
        client.flush(8)
        ensure_topics(topics)
        emit(client, *numbered("again", 10))
        eventually(lambda: client.flush(1) == 0, "everything is sent")
    assert ids_on(topics) == numbered("again", 10) + numbered("gone", 10)


def test_fatal_error_of_the_producer_costs_nothing(topics: Settings, caplog: pytest.LogCaptureFixture) -> None:
    """A new producer takes over what the dead one had not got acknowledged, twice in one life of a client."""
    slow = topics.model_copy(update={"kafka_options": {"linger.ms": "300"}})
    with Client(slow) as client:
        for round_ in "ab":
            emit(client, *numbered(round_, 300))
            raise_fatally(client._outbox._producer)
            emit(client, *numbered(f"{round_}-after", 300))
            eventually(lambda: client.flush(1) == 0, "everything is sent")
        assert (client.delivery.sent, client.delivery.acknowledged, client.delivery.failed) == (1200, 1200, 0)
    assert "a new Kafka producer takes over" in caplog.text
    assert ids_on(topics) == sorted(x for tag in ("a", "a-after", "b", "b-after") for x in numbered(tag, 300))


def test_record_that_the_broker_refuses_costs_none_of_its_neighbours(
    topics: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A batch is refused as a whole; each of its records is tried alone before it is given up."""
    raw = declare_topics(topics).raw.name
    limit = ConfigEntry("max.message.bytes", "20000", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, raw, incremental_configs=[limit])
    admin = AdminClient(client_options(topics))
    admin.incremental_alter_configs([resource])[resource].result(10)
    spooled = topics.model_copy(update={"spool_dir": tmp_path / "spool", "kafka_options": {"linger.ms": "200"}})
    with Client(spooled) as client:
        emit(client, *numbered("before", 20))
        client.create_score(name="n", value=1, trace_id="t", score_id="huge", comment=os.urandom(30_000).hex())
        emit(client, *numbered("after", 20))
        eventually(lambda: client.flush(1) == 0, "everything is settled")
        assert (client.delivery.acknowledged, client.delivery.failed) == (40, 1)
    assert "score b'default/huge' was given up" in caplog.text
    assert ids_on(topics) == numbered("after", 20) + numbered("before", 20)
    assert list((tmp_path / "spool").iterdir()) == []


@pytest.mark.parametrize("kept", ["memory", "spool"])
def test_record_longer_than_any_may_be_raises_and_is_not_taken(topics: Settings, tmp_path: Path, kept: str) -> None:
    """Also one that is sent unchecked."""
    with Client(topics.model_copy(update={"spool_dir": tmp_path if kept == "spool" else None})) as client:
        with pytest.raises(InvalidScore, match="too_large"):
            client.send(b"default/x", b"x" * 2_000_000)
        assert (client.delivery.sent, client.flush(5)) == (0, 0)
    assert list(tmp_path.iterdir()) == []


def test_user_may_bound_how_long_a_score_waits(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """`message.timeout.ms` in SCORELINE_KAFKA_OPTIONS wins; what is given up then is counted, logged and on disk."""
    client = Client(
        Settings(
            kafka="127.0.0.1:1", kafka_options={"message.timeout.ms": "300"}, spool_dir=tmp_path, queue_events_max=10
        )
    )
    emit(client, "s")
    eventually(lambda: client.delivery.failed == 1, "the score is given up")
    assert "score b'default/s' was given up" in caplog.text
    client.close()
    assert [path.stat().st_size > 0 for path in tmp_path.iterdir()] == [True]


def test_broker_frozen_under_load_writes_nothing_twice(topics: Settings, broker: int) -> None:
    """Requests time out, are sent again, and both copies reach the broker when it wakes."""
    with Client(topics.model_copy(update={"kafka_options": IMPATIENT})) as client:
        sent = numbered("s", 6000)
        emit(client, *sent[:2000])
        with frozen(broker):
            emit(client, *sent[2000:4000])
            unsent = client.flush(7)
        assert unsent > 0
        emit(client, *sent[4000:])
        eventually(lambda: client.flush(1) == 0, "everything is sent")
        assert client.delivery.acknowledged == 6000
    assert ids_on(topics) == sent


@pytest.mark.parametrize("kept", ["memory", "spool"])
def test_frozen_client_that_wakes_up_writes_nothing_twice(topics: Settings, tmp_path: Path, kept: str) -> None:
    """All its requests have timed out by its own clock when it goes on."""
    code = (
        "import logging, sys, scoreline\n"
        "logging.getLogger('scoreline.librdkafka').disabled = True\n"
        "for n in range(30000):\n"
        "    scoreline.create_score(name='n', value=1, trace_id='t', score_id=f's-{n:06d}')\n"
        "    if n % 1000 == 0: print(n, flush=True)\n"
    )
    spool_dir = tmp_path / "spool" if kept == "spool" else None
    process = start(code, topics.model_copy(update={"spool_dir": spool_dir, "kafka_options": IMPATIENT}))
    assert process.stdout is not None
    for _ in range(5):
        process.stdout.readline()
    with frozen(process.pid):
        eventually(after(4.0), "it was frozen")
    _, error = process.communicate(timeout=60)
    assert (process.returncode, error) == (0, "")
    assert ids_on(topics) == numbered("s", 30000)


@pytest.mark.parametrize("kept", ["memory", "spool"])
def test_who_asks_hears_once_where_the_broker_put_a_record(topics: Settings, tmp_path: Path, kept: str) -> None:
    """Topic, partition and offset are those at which the record can be read."""
    outcomes: dict[str, list[Outcome]] = {f"s-{number}": [] for number in range(20)}
    with Client(topics.model_copy(update={"spool_dir": tmp_path if kept == "spool" else None})) as client:
        for score_id, heard in outcomes.items():
            client.send(f"default/{score_id}".encode(), b"{}", heard.append)
        client.send(b"default/nobody-asks", b"{}")
    read = read_topic(topics, declare_topics(topics).raw.name)
    assert outcomes == {
        str(message.key(), "utf8").removeprefix("default/"): [
            Acknowledgement(str(message.topic()), message.partition(), message.offset())
        ]
        for message in read
        if message.key() != b"default/nobody-asks"
    }
    assert len(read) == 21


def test_who_asks_hears_of_a_record_that_waited_for_its_topic(settings: Settings) -> None:
    """Sent again is not failed: nothing is said before the outcome is final."""
    heard: list[Outcome] = []
    with Client(settings) as client:
        client.send(b"default/s", b"{}", heard.append)
        eventually(lambda: client.flush(0.1) == 1 and bool(client._outbox and client._outbox._held), "it came back")
        client.send(b"default/held", b"{}", heard.append)
        assert heard == []
        ensure_topics(settings)
        eventually(lambda: client.flush(1) == 0, "everything is sent")
    assert [type(outcome) for outcome in heard] == [Acknowledgement] * 2


def test_who_asks_hears_of_what_is_left_at_the_end_and_not_of_what_raised(topics: Settings, broker: int) -> None:
    """What was not taken is told once, by the error of the call."""
    heard: list[Outcome] = []
    client = Client(topics.model_copy(update={"flush_s": 0.1}))
    with frozen(broker):
        client.send(b"default/s", b"{}", heard.append)
        with pytest.raises(InvalidScore):
            client.send(b"default/x", b"x" * 2_000_000, heard.append)
        with pytest.raises(KafkaUnavailable):
            client.close()
    [outcome] = heard
    assert isinstance(outcome, KafkaUnavailable)


def test_error_in_a_callback_ends_nothing_but_itself(topics: Settings, caplog: pytest.LogCaptureFixture) -> None:
    """The thread that serves the reports goes on, and the log has the traceback."""
    heard: list[Outcome] = []

    def fail(outcome: Outcome) -> None:
        raise RuntimeError(f"the caller's own: {outcome}")

    with Client(topics) as client:
        client.send(b"default/a", b"{}", fail)
        client.send(b"default/b", b"{}", heard.append)
        assert client.flush(10) == 0
        assert client.delivery.acknowledged == 2
    assert len(heard) == 1
    assert "RuntimeError: the caller's own" in caplog.text


def test_closed_client_takes_no_more(settings: Settings) -> None:
    """And says so; closing twice is harmless."""
    client = Client(settings)
    client.close()
    client.close()
    with pytest.raises(PermanentError, match="closed"):
        emit(client, "s")


def after(seconds: float) -> Any:
    end = time.monotonic() + seconds
    return lambda: time.monotonic() > end
