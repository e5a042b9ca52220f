"""The load of a campaign: one process that emits until it is told to stop, and its ledger of what was acknowledged."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from scoreline.client import Client
from scoreline.settings import Settings, load_settings
from scoreline.topics import record_key
from tests.documents import ROOT
from tests.support import environment

RATE = 1000
REPEAT_EVERY, BREAK_EVERY = 10, 50
FLUSH_S_MAX = 300.0


@dataclass(frozen=True)
class Ledger:
    """What the emitter did; every one of its calls was acknowledged."""

    calls: int
    scores: int
    """Ids `c-0` to `c-<scores - 1>`, each emitted once or more with the same content."""
    repeats: int
    broken: int
    """Records that are no JSON, `broken-0` to `broken-<broken - 1>`."""


def value_of(number: int) -> int:
    """The value of score `c-<number>`."""
    return number % 101


def emit(stopped: Callable[[], bool], rate: int = RATE) -> Ledger:
    """Emit `rate` events a second until `stopped`, repeating and breaking some; returns when all are acknowledged."""
    calls = scores = repeats = broken = 0
    options = {"message.timeout.ms": "0"}
    settings = load_settings(queue_wait_s=FLUSH_S_MAX, flush_s=FLUSH_S_MAX, kafka_options=options)
    with Client(settings) as client:
        started = time.monotonic()
        while not stopped():
            while calls < (time.monotonic() - started) * rate and not stopped():
                calls += 1
                if calls % BREAK_EVERY == 0:
                    client.send(record_key(client.settings.project, f"broken-{broken}"), b"{broken")
                    broken += 1
                elif calls % REPEAT_EVERY == 1 and scores > 1000:
                    _score(client, scores - 1 - calls % 1000)
                    repeats += 1
                else:
                    _score(client, scores)
                    scores += 1
            time.sleep(0.002)
    return Ledger(calls, scores, repeats, broken)


def _score(client: Client, number: int) -> None:
    client.create_score(name=f"n{number % 5}", value=value_of(number), trace_id="t", score_id=f"c-{number}")


class Emitter:
    """`emit` in a process of its own."""

    def __init__(self, settings: Settings, log: Path) -> None:
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.chaos.emitter"],
                cwd=ROOT,
                env=environment(settings),
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                # Ctrl-C is for the campaign, which then asks for the ledger
                start_new_session=True,
            )

    @property
    def lives(self) -> bool:
        return self._process.poll() is None

    def finish(self) -> Ledger:
        """Stop emitting, wait until all is acknowledged."""
        self._process.terminate()
        output, _ = self._process.communicate(timeout=FLUSH_S_MAX)
        assert self._process.returncode == 0, "the emitter failed"
        return Ledger(**json.loads(output))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._process:
            self._process.kill()


def _main() -> None:
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    sys.stdout.write(json.dumps(asdict(emit(stopped.is_set))))


if __name__ == "__main__":
    _main()
