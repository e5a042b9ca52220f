"""Records as the worker writes them, and what the tests ask ClickHouse."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from scoreline.enriched import EnrichedScore, Target
from scoreline.events import DataType, Source, Status
from scoreline.kafka import client_options
from scoreline.settings import Settings
from scoreline.topics import declare_groups, declare_topics
from scoreline_sink.clickhouse import ClickHouse

JUDGED_AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
NAMES = ("accuracy", "faithfulness", "toxicity")


def enriched(number: int, **fields: Any) -> EnrichedScore:
    """An enriched score; its value is a multiple of 1/8, so that sums are exact in any order."""
    plain: dict[str, Any] = dict.fromkeys(EnrichedScore.model_fields)
    made = plain | {
        "score_id": f"id-{number}",
        "project": "default",
        "name": NAMES[number % len(NAMES)],
        "status": Status.OK,
        "data_type": DataType.NUMERIC,
        "value": number % 1000 / 8,
        "target": Target.TRACE,
        "trace_id": f"trace-{number}",
        "metadata": {},
        "lookups": {},
        "timestamp": (JUDGED_AT + timedelta(seconds=number * 7)).isoformat(),
        "source": Source.EVAL,
        "schema_version": 1,
        "received_at": (JUDGED_AT + timedelta(milliseconds=number)).isoformat(),
        "delay_s": 0.5,
        "late": False,
        "raw_partition": 0,
        "raw_offset": number,
    }
    return EnrichedScore.model_validate(made | fields)


def encoded(score: EnrichedScore) -> bytes:
    return score.model_dump_json().encode()


def values(first: int, last: int) -> Iterator[bytes]:
    """Values of the enriched records `first` to `last`."""
    return (encoded(enriched(number)) for number in range(first, last + 1))


class Writer:
    """Writes enriched records in transactions, as the worker does."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topic = declare_topics(settings).enriched.name
        self._producer = Producer(client_options(settings, transactional_id=uuid.uuid4().hex, linger_ms=5, log_level=3))
        self._producer.init_transactions(30)

    def commit(self, records: Sequence[bytes]) -> None:
        """Write records round robin over the partitions and commit."""
        self._write(records)
        self._producer.commit_transaction(30)

    def abort(self, records: Sequence[bytes]) -> None:
        """Write records and take them back."""
        self._write(records)
        self._producer.flush(30)
        self._producer.abort_transaction(30)

    def _write(self, records: Sequence[bytes]) -> None:
        self._producer.begin_transaction()
        for number, value in enumerate(records):
            self._producer.produce(self._topic, value, partition=number % self._settings.partitions)
            self._producer.poll(0)


def committed(settings: Settings) -> list[TopicPartition]:
    """What the sink has committed of enriched: offsets, and plans as metadata."""
    topic = declare_topics(settings).enriched.name
    with Consumer(client_options(settings, group_id=declare_groups(settings).sink_enriched)) as consumer:
        return consumer.committed([TopicPartition(topic, p) for p in range(settings.partitions)], 30)


def behind(settings: Settings) -> int:
    """Offsets of enriched behind the committed ones, control records included; 1 while a new broker cannot say."""
    left = 0
    try:
        with Consumer(client_options(settings, group_id="tests")) as consumer:
            for position in committed(settings):
                low, high = consumer.get_watermark_offsets(position, 30)
                left += high - max(position.offset, low)
    except KafkaException:
        return 1
    return left


def stored(clickhouse: ClickHouse) -> tuple[int, int, int]:
    """Rows, distinct coordinates and distinct ids in `scores`."""
    sql = f"SELECT count(), uniqExact(src_partition, src_offset), uniqExact(score_id) FROM {clickhouse.database}.scores"
    return clickhouse.query(sql)[0]


def rolled_up(clickhouse: ClickHouse) -> dict[str, int]:
    """Scores by the rollup of each unit of time."""
    return {
        unit: clickhouse.query(f"SELECT sum(scores) FROM {clickhouse.database}.scores_by_{unit}")[0][0]
        for unit in ("minute", "hour", "day")
    }
