"""`scoreline sink` that is killed, or gets no answer, at a named step of the first plan with refused records.

python -m tests.sinks.scoreline_sink.dying_sink STEP
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable
from typing import Any, NoReturn

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException

from scoreline_sink import cli, ending, lane, settle

KILLED = (
    "before the narrowed insert",
    "after the narrowed insert",
    "before the transaction",
    "before the offsets",
    "before the commit",
    "after the commit",
)
UNANSWERED = ("no answer to the offsets", "no answer to a commit that was not done", "no answer to a commit")


def _die(*_: Any, **__: Any) -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def _no_answer() -> NoReturn:
    raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "no answer", retriable=True))


class _Producer(confluent_kafka.Producer):
    """Fails at the step, once."""

    step = ""

    def send_offsets_to_transaction(self, *arguments: Any) -> None:
        if self.step == "before the offsets":
            self.flush(10)
            _die()
        super().send_offsets_to_transaction(*arguments)
        self._once("no answer to the offsets")

    def commit_transaction(self, *arguments: Any) -> None:
        if self.step == "before the commit":
            self.flush(10)
            _die()
        self._once("no answer to a commit that was not done")
        super().commit_transaction(*arguments)
        if self.step == "after the commit":
            _die()
        self._once("no answer to a commit")

    def _once(self, step: str) -> None:
        if self.step == step:
            _Producer.step = ""
            _no_answer()


def _when_refused(die: Callable[..., Any]) -> Callable[..., Any]:
    write = lane.write_letters

    def write_letters(settings: Any, route: Any, refusals: Any, cancelled: Any) -> Any:
        return die() if refusals else write(settings, route, refusals, cancelled)

    return write_letters


def main() -> None:
    """Put the step in and run."""
    logging.basicConfig(level=logging.INFO)
    step = sys.argv[1]
    _Producer.step = step
    patched: Any = ending
    patched.Producer = _Producer
    # how long the successor waits for what this one leaves open
    patched.TRANSACTION_TIMEOUT_MS = 2000
    outer: Any = lane
    judge: Any = settle._Judge
    if step == "before the narrowed insert":
        judge.refuse = _die
    elif step == "after the narrowed insert":
        outer.write_letters = _when_refused(_die)
    elif step == "before the transaction":
        outer.end_with_letters = _die
    cli.sink()


if __name__ == "__main__":
    main()
