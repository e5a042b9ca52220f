"""What one transaction sends, on a real broker."""

from __future__ import annotations

from typing import Any

import pytest
from confluent_kafka import Producer

from scoreline.kafka import ensure_topics, topic_id
from scoreline.settings import Settings
from scoreline.topics import declare_groups, declare_topics
from scoreline_streams import transactions as module
from scoreline_streams.batch import Outcome
from scoreline_streams.transactions import REQUEST_BYTES_MAX, Transactions, fitting
from tests.support import read_topic

RECORDS = 10_000
RECORD = b"x" * 900


class Watched(Producer):
    """Notes how many messages no broker has acknowledged yet when it is told to commit."""

    left: list[int]

    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__(options)
        Watched.left = []

    def commit_transaction(self, timeout: float = 10.0) -> None:
        Watched.left.append(len(self))
        super().commit_transaction(timeout)


@pytest.mark.parametrize(
    ("sizes", "left"),
    [
        ([], 0),
        ([100, 100, 100], 3),
        ([REQUEST_BYTES_MAX - 4, 1, 1], 2),
        ([REQUEST_BYTES_MAX // 2] * 5, 1),
        ([1, 2 * REQUEST_BYTES_MAX], 0),
    ],
)
def test_less_is_left_than_fills_a_request(sizes: list[int], left: int) -> None:
    """Counted from the end, keys and values."""
    assert fitting([(b"k", bytes(size)) for size in sizes]) == left


def test_large_batch_is_sent_before_it_is_flushed(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """While librdkafka flushes more than fits into one request, its thread takes a core until the broker answers."""
    monkeypatch.setattr(module, "Producer", Watched)
    ensure_topics(settings)
    topics = declare_topics(settings)
    raw_id = topic_id(settings, topics.raw.name)
    transactions = Transactions(settings, topics, declare_groups(settings).worker, 0, raw_id)
    assert transactions.open(lambda: False) == 0

    records: list[tuple[bytes | None, bytes]] = [(b"%08d" % number, RECORD) for number in range(RECORDS)]
    transactions.begin(Outcome(enriched=records), RECORDS)
    transactions.commit()
    transactions.close()

    one_request, changelog = REQUEST_BYTES_MAX // (len(RECORD) + 8), 1
    [left] = Watched.left
    assert 0 < left <= one_request + changelog
    assert len(read_topic(settings, topics.enriched.name)) == RECORDS
