"""The emitting client on a real broker."""

from __future__ import annotations

import inspect
import json
import uuid
from typing import Any

import pytest

import scoreline
from scoreline.client import Client
from scoreline.errors import InvalidScore, KafkaUnavailable, QueueFull
from scoreline.kafka import ensure_topics
from scoreline.rejections import Reason
from scoreline.settings import Settings
from scoreline.topics import declare_topics
from tests.contract.murmur2 import partition_of
from tests.support import read_topic


def test_score_is_on_the_raw_topic_under_its_key(settings: Settings) -> None:
    """Key, fields and origin of the record; absent fields are absent."""
    ensure_topics(settings)
    origin = settings.model_copy(update={"project": "team-a", "service": "svc"})
    with Client(origin) as client:
        score_id = client.create_score(name="accuracy", value=0.9, trace_id="t")
        assert client.flush() == 0
        assert (client.delivery.sent, client.delivery.acknowledged, client.delivery.failed) == (1, 1, 0)
    [message] = read_topic(settings, declare_topics(settings).raw.name)
    fields = json.loads(message.value() or b"")
    assert message.key() == f"team-a/{score_id}".encode()
    assert fields.pop("timestamp").endswith("Z")
    assert fields == {
        "score_id": score_id,
        "project": "team-a",
        "name": "accuracy",
        "value": 0.9,
        "trace_id": "t",
        "service": "svc",
        "schema_version": 1,
    }
    assert uuid.UUID(score_id).version == 7


def test_one_id_is_always_in_one_partition(settings: Settings) -> None:
    """murmur2 of the key, as the Java client: the partition of a known key is a known number."""
    ensure_topics(settings)
    with Client(settings) as client:
        for _ in range(3):
            for number in range(20):
                client.create_score(name="n", value=1, trace_id="t", score_id=f"s-{number}")
    partitions: dict[Any, set[int | None]] = {}
    for message in read_topic(settings, declare_topics(settings).raw.name):
        partitions.setdefault(message.key(), set()).add(message.partition())
    assert {key: {partition_of(key, 4)} for key in partitions} == partitions
    assert set.union(*partitions.values()) == {0, 1, 2, 3}


def test_module_function_takes_what_the_client_takes() -> None:
    """One signature, so that nothing is lost on the way from one to the other."""
    of_client = dict(inspect.signature(Client.create_score).parameters)
    del of_client["self"]
    assert dict(inspect.signature(scoreline.create_score).parameters) == of_client


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"value": float("nan"), "trace_id": "t"}, Reason.INVALID_VALUE),
        ({"value": 1}, Reason.NO_TARGET),
        ({"value": 1, "observation_id": "o", "session_id": "s"}, Reason.NO_TARGET),
        ({"value": "maybe", "data_type": "BOOLEAN", "trace_id": "t"}, Reason.INVALID_VALUE),
        ({"value": 1, "trace_id": "t", "metadata": {"a": object()}}, Reason.INVALID_VALUE),
        ({"value": 1, "trace_id": "\ud800"}, Reason.INVALID_VALUE),
        ({"trace_id": "t"}, Reason.MISSING_FIELD),
        ({"value": 1, "error": "timed out", "trace_id": "t"}, Reason.INVALID_VALUE),
        ({"value": 1, "trace_id": "t", "comment": "x" * 300_000}, Reason.TOO_LARGE),
    ],
)
def test_invalid_score_raises_in_the_caller(fields: dict[str, Any], reason: Reason) -> None:
    """At once, with the reason, and without a broker: nothing is lost silently."""
    client = Client(Settings(kafka="127.0.0.1:1", flush_s=0.1))
    with pytest.raises(InvalidScore) as raised:
        client.create_score(name="n", **fields)
    assert raised.value.rejection.reason is reason
    client.close()


def test_full_queue_makes_the_caller_wait_and_then_says_so() -> None:
    """The broker is away: memory is bounded, the error names the settings, and closing says how many are unsent."""
    client = Client(Settings(kafka="127.0.0.1:1", queue_events_max=10, queue_wait_s=0.2, flush_s=0.2))
    for number in range(10):
        client.create_score(name="n", value=number, trace_id="t")
    with pytest.raises(QueueFull, match="SCORELINE_QUEUE_EVENTS_MAX"):
        client.create_score(name="n", value=11, trace_id="t")
    with pytest.raises(KafkaUnavailable, match="10 scores"):
        client.close()


def test_emitting_does_not_wait_for_the_broker() -> None:
    """With no broker at all the call returns; delivery is for later."""
    client = Client(Settings(kafka="127.0.0.1:1", flush_s=0.1))
    client.create_score(name="n", value=1, trace_id="t")
    assert client.delivery.sent == 1
    assert client.delivery.acknowledged == 0
    with pytest.raises(KafkaUnavailable):
        client.close()
