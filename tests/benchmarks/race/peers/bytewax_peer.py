"""Bytewax: a stateful step keyed by the id, recovery snapshots in SQLite every five seconds. At-least-once.

It keeps every id in memory and commits no offsets to Kafka: they are in the snapshots.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import Any

import bytewax.operators as op
import work
from bytewax.connectors.kafka import KafkaSink, KafkaSinkMessage, KafkaSource, KafkaSourceMessage
from bytewax.dataflow import Dataflow

BROKERS = [os.environ["KAFKA"]]


def check(message: KafkaSourceMessage) -> tuple[str, dict[str, Any]] | None:
    received_ms = message.timestamp[1]
    try:
        score = work.parse(message.value, message.key, received_ms)
        fields = work.enrich(score, received_ms, message.partition, message.offset)
    except work.Invalid as error:
        sys.stderr.write(f"rejected: {error}\n")
        return None
    return message.key.decode(), fields


def first(seen: bool | None, fields: dict[str, Any]) -> tuple[bool, Iterable[dict[str, Any]]]:
    return True, () if seen else (fields,)


def write(keyed: tuple[str, dict[str, Any]]) -> KafkaSinkMessage:
    identity, fields = keyed
    return KafkaSinkMessage(identity.encode(), work.dump(fields))


flow = Dataflow("race")
raw = op.input(
    "raw",
    flow,
    KafkaSource(BROKERS, [os.environ["RAW"]], batch_size=5000, add_config={"max.partition.fetch.bytes": str(4 << 20)}),
)
checked = op.filter_map("check", raw, check)
new = op.stateful_flat_map("deduplicate", checked, first)
records = op.map("write", new, write)
op.output(
    "enriched",
    records,
    KafkaSink(
        BROKERS,
        os.environ["OUT"],
        add_config={
            "compression.type": "lz4",
            "linger.ms": "20",
            "batch.size": "262144",
            "partitioner": "murmur2_random",
            "queue.buffering.max.messages": "1000000",
        },
    ),
)
work.freeze()
