"""When a query shows each row: a thread that asks ClickHouse again and again for what is new in `scores`."""

from __future__ import annotations

import threading
import time
from typing import Any, cast

import clickhouse_connect
import numpy as np
from confluent_kafka import Consumer, TopicPartition

from scoreline.kafka import CALL_TIMEOUT_S, client_options
from scoreline.settings import Settings
from scoreline.topics import declare_topics
from tests.benchmarks.harness import consume
from tests.support import DEADLINE_S

POLL_S = 0.02
ROW = np.dtype([("number", "<u4"), ("partition", "<u2"), ("offset", "<u8")])
"""A row as `FORMAT` writes it: the last nine digits of the id, and where its raw record stands."""
FORMAT = "RowBinary"
COLUMNS = "toUInt32(right(score_id, 9)), raw_partition, raw_offset"

Array = np.ndarray[Any, np.dtype[Any]]


def connect(settings: Settings) -> Any:
    """A connection of its own to ClickHouse."""
    return cast("Any", clickhouse_connect).get_client(
        host=settings.clickhouse_host,
        port=settings.clickhouse_port,
        username=settings.clickhouse_user,
        password=settings.clickhouse_password.get_secret_value(),
        database=settings.clickhouse_database,
    )


class Watch:
    """Watches `scores` from now on, in a thread, until `stop`.

    A row counts as visible when the query that first shows it was answered. Each query asks, for every partition, for
    what lies at or behind the first raw offset that was not seen yet, so none is passed over whatever the order.
    """

    def __init__(self, settings: Settings) -> None:
        self._client = connect(settings)
        marks = self._client.query("SELECT raw_partition, max(raw_offset) + 1 FROM scores GROUP BY raw_partition")
        self._next: dict[int, int] = dict.fromkeys(range(settings.partitions), 0) | dict(marks.result_rows)
        self._ahead: set[tuple[int, int]] = set()
        self._stopped = threading.Event()
        self._failure: Exception | None = None
        self._rows: list[tuple[float, Array]] = []
        self.seen = 0
        """Rows seen so far, each counted once."""
        self.answers: list[tuple[float, float]] = []
        """When each query was sent and answered."""
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread. Raises what it failed by."""
        self._stopped.set()
        self._thread.join(DEADLINE_S)
        self._client.close()
        if self._failure is not None:
            raise self._failure

    def visible_at(self, count: int) -> Array:
        """For each event by its number, when it was first seen; NaN: never."""
        times = np.full(count, np.nan)
        for answered, rows in reversed(self._rows):
            times[rows["number"]] = answered
        return times

    def _run(self) -> None:
        try:
            while not self._stopped.is_set():
                asked = time.time()
                rows = self._ask()
                answered = time.time()
                self.answers.append((asked, answered))
                if len(rows):
                    self._note(answered, rows)
                self._stopped.wait(max(0.0, asked + POLL_S - time.time()))
        except Exception as error:  # noqa: BLE001 (raised again by `stop`)
            self._failure = error

    def _ask(self) -> Array:
        new = " OR ".join(f"(raw_partition = {p} AND raw_offset >= {offset})" for p, offset in self._next.items())
        answer = self._client.raw_query(
            f"SELECT {COLUMNS} FROM scores WHERE {new} SETTINGS max_threads = 1", fmt=FORMAT
        )
        return np.frombuffer(answer, ROW)

    def _note(self, answered: float, rows: Array) -> None:
        found = list(zip(rows["partition"].tolist(), rows["offset"].tolist(), strict=True))
        fresh = np.fromiter((at not in self._ahead for at in found), bool, len(found))
        self._rows.append((answered, rows[fresh]))
        self.seen += int(fresh.sum())
        self._ahead.update(found)
        for partition, mark in self._next.items():
            end = mark
            while (partition, end) in self._ahead:
                self._ahead.discard((partition, end))
                end += 1
            self._next[partition] = end


def stored(settings: Settings, run: str) -> Array:
    """Every row of a run in the table, as `ROW`, in order of their numbers: one that is there twice, twice."""
    client = connect(settings)
    try:
        sql = f"SELECT {COLUMNS} FROM scores WHERE startsWith(score_id, '{run}-') ORDER BY score_id"
        return np.frombuffer(client.raw_query(sql, fmt=FORMAT), ROW)
    finally:
        client.close()


def row_times(settings: Settings, run: str) -> tuple[Array, Array]:
    """Broker's time of the raw record and ClickHouse's of the insert, in seconds, in order of the events' numbers."""
    client = connect(settings)
    try:
        sql = (
            "SELECT toUnixTimestamp64Milli(received_at), toUnixTimestamp64Milli(inserted_at) FROM scores "
            f"WHERE startsWith(score_id, '{run}-') ORDER BY score_id"
        )
        times = np.frombuffer(client.raw_query(sql, fmt=FORMAT), np.dtype([("received", "<i8"), ("inserted", "<i8")]))
        return times["received"] / 1e3, times["inserted"] / 1e3
    finally:
        client.close()


def log_ends(settings: Settings, topic: str) -> dict[int, int]:
    """Partition → the offset that its next record gets."""
    consumer = Consumer(client_options(settings, group_id="bench"))
    try:
        partitions = [TopicPartition(topic, number) for number in range(settings.partitions)]
        return {p.partition: consumer.get_watermark_offsets(p, timeout=CALL_TIMEOUT_S)[1] for p in partitions}
    finally:
        consumer.close()


def enriched_at(settings: Settings, count: int, starts: dict[int, int]) -> Array:
    """When the worker handed each event's record to its producer, in seconds; NaN where there is none.

    Reads `scores.enriched` from `starts`, where it ended before the run, to its end.
    """
    times = np.full(count, np.nan)
    for messages in consume(settings, declare_topics(settings).enriched.name, starts):
        for message in messages:
            times[int((message.key() or b"")[-9:])] = message.timestamp()[1] / 1e3
    return times
