"""Turns between a caller that emits without a pause and the thread that serves its delivery reports."""

from __future__ import annotations

import threading
import time

import pytest

from scoreline.client import Client
from scoreline.delivery import Acknowledgement
from scoreline.errors import ScorelineError
from scoreline.kafka import ensure_topics
from scoreline.settings import Settings
from scoreline.turns import POLL_S, TURN_EVENTS, TURN_S, Turns
from tests.support import eventually


def test_reports_are_waited_for_while_no_turn_is_given() -> None:
    """A turn is served for what is there; the next one is waited for, and when there is none reports are again."""
    turns, waits = Turns(), list[float]()
    turns.give()
    for _ in range(3):
        turns.take(waits.append)
    assert waits == [0.0, POLL_S, POLL_S]


def test_caller_goes_on_when_its_turn_was_served(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the thread awaits turns."""
    monkeypatch.setattr("scoreline.turns.TURN_S", 30.0)
    turns, waits, seen = Turns(), list[float](), list[int]()

    def emit() -> None:
        for _ in range(3):
            turns.give()
            seen.append(len(waits))

    turns.give()
    turns.take(waits.append)
    caller = threading.Thread(target=emit)
    caller.start()
    for served in (2, 3, 4):
        turns.take(waits.append)
        eventually(lambda served=served: len(seen) == served - 1, "the caller goes on")
    caller.join()
    assert seen == [2, 3, 4]
    assert waits == [0.0] * 4


def test_caller_pauses_no_longer_than_it_may() -> None:
    """Neither for a thread that is stuck in what it tells, nor for itself in what that emits."""
    turns = Turns()
    turns.give()

    def emit(_timeout_s: float) -> None:
        began = time.monotonic()
        turns.give()
        assert time.monotonic() - began < TURN_S / 2

    thread = threading.Thread(target=turns.take, args=[emit])
    thread.start()
    thread.join()
    began = time.monotonic()
    turns.give()
    assert TURN_S / 2 < time.monotonic() - began < TURN_S * 20


@pytest.mark.parametrize("events", [10 * TURN_EVENTS])
def test_what_is_told_may_wait_for_its_emitter_and_emit_itself(settings: Settings, events: int) -> None:
    """A callback that needs a lock which the caller holds while it emits costs time, and nothing hangs."""
    ensure_topics(settings)
    lock, told = threading.Lock(), list[Acknowledgement | ScorelineError]()
    with Client(settings) as client:

        def tell(outcome: Acknowledgement | ScorelineError) -> None:
            with lock:
                told.append(outcome)
            client.send(b"default/echo", b"{}")

        with lock:
            for number in range(events):
                client.send(b"default/%d" % number, b"{}", tell)
        eventually(lambda: client.flush(1) == 0, "everything is acknowledged")
        assert client.delivery.acknowledged == 2 * events
    assert len(told) == events
