"""A process that emits at a steady rate: `python -m tests.benchmarks.paced RUN RATE SECONDS FILE`.

Open loop: event n is due n / RATE seconds after the first, whether the ones before were taken or not, and what is late
is sent at once. So a client or broker that stalls shows as lateness and in every figure counted from `due`, and does
not thin out the load. FILE gets one row of `LEDGER` for each event. Settings come from the environment.
"""

from __future__ import annotations

import sys
import time
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from scoreline.client import Client
from scoreline.delivery import Acknowledgement
from scoreline.errors import ScorelineError
from scoreline.preparing import prepare
from scoreline.settings import load_settings

LEDGER: Final = np.dtype(
    [("due", "f8"), ("called", "f8"), ("acknowledged", "f8"), ("partition", "i4"), ("offset", "i8")]
)
"""Times in seconds of `time.time`; `acknowledged` is when the client's callback ran, NaN: never. Offset -1: unknown."""
TICK_S = 0.001
"""Shortest sleep: at 5,000/s five events are due together."""


def score_id(run: str, number: int) -> str:
    """The id of an event; its last nine digits are its number."""
    return f"{run}-{number:09d}"


def fields(run: str, number: int) -> dict[str, Any]:
    """An event as an evaluator of a chat service would emit it."""
    return {
        "score_id": score_id(run, number),
        "name": "accuracy",
        "value": number % 1000 / 1000,
        "trace_id": f"{number:032x}",
        "observation_id": f"{number:016x}",
        "comment": "close to the reference answer",
        "metadata": {"model": "judge-large"},
        "source": "EVAL",
        "evaluator": {"name": "judge", "version": "3"},
        "service": "checkout",
    }


def emit(client: Client, run: str, rate: int, count: int) -> np.ndarray[Any, np.dtype[Any]]:
    """Emit `count` events at `rate` a second and wait for their acknowledgements; the ledger."""
    ledger = np.zeros(count, LEDGER)
    ledger["acknowledged"] = np.nan
    ledger["offset"] = -1
    acknowledged, partitions, offsets = ledger["acknowledged"], ledger["partition"], ledger["offset"]
    clock = time.time

    def delivered(number: int, outcome: Acknowledgement | ScorelineError) -> None:
        if isinstance(outcome, Acknowledgement):
            acknowledged[number] = clock()
            partitions[number] = outcome.partition
            offsets[number] = -1 if outcome.offset is None else outcome.offset

    start = clock() + 0.1
    ledger["due"] = start + np.arange(count) / rate
    due, called = ledger["due"].tolist(), ledger["called"]
    for number in range(count):
        while (ahead := due[number] - clock()) > 0:
            time.sleep(max(ahead, TICK_S))
        now = called[number] = clock()
        event, record = prepare(fields(run, number), int(now * 1000))
        client.send(event.key, record, partial(delivered, number))
    client.flush()
    return ledger


def main() -> None:
    """Entry point."""
    run, rate, seconds, file = sys.argv[1:]
    with Client(load_settings()) as client:
        ledger = emit(client, run, int(rate), round(int(rate) * float(seconds)))
    np.save(Path(file), ledger)


if __name__ == "__main__":
    main()
