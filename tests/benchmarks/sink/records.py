"""The backlog: enriched records on `scores.enriched`, made and written as the worker does."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TypedDict

from confluent_kafka import Producer

from scoreline.judging import Judged, judge
from scoreline.kafka import client_options
from scoreline.rejections import Rejection
from scoreline.settings import Settings
from scoreline.topics import declare_topics, record_key
from scoreline.validation import check
from scoreline_streams.enrich import enrich
from tests.benchmarks.sink.check import Known
from tests.support import DEADLINE_S

PROJECTS = ("default", "search", "support")
NAMES = ("accuracy", "faithfulness", "helpfulness", "toxicity", "conciseness", "relevance")
SERVICES = ("checkout", "assistant", "search-answers", "mail-drafts")
COMMENTS = (
    "close to the reference answer",
    "names all three items and their prices",
    "the second paragraph is not supported by the context",
    "polite, complete, a little long",
)
EVERY = timedelta(microseconds=500)
"""Between two scores: a backlog of two thousand a second."""
EIGHTHS = 8000
"""Values are multiples of 1/8 below 1000, so that their sum is exact in any order."""


class Message(TypedDict):
    """A record as `produce_batch` takes it."""

    key: bytes
    value: bytes


def raw(number: int, judged_at: datetime) -> tuple[bytes, bytes]:
    """Key and value of a score as an evaluator emits it."""
    # a multiplier without a common divisor with 2^128 makes ids that do not look alike
    trace = number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128
    score_id = f"{trace:032x}"[:8] + f"-{number:012d}"
    project = PROJECTS[number % 7 % len(PROJECTS)]
    value = (
        f'{{"score_id":"{score_id}","project":"{project}","name":"{NAMES[number % len(NAMES)]}",'
        f'"value":{value_of(number)},"data_type":"NUMERIC","trace_id":"{trace:032x}",'
        f'"observation_id":"{trace % 2**61:016x}","comment":"{COMMENTS[number % 11 % len(COMMENTS)]}",'
        f'"metadata":{{"model":"judge-large","tokens":{number % 977}}},'
        f'"timestamp":"{judged_at:%Y-%m-%dT%H:%M:%S.%fZ}","source":"EVAL",'
        f'"evaluator":{{"name":"judge","version":"3"}},"service":"{SERVICES[number % len(SERVICES)]}",'
        '"environment":"production","release":"2026.1"}'
    )
    return record_key(project, score_id), value.encode()


def value_of(number: int) -> float:
    return number * 7919 % EIGHTHS / 8


def transactions(rows: int, partitions: int, events_max: int) -> Iterator[tuple[int, list[Message]]]:
    """Partition and messages of one transaction after another, `events_max` in each but the last of a partition."""
    now = datetime.now(UTC).replace(microsecond=0)
    batches: list[list[Message]] = [[] for _ in range(partitions)]
    offsets = [0] * partitions
    for number in range(rows):
        judged_at = now - EVERY * (rows - number)
        received_ms = int(judged_at.timestamp() * 1000) + 40
        key, value = raw(number, judged_at)
        event = check(value, key, received_ms)
        assert not isinstance(event, Rejection), event
        judged = judge(event, None)
        assert isinstance(judged, Judged), judged
        partition = number % partitions
        batch = batches[partition]
        batch.append({"key": key, "value": enrich(event, judged, {}, received_ms, partition, offsets[partition])})
        offsets[partition] += 1
        if len(batch) >= events_max:
            yield partition, batch
            batches[partition] = []
    yield from ((partition, batch) for partition, batch in enumerate(batches) if batch)


def preload(settings: Settings, rows: int) -> Known:
    """Put `rows` enriched records on the topic as the worker writes them: a transaction a batch, lz4."""
    size = sum(len(m["value"]) for sent in _write(settings, rows, settings.batch_events_max) for m in sent)
    return Known(rows, sum(map(value_of, range(rows))), size)


def trickle(settings: Settings, rows: int, rate: int) -> None:
    """Put `rows` enriched records on the topic at `rate` a second, in transactions of up to a tenth of a second."""
    start, sent = time.monotonic(), 0
    for messages in _write(settings, rows, max(1, rate // 10 // settings.partitions)):
        sent += len(messages)
        time.sleep(max(0.0, start + sent / rate - time.monotonic()))


def _write(settings: Settings, rows: int, events_max: int) -> Iterator[list[Message]]:
    """Write one transaction after another; yields what each held."""
    topic = declare_topics(settings).enriched.name
    producers = [_producer(settings, partition) for partition in range(settings.partitions)]
    for partition, messages in transactions(rows, settings.partitions, events_max):
        producer = producers[partition]
        producer.begin_transaction()
        producer.produce_batch(topic, messages, partition=partition)
        producer.commit_transaction(DEADLINE_S)
        yield messages


def _producer(settings: Settings, partition: int) -> Producer:
    producer = Producer(
        client_options(
            settings,
            transactional_id=f"{settings.topic_prefix}benchmark.{partition}",
            compression_type="lz4",
            linger_ms=1,
            batch_size=1_000_000,
            retry_backoff_ms=2,
            log_level=3,
        )
    )
    producer.init_transactions(DEADLINE_S)
    return producer
