"""An evaluator that is said once: on every score within, and on none outside."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import scoreline
from scoreline.client import Client
from scoreline.errors import InvalidScore, PermanentError
from scoreline.evaluating import current_evaluator
from scoreline.kafka import ensure_topics
from scoreline.settings import Settings
from scoreline.topics import declare_topics
from tests.support import read_topic

JUDGE = {"name": "judge", "version": "3", "model": "m-7"}


def test_scores_within_carry_the_evaluator(settings: Settings) -> None:
    """And `EVAL` as their source; what a call says itself wins; the innermost counts."""
    ensure_topics(settings)
    with Client(settings) as client:

        def emit(name: str, **more: Any) -> None:
            client.create_score(name=name, value=1, trace_id="t", **more)

        emit("before")
        with scoreline.evaluator("judge", version="3", model="m-7"):
            emit("within")
            with scoreline.evaluator("inner"):
                emit("inner")
            emit("own", evaluator={"name": "other"}, source="ANNOTATION")
            emit("own source", source="API")
        emit("after")
    messages = read_topic(settings, declare_topics(settings).raw.name)
    scores = {fields["name"]: fields for fields in (json.loads(message.value() or b"") for message in messages)}
    assert {name: (fields.get("evaluator"), fields.get("source")) for name, fields in scores.items()} == {
        "before": (None, None),
        "within": (JUDGE, "EVAL"),
        "inner": ({"name": "inner"}, "EVAL"),
        "own": ({"name": "other"}, "ANNOTATION"),
        "own source": (JUDGE, "API"),
        "after": (None, None),
    }


def test_decorated_function_is_within_and_hides_nothing() -> None:
    """Arguments, result, name and exception go through; afterwards it is over."""

    @scoreline.evaluator("judge", version="3", model="m-7")
    def judge(answer: str, *, fail: bool = False) -> tuple[str, object]:
        """Docs."""
        if fail:
            raise LookupError(answer)
        return answer, current_evaluator()

    assert judge("a") == ("a", JUDGE)
    with pytest.raises(LookupError, match="b"):
        judge("b", fail=True)
    assert (judge.__name__, judge.__doc__, current_evaluator()) == ("judge", "Docs.", None)


def test_evaluators_of_concurrent_tasks_do_not_mix() -> None:
    """Each task has its own; one decorator serves many calls at once, and threads that asyncio starts inherit it."""

    @scoreline.evaluator("outer")
    async def judge(pause_s: float) -> list[object]:
        seen: list[object] = [current_evaluator()]
        await asyncio.sleep(pause_s)
        with scoreline.evaluator(f"inner {pause_s}"):
            await asyncio.sleep(pause_s)
            seen.append(current_evaluator())
            seen.append(await asyncio.to_thread(current_evaluator))
        return [*seen, current_evaluator()]

    async def side_by_side() -> list[list[object]]:
        return await asyncio.gather(*(judge(pause_s) for pause_s in (0.02, 0.01, 0.005)))

    outer = {"name": "outer"}
    for pause_s, seen in zip((0.02, 0.01, 0.005), asyncio.run(side_by_side()), strict=True):
        assert seen == [outer, {"name": f"inner {pause_s}"}, {"name": f"inner {pause_s}"}, outer]


def test_evaluators_of_threads_do_not_mix() -> None:
    """One object, entered by many threads at once and more than once."""
    judge, seen = scoreline.evaluator("judge"), []
    meet = threading.Barrier(4)

    def work() -> None:
        with judge:
            meet.wait(10)
            with judge:
                meet.wait(10)
            seen.append(current_evaluator())
        seen.append(current_evaluator())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert sorted(seen, key=str) == [*[None] * 4, *[{"name": "judge"}] * 4]


def test_evaluator_that_no_score_could_carry_is_refused_at_once() -> None:
    """When it is made, not at its first score."""
    with pytest.raises(InvalidScore, match="name"):
        scoreline.evaluator("")
    with pytest.raises(InvalidScore, match="version"):
        scoreline.evaluator("judge", version="x" * 201)


def test_generator_is_refused() -> None:
    """Between its items the caller's own scores would carry its evaluator."""

    def judge() -> Iterator[int]:
        yield 1

    with pytest.raises(PermanentError, match="judge is a generator"):
        scoreline.evaluator("judge")(judge)
