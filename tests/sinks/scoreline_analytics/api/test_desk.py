"""Bounds of the threads that answer, and the answers to what takes too long."""

from __future__ import annotations

import asyncio
from threading import Event

import pytest

from scoreline.errors import ClickHouseUnavailable, QueryError, RequestRefused
from scoreline_analytics.api.answering import refusal_of
from scoreline_analytics.api.desk import Desk


def test_more_questions_than_threads_and_places_are_503_until_one_ends() -> None:
    """And those that were taken are all answered."""

    async def ask() -> None:
        desk, released = Desk(threads=1, waiting_max=1), Event()
        taken = [asyncio.create_task(desk.ask(released.wait)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(RequestRefused) as refused:
            await desk.ask(lambda: None)
        assert (refused.value.status, refused.value.retry_after_s) == (503, 2)
        released.set()
        assert await asyncio.gather(*taken) == [True, True]
        assert await desk.ask(lambda: 7) == 7
        desk.close()

    asyncio.run(ask())


def test_answer_that_takes_too_long_is_504_and_counts_until_its_thread_is_free() -> None:
    """A question that only waits is taken back at once."""

    async def ask() -> None:
        desk, released = Desk(threads=1, waiting_max=1), Event()
        for _ in range(2):
            with pytest.raises(RequestRefused) as refused:
                await desk.ask(released.wait, timeout_s=0.05)
            assert refused.value.status == 504
        with pytest.raises(RequestRefused) as refused:
            await asyncio.gather(desk.ask(lambda: 1, timeout_s=0.05), desk.ask(lambda: 2))
        assert refused.value.status == 503
        released.set()
        desk.close()

    asyncio.run(ask())


def test_errors_of_a_question_have_their_status() -> None:
    """A query that ClickHouse gave up is 504, one that nobody can ask 400."""

    class GivenUp(Exception):
        code = 159

    late = QueryError("ClickHouse: TIMEOUT_EXCEEDED")
    late.__cause__ = GivenUp()
    assert refusal_of(late).status == 504
    assert refusal_of(QueryError("no dimension")).status == 400
    unavailable = refusal_of(ClickHouseUnavailable("away"))
    assert (unavailable.status, unavailable.retry_after_s) == (503, 5)
