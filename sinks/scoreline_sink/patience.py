"""Waiting for a server for as long as it takes: bounded backoff, and a line at intervals that says what for."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from threading import Event
from typing import TypeVar

from scoreline.errors import RetryableError
from scoreline.observe.health import health

T = TypeVar("T")

log = logging.getLogger(__name__)

DELAY_MIN_S, DELAY_MAX_S = 0.1, 1.0
REPORT_S = 5.0


class Patience:
    """Between the tries of one caller. Ends by `cancelled`."""

    def __init__(self, cancelled: Event, what: str | None = None) -> None:
        """While `what` waits for longer than `REPORT_S` the process counts as not ready."""
        self._cancelled, self._what = cancelled, what
        self._delay_s = DELAY_MIN_S
        self._report_at = self._since = 0.0

    def wait(self, error: RetryableError) -> None:
        """Sleep before the next try. Raises `error` once cancelled."""
        now = time.monotonic()
        health.turn()
        self._since = self._since or now
        if now >= self._report_at:
            log.warning("waiting: %s", error)
            self._report_at = now + REPORT_S
        if self._what is not None and now - self._since >= REPORT_S:
            health.say(self._what, f"wait ({type(error).__name__})")
        if self._cancelled.wait(self._delay_s):
            self._go_on()
            raise error
        self._delay_s = min(self._delay_s * 2, DELAY_MAX_S)

    def over(self) -> None:
        """The call succeeded: say so if it was said that there is a wait, and be ready for the next one."""
        if self._report_at:
            log.info("going on")
        self._go_on()
        self._report_at, self._delay_s = 0.0, DELAY_MIN_S

    def _go_on(self) -> None:
        if self._what is not None and self._since:
            health.drop(self._what)
        self._since = 0.0


def patiently(call: Callable[[], T], cancelled: Event) -> T:
    """The result of `call`, tried again for as long as it raises RetryableError; raises that once cancelled."""
    patience = Patience(cancelled)
    while True:
        try:
            result = call()
        except RetryableError as error:
            patience.wait(error)
        else:
            patience.over()
            return result
