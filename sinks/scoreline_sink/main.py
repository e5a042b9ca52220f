"""The sink, wired: scores.enriched → scores, scores.rejected → rejected_scores.

poll ─► row ─► batch ─► plan ─► insert ─► commit
 │       │       │        │        │         └ lane.Lane._commit: ends this plan and announces the next
 │       │       │        │        │           ending.end_with_letters: with the dead letters of what was refused
 │       │       │        │        └ settle.store: one insert under the plan's token, settled after any doubt
 │       │       │        └ plan.seal: ranges, counts, checksum; committed before the insert is sent
 │       │       └ buffer.Buffer: bounded by rows, bytes, time and the length of commit metadata
 │       └ rows.score_row, rows.rejected_row
 └ lane.Lane._read; on assignment recovery.recover, for the plan that the last owner left
"""

from __future__ import annotations

import gc
import logging
import signal
import threading
import time
from functools import partial
from typing import cast

from confluent_kafka import Message

from scoreline.access import Component
from scoreline.errors import RetryableError
from scoreline.kafka import await_broker, require_topics
from scoreline.observe import meter, spans
from scoreline.observe.catalogue import Process
from scoreline.observe.health import health
from scoreline.observe.port import open_port
from scoreline.observe.probing import Prober, kafka_probe
from scoreline.settings import Settings
from scoreline.topics import declare_groups, declare_topics
from scoreline_sink.clickhouse import await_clickhouse, clickhouse_probe, rejected_scores_table, scores_table
from scoreline_sink.guarantee import require_settings, require_tables
from scoreline_sink.lane import Lane
from scoreline_sink.patience import patiently
from scoreline_sink.route import Route
from scoreline_sink.rows import (
    REJECTED_COLUMNS,
    RecordHeaders,
    RejectedRecord,
    rejected_row,
    rejected_times,
    score_row,
    score_times,
)
from scoreline_sink.schema import require_schema

log = logging.getLogger(__name__)

CHECK_S = 0.1
STOP_S = 10.0
"""How long the lanes may take to finish once told to stop."""
LANES = ("scores", "rejected_scores")
"""Tables; a condition of being ready is that each one's lane has its partitions, and nothing of them to settle."""
GC_THRESHOLD = 100_000
"""Objects between two collections: messages come and go by the ten thousand, and in no cycles."""


def run(settings: Settings) -> None:
    """Run both lanes until SIGTERM or SIGINT; call it from the main thread.

    Waits for Kafka and ClickHouse. Raises TopicError or SchemaError when something is missing there, and whatever
    PermanentError ends a lane; the other lane is stopped first.
    """
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stopped.set())
    gc.set_threshold(GC_THRESHOLD)
    _observe(settings)
    try:
        lanes = [Lane(route, settings, stopped) for route in _routes(settings, stopped)]
        _run_lanes(lanes, stopped)
    except RetryableError as error:
        if not stopped.is_set():
            raise
        log.info("stopped before there was anything to finish: %s", error)
    finally:
        health.end()


def _observe(settings: Settings) -> None:
    meter.start(Process.SINK)
    spans.start(Process.SINK)
    health.begin(settings.ready_file, settings.stall_s, *LANES)
    if open_port(settings, health) is not None:
        Prober(health, {"kafka": lambda: kafka_probe(settings), "clickhouse": lambda: clickhouse_probe(settings)})


def _routes(settings: Settings, stopped: threading.Event) -> tuple[Route, ...]:
    await_broker(settings, stopped.is_set)
    patiently(lambda: require_topics(settings, Component.SINK), stopped)
    clickhouse = await_clickhouse(settings, stopped)
    patiently(lambda: require_schema(settings), stopped)
    for requirement in (require_settings, require_tables):
        patiently(partial(requirement, clickhouse), stopped)
    scores = scores_table(clickhouse)
    rejected = rejected_scores_table(await_clickhouse(settings, stopped), REJECTED_COLUMNS)
    topics, groups = declare_topics(settings), declare_groups(settings)
    return (
        Route(topics.enriched.name, groups.sink_enriched, scores, _score_row, settings.refused_rows_max, score_times),
        Route(topics.rejected.name, groups.sink_rejected, rejected, _rejected_row, 0, rejected_times),
    )


def _score_row(partition: int, offset: int, message: Message) -> bytes | None:
    return score_row(partition, offset, message.value())


def _rejected_row(partition: int, offset: int, message: Message) -> bytes:
    headers = cast(RecordHeaders, message.headers() or [])
    _, timestamp_ms = message.timestamp()
    return rejected_row(RejectedRecord(partition, offset, timestamp_ms, message.key(), message.value(), headers))


def _run_lanes(lanes: list[Lane], stopped: threading.Event) -> None:
    failures: list[BaseException] = []

    def run_lane(lane: Lane) -> None:
        try:
            lane.run()
        except BaseException as error:  # noqa: BLE001 (raised again below, in the main thread)
            failures.append(error)
            stopped.set()

    threads = [threading.Thread(target=run_lane, args=(lane,), name=lane.topic, daemon=True) for lane in lanes]
    for thread in threads:
        thread.start()
    while not stopped.wait(CHECK_S):
        if all(lane.ready.is_set() for lane in lanes):
            log.info("ready")
            stopped.wait()
    deadline = time.monotonic() + STOP_S
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
        if thread.is_alive():
            log.warning("%s did not finish in %d s; the next start settles what it planned", thread.name, STOP_S)
    for failure in failures[1:]:
        log.error("%s", failure)
    if failures:
        raise failures[0]
