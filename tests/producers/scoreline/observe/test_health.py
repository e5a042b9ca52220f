"""Alive and ready, as they are told."""

from __future__ import annotations

import json
import threading
from pathlib import Path

from scoreline.observe.answers import answers
from scoreline.observe.health import Health


class Clock:
    """Seconds that a test sets."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def told(health: Health, path: str) -> tuple[int, dict[str, object]]:
    status, _, body = answers(health)[path]()
    return status, json.loads(body)


def test_process_is_ready_once_every_condition_holds(tmp_path: Path) -> None:
    """The ready file and /readyz say the same, and what is lacking is named."""
    health, file = Health(), tmp_path / "ready"
    file.touch()
    health.begin(file, 10.0, "kafka", "partitions")
    assert not file.exists(), "a file of an earlier life says nothing"
    health.say("kafka", None)
    assert told(health, "/readyz") == (503, {"status": "not ready", "lacks": {"partitions": "starting"}})
    health.say("partitions", None)
    assert told(health, "/readyz") == (200, {"status": "ready"})
    assert file.exists()
    health.say("kafka", "does not answer")
    assert not file.exists()
    health.drop("kafka")
    assert file.exists()
    health.end()
    assert not file.exists()


def test_loop_that_stands_still_is_no_life() -> None:
    """Also when another one goes on; a thread that has left is not missed."""
    clock = Clock()
    health = Health(clock)
    health.begin(None, 10.0)
    health.turn("main")
    other = threading.Thread(target=lambda: (health.turn("other"), health.leave()))
    stuck = threading.Thread(target=lambda: health.turn("stuck"))
    for thread in (other, stuck):
        thread.start()
        thread.join()
    clock.now += 9.0
    health.turn()
    assert told(health, "/healthz") == (200, {"status": "ok"})
    clock.now += 2.0
    assert told(health, "/healthz") == (503, {"status": "stuck", "still_for_s": {"stuck": 11.0}})


def test_thread_that_nobody_expects_does_not_count() -> None:
    """A thread that waits for a server turns no loop."""
    clock = Clock()
    health = Health(clock)
    health.begin(None, 10.0)
    health.turn()
    clock.now += 100.0
    assert health.still() == {}
