"""Stock faust-streaming: an agent over `stream.events()` and a Table (RocksDB, changelog) of the ids seen.

At-least-once by default, with GUARANTEE=exactly_once what Faust calls so: its outputs are in no transaction even then.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import faust
import work

app = faust.App(
    os.environ["GROUP"],
    broker=f"kafka://{os.environ['KAFKA']}",
    store="rocksdb://?driver=rocksdict",
    datadir=os.environ["STATE"],
    processing_guarantee=os.environ.get("GUARANTEE", "at_least_once"),
    topic_partitions=4,
    topic_replication_factor=1,
    consumer_auto_offset_reset="earliest",
    key_serializer="raw",
    value_serializer="raw",
    stream_wait_empty=False,
    stream_buffer_maxsize=16384,
    broker_max_poll_records=5000,
    broker_check_crcs=False,
    consumer_max_fetch_size=4 << 20,
    producer_compression_type="lz4",
    producer_linger_ms=20,
    producer_max_batch_size=262_144,
)
source = app.topic(os.environ["RAW"], key_type=bytes, value_type=bytes, partitions=4)
sink = app.topic(os.environ["OUT"], key_type=bytes, value_type=bytes, partitions=4)
seen = app.Table("seen", partitions=4)
work.freeze()


@app.agent(source)
async def scores(stream: Any) -> None:
    async for event in stream.events():
        message = event.message
        received_ms = int(message.timestamp * 1000 + 0.5)
        try:
            score = work.parse(event.value, event.key, received_ms)
            fields = work.enrich(score, received_ms, message.partition, message.offset)
        except work.Invalid as error:
            sys.stderr.write(f"rejected: {error}\n")
            continue
        identity = event.key.decode()
        if identity in seen:
            continue
        seen[identity] = 1
        await sink.send(key=event.key, value=work.dump(fields), partition=message.partition)
