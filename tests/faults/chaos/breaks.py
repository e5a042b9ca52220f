"""Protocols with one step wrong, to see that the campaign notices. Put in place from outside, in one process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

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


def _worker_commits_outputs_apart() -> None:
    """What a batch puts out is committed before its changelog and its offset."""
    from scoreline_streams.transactions import Transactions

    produce_changelog = Transactions._produce_changelog

    def commit_outputs(self: Any, values: Any) -> None:
        self._producer.commit_transaction(CALL_TIMEOUT_S)
        self._producer.begin_transaction()
        produce_changelog(self, values)

    cast(Any, Transactions)._produce_changelog = commit_outputs


def _sink_ends_before_it_inserts() -> None:
    """Offsets behind the rows are committed where the plan should be."""
    from scoreline_sink.lane import Lane
    from scoreline_sink.plan import decode_all

    send = Lane._send

    def send_ends(self: Any, offsets: dict[int, tuple[int, str]], *letters: Any) -> None:
        ends = {
            p: (decode_all(text)[-1].ends[p], "") if text else (offset, "") for p, (offset, text) in offsets.items()
        }
        send(self, ends, *letters)

    cast(Any, Lane)._send = send_ends


def _sink_settles_nothing() -> None:
    """The plan of the last owner is taken for done."""
    from scoreline_sink import recovery

    cast(Any, recovery).settle = lambda *_: {}


BREAKS = {
    "worker-trusts-its-state": Break("worker", _worker_trusts_its_state, "worker.produced", "lost"),
    "worker-commits-outputs-apart": Break("worker", _worker_commits_outputs_apart, "worker.committed", "double"),
    "sink-ends-before-it-inserts": Break("sink", _sink_ends_before_it_inserts, "sink.enriched.planned", "lost"),
    "sink-settles-nothing": Break("sink", _sink_settles_nothing, "sink.rejected.planned", "rejected"),
}
