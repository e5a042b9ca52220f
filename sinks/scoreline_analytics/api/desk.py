"""Threads that answer questions: so many at once, so many waiting, none for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import TypeVar

from scoreline.errors import RequestRefused
from scoreline.observe import catalogue, meter

T = TypeVar("T")

THREADS = 8
WAITING_MAX = 32
"""Questions that wait for a thread; more are refused."""
ANSWER_S = 60.0
"""How long an answer may take; ClickHouse gives up each of its queries before."""
RETRY_AFTER_S = 2


class Desk:
    """A bounded pool of threads for one event loop."""

    def __init__(self, threads: int = THREADS, waiting_max: int = WAITING_MAX) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="answer")
        self._most = threads + waiting_max
        self._open = 0
        self._lock = Lock()

    async def ask(self, question: Callable[[], T], timeout_s: float = ANSWER_S) -> T:
        """What the question returns or raises. Raises RequestRefused: 503 when too many wait, 504 when it takes too
        long; a thread cannot be stopped, so the question then counts until it ends."""
        answer = self.begin(question)
        waiting = asyncio.wrap_future(answer)
        done, _ = await asyncio.wait({waiting}, timeout=timeout_s)
        if not done:
            answer.cancel()
            raise timed_out(f"no answer within {timeout_s:g} s")
        return waiting.result()

    def begin(self, question: Callable[[], T]) -> Future[T]:
        """Have a thread answer. Raises RequestRefused 503."""
        with self._lock:
            if self._open >= self._most:
                raise RequestRefused(
                    503,
                    "overloaded",
                    f"{self._most} questions are being answered or wait already",
                    "Ask again after Retry-After.",
                    RETRY_AFTER_S,
                )
            self._open += 1
            meter.put(catalogue.UI_QUESTIONS, self._open)
        answer = self._pool.submit(question)
        answer.add_done_callback(self._end)
        return answer

    def close(self) -> None:
        """Take nothing more; what has begun ends by its own bounds."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _end(self, answer: Future[T]) -> None:
        with self._lock:
            self._open -= 1
            meter.put(catalogue.UI_QUESTIONS, self._open)
        if not answer.cancelled():
            answer.exception()


def timed_out(message: str) -> RequestRefused:
    """The answer to a question that takes too long."""
    return RequestRefused(
        504, "timeout", message, "Ask for less: a shorter time, fewer dimensions, no quantiles or a rollup's fields."
    )
