"""What the benchmarks share: a broker and what is in it, what the machine was like, tables, the file of results."""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from scoreline.kafka import client_options
from scoreline.settings import Settings, load_settings
from scoreline.topics import declare_topics
from scoreline_local import stack
from scoreline_local.settings import LocalSettings
from tests.support import DEADLINE_S

JVM = "-Xms1g -Xmx1g -XX:+UseG1GC"
"""A broker as in production; the local stack's default is tuned for a quick start."""
RECORDS_MAX = 10_000
"""Records of one list of `consume`."""


class NotAvailable(Exception):
    """What a benchmark compares us with and this machine cannot run, and why."""


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


@contextmanager
def broker(data_dir: Path, partitions: int) -> Iterator[Settings]:
    """A Kafka broker in an emptied folder, for as long as the context lasts; settings without topics."""
    with local_stack(data_dir, ("kafka",), {"SCORELINE_PARTITIONS": str(partitions)}):
        yield load_settings()


@contextmanager
def local_stack(
    data_dir: Path, parts: tuple[str, ...], environment: Mapping[str, str], kafka_jvm: str = JVM
) -> Iterator[stack.Endpoints]:
    """Parts of the local stack in an emptied folder, for as long as the context lasts.

    They, and `load_settings`, have the settings of `environment` and no others.
    """
    for name in [name for name in os.environ if name.startswith("SCORELINE_")]:
        del os.environ[name]
    os.environ.update(environment)
    stack.down(data_dir, lambda _: None)
    stack.fresh(data_dir)
    try:
        local = LocalSettings(
            data_dir=data_dir, kafka_port=0, clickhouse_port=0, gateway_port=0, ui_port=0, kafka_jvm=kafka_jvm
        )
        endpoints = stack.up(local, parts=parts, tell=say)
        os.environ.update(endpoints.environment)
        yield endpoints
    finally:
        stack.down(data_dir, say)
        stack.fresh(data_dir)


def machine() -> dict[str, Any]:
    """What a figure is worth nothing without."""
    return {
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "system": platform.platform(),
        "load_1_min": round(os.getloadavg()[0], 2),
    }


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows, the first of which is the head, in columns: the first to the left, the others to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.rjust(width) if column else cell.ljust(width) for column, (cell, width) in enumerate(cells))
        for cells in (list(zip(row, widths, strict=True)) for row in rows)
    )


def write_report(path: Path, report: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=2) + "\n")
    say(f"written to {path}")


def delete_topics(settings: Settings) -> None:
    """Delete all topics of these settings."""
    names = [topic.name for topic in declare_topics(settings).all()]
    admin = AdminClient(client_options(settings))  # what it promises ends with it
    for future in admin.delete_topics(names).values():
        future.result(DEADLINE_S)


def consume(settings: Settings, topic: str, starts: Mapping[int, int] | None = None) -> Any:
    """Lists of the committed records of a topic up to its present end, from the offsets `starts` or its beginning.

    Raises KafkaException, and RuntimeError when nothing comes for `DEADLINE_S`.
    """
    consumer = Consumer(
        client_options(
            settings,
            group_id="benchmark.reader",
            enable_auto_commit=False,
            enable_partition_eof=True,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=4 << 20,
        )
    )
    places = starts or dict.fromkeys(range(settings.partitions), 0)
    try:
        consumer.assign([TopicPartition(topic, partition, offset) for partition, offset in places.items()])
        open_partitions = set(places)
        heard = time.monotonic()
        while open_partitions:
            found = consumer.consume(RECORDS_MAX, 0.5)
            messages = [message for message in found if message.error() is None]
            for message in found:
                error = message.error()
                if error is not None and error.code() != KafkaError._PARTITION_EOF:
                    raise KafkaException(error)
                if error is not None:
                    open_partitions.discard(message.partition())
            if found:
                heard = time.monotonic()
            elif time.monotonic() - heard > DEADLINE_S:
                raise RuntimeError(f"{topic} could not be read to its end")
            if messages:
                yield messages
    finally:
        consumer.close()
