"""The named steps at which a campaign kills worker and sink, put round the product's functions from outside.

Each name stands for one row of the crash table in ARCHITECTURE.md.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, cast

import confluent_kafka

from tests.faults.chaos.trigger import Trigger

WORKER_POINTS = (
    "worker.fenced",
    "worker.restoring",
    "worker.state_written",
    "worker.begun",
    "worker.produced",
    "worker.offsets_sent",
    "worker.committing",
    "worker.committed",
)
"""In the order in which a worker passes them."""
LANES = ("enriched", "rejected")
SINK_STEPS = ("before_plan", "planned", "half_sent", "sent", "inserted", "ended", "recovering")
"""In the order in which a lane of a sink passes them: `sink.<lane>.<step>`."""
SINK_POINTS = tuple(f"sink.{lane}.{step}" for lane in LANES for step in SINK_STEPS)
AT_START = ("worker.fenced", "worker.restoring")
"""Passed only by a worker that takes partitions over."""
COMMITTING_S_MAX = 0.01


def instrument_worker(trigger: Trigger) -> None:
    """Put the worker's points in place; called before it starts."""
    from scoreline_streams import partition, transactions
    from scoreline_streams.transactions import Transactions

    class Producer(confluent_kafka.Producer):
        def begin_transaction(self) -> None:
            super().begin_transaction()
            trigger.reach("worker.begun")

        def send_offsets_to_transaction(self, *arguments: Any) -> None:
            trigger.reach("worker.produced", lambda: self.flush(5.0))
            super().send_offsets_to_transaction(*arguments)
            trigger.reach("worker.offsets_sent")

        def commit_transaction(self, *arguments: Any) -> None:
            if trigger.take("worker.committing"):
                threading.Timer(random.uniform(0, COMMITTING_S_MAX), trigger.die, ("worker.committing",)).start()
            super().commit_transaction(*arguments)
            trigger.reach("worker.committed")

    cast(Any, transactions).Producer = Producer
    _before(Transactions, "_committed_offset", lambda *_: trigger.reach("worker.fenced"))
    _before(Transactions, "begin", lambda *_: trigger.reach("worker.state_written"))

    restore: Callable[..., int] = partition.restore

    def restore_and_die(settings: Any, topic: str, number: int, state: Any, *others: Any) -> int:
        write = state.write

        def write_and_die(entries: Any) -> None:
            write(entries)
            trigger.reach("worker.restoring")

        state.write = write_and_die
        try:
            return restore(settings, topic, number, state, *others)
        finally:
            del state.write

    cast(Any, partition).restore = restore_and_die


def instrument_sink(trigger: Trigger) -> None:
    """Put the sink's points in place; called before it starts."""
    from urllib3.connection import HTTPConnection

    from scoreline_sink import lane
    from scoreline_sink.clickhouse import ClickHouse
    from scoreline_sink.lane import Lane

    now_inserting = threading.local()
    commit, recover, insert = Lane._commit, lane.recover, ClickHouse.insert
    send, getresponse = HTTPConnection.send, HTTPConnection.getresponse

    def commit_and_die(self: Any, landed: Any, planned: Any) -> None:
        name = _lane(self.topic)
        has_stored = any(flight.plan is not None for flight in landed)
        if has_stored:
            trigger.reach(f"sink.{name}.inserted")
        if planned is not None:
            trigger.reach(f"sink.{name}.before_plan")
        commit(self, landed, planned)
        if has_stored:
            trigger.reach(f"sink.{name}.ended")
        if planned is not None:
            trigger.reach(f"sink.{name}.planned")

    def recover_and_die(settings: Any, route: Any, handover: Any, cancelled: Any) -> Any:
        letters = recover(settings, route, handover, cancelled)
        if handover.plans:
            trigger.reach(f"sink.{_lane(route.topic)}.recovering")
        return letters

    @wraps(insert)
    def insert_by_name(self: Any, table: str, *arguments: Any) -> None:
        now_inserting.lane = "rejected" if "rejected" in table else "enriched"
        try:
            insert(self, table, *arguments)
        finally:
            now_inserting.lane = None

    def send_and_die(self: Any, data: Any) -> None:
        name = getattr(now_inserting, "lane", None)
        if name is not None and isinstance(data, memoryview):
            trigger.reach(f"sink.{name}.half_sent", lambda: send(self, data[: len(data) // 2]))
        send(self, data)

    def getresponse_and_die(self: Any) -> Any:
        name = getattr(now_inserting, "lane", None)
        if name is not None:
            trigger.reach(f"sink.{name}.sent", lambda: time.sleep(random.uniform(0, COMMITTING_S_MAX)))
        return getresponse(self)

    patches: Mapping[tuple[Any, str], Any] = {
        (Lane, "_commit"): commit_and_die,
        (lane, "recover"): recover_and_die,
        (ClickHouse, "insert"): insert_by_name,
        (HTTPConnection, "send"): send_and_die,
        (HTTPConnection, "getresponse"): getresponse_and_die,
    }
    for (owner, name), patch in patches.items():
        setattr(owner, name, patch)


def _before(owner: Any, name: str, look: Callable[..., None]) -> None:
    original = getattr(owner, name)

    @wraps(original)
    def with_look(*arguments: Any) -> Any:
        look(*arguments)
        return original(*arguments)

    setattr(owner, name, with_look)


def _lane(topic: str) -> str:
    return topic.rpartition(".")[2]
