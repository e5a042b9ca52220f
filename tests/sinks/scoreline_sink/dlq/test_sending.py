"""Replayed records on a real topic, and their pace."""

from __future__ import annotations

import pytest

from scoreline.errors import KafkaUnavailable
from scoreline.kafka import ensure_topics
from scoreline.settings import Settings
from scoreline.topics import RAW_BYTES_MAX, declare_topics
from scoreline_sink.dlq.preparing import Replay
from scoreline_sink.dlq.sending import Pace, Sender
from tests.sinks.scoreline_sink.dlq.made import letter, score
from tests.support import read_topic


def test_records_are_acknowledged_or_known_not_to_be(settings: Settings) -> None:
    """One that the topic never takes is told apart; the others are there with their headers."""
    ensure_topics(settings)
    headers: list[tuple[str, bytes | None]] = [("odd", None), ("odd", b"\xff")]
    small = Replay(letter(score()), b"default/s-1", score(), headers)
    large = Replay(letter(score()), b"default/s-2", score(), [("h", b"x" * RAW_BYTES_MAX)])
    sender = Sender(settings)
    [refused] = sender.send([small, large, small])
    assert (refused.letter, refused.cause) == (large.letter, "too_large_for_kafka")
    assert sender.send([small]) == []
    sender.close()
    messages = read_topic(settings, declare_topics(settings).raw.name)
    assert [(m.key(), m.value(), m.headers()) for m in messages] == [(b"default/s-1", score(), headers)] * 3


def test_records_that_no_broker_takes_are_an_error(settings: Settings) -> None:
    """Bounded by librdkafka's own limit; nothing counts as sent then."""
    away = settings.model_copy(
        update={"kafka": "localhost:1", "kafka_options": {"message.timeout.ms": "1500", "log_level": "0"}}
    )
    sender = Sender(away)
    with pytest.raises(KafkaUnavailable, match=r"1 records were not acknowledged .* localhost:1 \(SCORELINE_KAFKA\)"):
        sender.send([Replay(letter(score()), b"default/s-1", score(), [])])
    sender.close()


def test_pace_holds_a_rate_over_uneven_batches() -> None:
    """And does not catch up in a burst what was lost while something else was slow."""
    now = 0.0
    pace = Pace(100, lambda: now)
    assert [pace.pause_s(n) for n in (50, 100, 10)] == [0.0, 0.5, 1.5]
    now = 10.0
    assert [round(pace.pause_s(n), 6) for n in (10, 10)] == [0.0, 0.1]
    assert Pace(None).pause_s(1_000_000) == 0.0
