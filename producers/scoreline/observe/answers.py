"""What /metrics, /healthz and /readyz answer, whichever server serves them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import NamedTuple

from scoreline.observe import meter
from scoreline.observe.health import Health

JSON = "application/json"


class Answer(NamedTuple):
    """An HTTP answer."""

    status: int
    content_type: str
    body: bytes


def answers(health: Health) -> Mapping[str, Callable[[], Answer]]:
    """Path → what it answers."""
    return {
        "/metrics": lambda: Answer(200, meter.CONTENT_TYPE, meter.text()),
        "/healthz": lambda: alive(health),
        "/readyz": lambda: ready(health),
    }


def alive(health: Health) -> Answer:
    """200 while every loop turns; 503 names those that do not."""
    still = health.still()
    if still:
        return _answer(503, {"status": "stuck", "still_for_s": still})
    return _answer(200, {"status": "ok"})


def ready(health: Health) -> Answer:
    """200 while the process can work; 503 says what it lacks."""
    lacks = health.lacks()
    if lacks:
        return _answer(503, {"status": "not ready", "lacks": lacks})
    return _answer(200, {"status": "ready"})


def _answer(status: int, content: object) -> Answer:
    return Answer(status, JSON, json.dumps(content).encode())
