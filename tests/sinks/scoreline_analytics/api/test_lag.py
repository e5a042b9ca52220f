"""The lag that many threads ask for."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import scoreline.lag
from scoreline.settings import load_settings
from scoreline_analytics.api.lag import PATIENCE_S, UNKNOWN, Lag


def test_broker_that_is_away_holds_one_thread_and_not_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others hear soon that nothing is known; so the threads are free for questions to ClickHouse."""
    monkeypatch.setattr(scoreline.lag, "_CALL_S_MAX", 2.0)
    lag = Lag(load_settings(kafka="127.0.0.1:1"))

    def timed() -> float:
        started = time.monotonic()
        assert lag.now() == UNKNOWN
        return time.monotonic() - started

    with ThreadPoolExecutor(4) as threads:
        taken = sorted(threads.map(lambda _: timed(), range(4)))
    assert taken[-1] > PATIENCE_S + 1
    assert taken[-2] < PATIENCE_S + 1
