"""Protocols with one step wrong, to see that the campaign notices. Put in place from outside, in one process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from confluent_kafka import TopicPartition

from scoreline.kafka import CALL_TIMEOUT_S


@dataclass(frozen=True)
class Break:
    """One wrong step, and where a kill shows it."""

    process: str
    """`worker` or `sink`."""
    install: Callable[[], None]
    point: str
    """Killed here, the wrong step costs something every time."""
    finding: str
    """A word of the fault that the account then names."""


def _worker_trusts_its_state() -> None:
    """An id that the state knows is a duplicate, even at its own offset; and the state is on disk before the commit."""
    from scoreline_streams import batch
    from scoreline_streams.state import State

    write = State.write

    def write_through(self: Any, entries: Any) -> None:
        write(self, entries)
        self._db.flush()

    cast(Any, batch).first_offset = lambda _seen: -1
    cast(Any, State).write = write_through


def _worker_commits_offsets_apart() -> None:
    """Offsets are committed behind the batch's transaction, in one of their own."""
    from scoreline_streams.transactions import Transactions

    def commit(self: Any, next_offset: int) -> None:
        self._producer.commit_transaction(CALL_TIMEOUT_S)
        if self._changelog_sent is not None:
            self.changelog_end = self._changelog_sent + 1
        self._producer.begin_transaction()
        raw = TopicPartition(self._topics.raw.name, self.partition, next_offset)
        self._producer.send_offsets_to_transaction([raw], self._metadata, CALL_TIMEOUT_S)
        self._producer.commit_transaction(CALL_TIMEOUT_S)

    cast(Any, Transactions).commit = commit


def _sink_ends_before_it_inserts() -> None:
    """Offsets behind the rows are committed where the plan should be."""
    from scoreline_sink.lane import Lane
    from scoreline_sink.plan import decode

    send = Lane._send

    def send_ends(self: Any, offsets: dict[int, tuple[int, str]]) -> None:
        ends = {p: (decode(plan).ends[p], "") if plan else (offset, "") for p, (offset, plan) in offsets.items()}
        send(self, ends)

    cast(Any, Lane)._send = send_ends


def _sink_settles_nothing() -> None:
    """The plan of the last owner is taken for done."""
    from scoreline_sink import recovery

    cast(Any, recovery).settle = lambda *_: None


BREAKS = {
    "worker-trusts-its-state": Break("worker", _worker_trusts_its_state, "worker.produced", "lost"),
    "worker-commits-offsets-apart": Break("worker", _worker_commits_offsets_apart, "worker.committed", "double"),
    "sink-ends-before-it-inserts": Break("sink", _sink_ends_before_it_inserts, "sink.enriched.planned", "lost"),
    "sink-settles-nothing": Break("sink", _sink_settles_nothing, "sink.rejected.planned", "rejected"),
}
