"""Quix Streams, exactly-once: RocksDB state keyed by the record's key, which is the id, with its changelog."""

from __future__ import annotations

import os
import sys
from typing import Any

import work
from quixstreams import Application, State, message_context

app = Application(
    broker_address=os.environ["KAFKA"],
    consumer_group=os.environ["GROUP"],
    auto_offset_reset="earliest",
    processing_guarantee="exactly-once",
    commit_interval=1.0,
    state_dir=os.environ["STATE"],
    use_changelog_topics=True,
    loglevel="WARNING",
    producer_extra_config={"compression.type": "lz4", "linger.ms": 20, "batch.size": 262_144},
    consumer_extra_config={"max.partition.fetch.bytes": 4 << 20},
)
source = app.topic(os.environ["RAW"], key_deserializer="bytes", value_deserializer="bytes")
sink = app.topic(os.environ["OUT"], key_serializer="bytes", value_serializer="bytes")


def check(value: bytes, key: bytes, timestamp_ms: int, _headers: Any) -> dict[str, Any] | None:
    try:
        score = work.parse(value, key, timestamp_ms)
        place = message_context()
        return work.enrich(score, timestamp_ms, place.partition, place.offset)
    except work.Invalid as error:
        sys.stderr.write(f"rejected: {error}\n")
        return None


def is_first(fields: dict[str, Any] | None, state: State) -> bool:
    if fields is None or state.exists("seen"):
        return False
    state.set("seen", 1)
    return True


app.dataframe(source).apply(check, metadata=True).filter(is_first, stateful=True).apply(work.dump).to_topic(sink)
work.freeze()
app.run()
