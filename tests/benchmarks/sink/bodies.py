"""The bodies of the inserts that drain the backlog, made by the sink's own code, and a bare client that posts them.

    python -m tests.benchmarks.sink.bodies CONNECTIONS FOLDER

posts every body in FOLDER, on each connection the next one when the one before is answered. Nothing is read from Kafka,
planned, committed or settled: what ClickHouse takes over as many connections as the sink has open plans is the most
that any sink can reach with these batches.
"""

from __future__ import annotations

import base64
import mmap
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlencode

from confluent_kafka import Consumer, TopicPartition

from scoreline.settings import Settings, load_settings
from scoreline.topics import declare_topics
from scoreline_sink.buffer import Buffer
from scoreline_sink.clickhouse import JSON_ROWS, PINNED
from scoreline_sink.consuming import reader_options, take
from scoreline_sink.lane import TAKE_ROWS_MAX
from scoreline_sink.plan import Sealed
from scoreline_sink.rows import score_row
from tests.support import DEADLINE_S

NEVER_S = 3600.0


def prepare(settings: Settings, rows: int, folder: Path) -> None:
    """Write the body of every insert of the backlog into a file of its own."""
    folder.mkdir(parents=True)
    for number, sealed in enumerate(_batches(settings, rows)):
        (folder / f"{number:06d}").write_bytes(JSON_ROWS.separator.join(sealed.rows))


def _batches(settings: Settings, rows: int) -> Iterator[Sealed]:
    topic, buffer, left = declare_topics(settings).enriched.name, Buffer(settings.insert_rows_max, NEVER_S), rows
    consumer = Consumer(reader_options(settings, "benchmark"))
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(settings.partitions)])
    try:
        while left:
            messages = take(consumer, min(buffer.room, TAKE_ROWS_MAX), DEADLINE_S)
            if not messages:
                raise RuntimeError(f"{topic} ends {left} records too early")
            for message in messages:
                value, partition, offset = message.value(), message.partition(), message.offset()
                if message.error() is None and value is not None and partition is not None and offset is not None:
                    buffer.add(partition, offset, score_row(partition, offset, value), value, 0.0)
                    left -= 1
            yield from _due(buffer, NEVER_S * (left == 0))
    finally:
        consumer.close()


def _due(buffer: Buffer, now: float) -> Iterator[Sealed]:
    while (sealed := buffer.due(now)) is not None:
        yield sealed
        buffer.pop()


def post(settings: Settings, connections: int, files: Sequence[Path]) -> None:
    """Insert each file into `scores`, with the settings that the sink sends, over so many connections at a time."""
    left = iter(files)
    with ThreadPoolExecutor(connections) as threads:
        for done in [threads.submit(_post, settings, left) for _ in range(connections)]:
            done.result()


def _post(settings: Settings, files: Iterator[Path]) -> None:
    user = f"{settings.clickhouse_user}:{settings.clickhouse_password.get_secret_value()}"
    headers = {"Authorization": f"Basic {base64.b64encode(user.encode()).decode()}"}
    query = f"INSERT INTO {settings.clickhouse_database}.scores FORMAT {JSON_ROWS.name}"
    connection = HTTPConnection(settings.clickhouse_host, settings.clickhouse_port, timeout=settings.insert_timeout_s)
    for file in files:
        token = f"{settings.clickhouse_database}:{file.name}"
        own = {"query": query, "insert_deduplication_token": token, "query_id": token, "wait_end_of_query": 1}
        with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as body:
            length = {"Content-Length": str(len(body))}
            connection.request("POST", f"/?{urlencode({**PINNED, **own})}", memoryview(body), headers | length)
            answer = connection.getresponse()
            said = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"ClickHouse answers {answer.status}: {said[:500]!r}")
    connection.close()


if __name__ == "__main__":
    post(load_settings(), int(sys.argv[1]), sorted(Path(sys.argv[2]).iterdir()))
