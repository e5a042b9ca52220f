"""Who judges: an evaluator's name, version and model, said once for every score that is emitted within."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextvars import ContextVar
from functools import wraps
from types import TracebackType
from typing import NamedTuple, ParamSpec, TypeVar, cast

from pydantic import ValidationError

from scoreline.errors import InvalidScore, PermanentError
from scoreline.events import Evaluator
from scoreline.rejections import rejection_of

P = ParamSpec("P")
R = TypeVar("R")


class _Judging(NamedTuple):
    fields: dict[str, str]
    outer: _Judging | None


_judging: ContextVar[_Judging | None] = ContextVar("scoreline_evaluator", default=None)


class evaluator:
    """A decorator and a context manager: scores emitted within carry this evaluator, and `EVAL` as their source.

        @scoreline.evaluator("toxicity-judge", version="3", model="m-7")
        async def judge(answer): ...

        with scoreline.evaluator("toxicity-judge"):
            scoreline.score_current_span(name="toxicity", value=0.1)

    It follows the context: into the tasks of asyncio and `asyncio.to_thread`, not into threads that are started by
    other means. The innermost one counts; what a call says itself (`evaluator=`, `source=`) wins. An exception goes
    through as it is: whether it makes a failed score is the evaluator's to decide (`error=`).
    """

    def __init__(self, name: str, *, version: str | None = None, model: str | None = None) -> None:
        """Raises InvalidScore when no score could carry it."""
        try:
            self._fields = Evaluator(name=name, version=version, model=model).model_dump(exclude_none=True)
        except ValidationError as error:
            raise InvalidScore(rejection_of(error)) from error

    def __enter__(self) -> None:
        _judging.set(_Judging(self._fields, _judging.get()))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        judging = _judging.get()
        _judging.set(judging and judging.outer)

    def __call__(self, judge: Callable[P, R]) -> Callable[P, R]:
        """`judge`, each call of which is within. Raises PermanentError for a generator, which is left and entered
        again between its caller's own scores: use the context manager around the call that emits."""
        if inspect.isgeneratorfunction(judge) or inspect.isasyncgenfunction(judge):
            raise PermanentError(f"{judge.__qualname__} is a generator: use `with scoreline.evaluator(…)` inside it")
        if inspect.iscoroutinefunction(judge):

            @wraps(judge)
            async def within_task(*args: P.args, **kwargs: P.kwargs) -> object:
                with self:
                    return await judge(*args, **kwargs)

            return cast("Callable[P, R]", within_task)

        @wraps(judge)
        def within(*args: P.args, **kwargs: P.kwargs) -> R:
            with self:
                return judge(*args, **kwargs)

        return within


def current_evaluator() -> dict[str, str] | None:
    """Name, version and model of the innermost evaluator, as a record has them; None outside of any."""
    judging = _judging.get()
    return None if judging is None else judging.fields
