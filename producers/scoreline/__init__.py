"""Emit evaluation scores: `import scoreline; scoreline.create_score(name="accuracy", value=0.92, trace_id="…")`,
and consume them behind the pipeline: `for score in scoreline.consume(group="alerts"): …`.

The module-level functions share one client, made at the first call from the settings (`SCORELINE_*`) and flushed when
the process ends. They are the methods of `Client`, which is for more than one project or cluster.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from importlib import import_module
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from scoreline.client import Client
from scoreline.delivery import Acknowledgement, Delivery
from scoreline.errors import (
    InvalidScore,
    KafkaUnavailable,
    MalformedRecord,
    PermanentError,
    QueueFull,
    RetryableError,
    ScorelineError,
    SettingsError,
)
from scoreline.evaluating import evaluator
from scoreline.fields import Score
from scoreline.handles import Handle
from scoreline.lifetime import making

if TYPE_CHECKING:
    from scoreline.consuming import AsyncScoreConsumer, ScoreConsumer, consume, consume_async
    from scoreline.enriched import EnrichedScore

__all__ = [
    "Acknowledgement",
    "AsyncScoreConsumer",
    "Client",
    "Delivery",
    "EnrichedScore",
    "Handle",
    "InvalidScore",
    "KafkaUnavailable",
    "MalformedRecord",
    "PermanentError",
    "QueueFull",
    "RetryableError",
    "Score",
    "ScoreConsumer",
    "ScorelineError",
    "SettingsError",
    "consume",
    "consume_async",
    "create_score",
    "create_score_async",
    "default_client",
    "evaluator",
    "flush",
    "flush_async",
    "score",
    "score_current_span",
    "score_current_span_async",
    "score_current_trace",
    "score_current_trace_async",
    "score_many",
    "score_many_async",
    "submit",
    "submit_async",
]

P = ParamSpec("P")
R = TypeVar("R")

_CONSUMING = {
    "AsyncScoreConsumer": "scoreline.consuming",
    "EnrichedScore": "scoreline.enriched",
    "ScoreConsumer": "scoreline.consuming",
    "consume": "scoreline.consuming",
    "consume_async": "scoreline.consuming",
}
"""What a service that only emits never needs, and where it is."""

_client: Client | None = None


def default_client() -> Client:
    """The client behind the module-level functions, made now if there is none yet. Raises SettingsError."""
    global _client
    if _client is None:
        with making:
            if _client is None:
                _client = Client()
    return _client


def _shared(method: Callable[Concatenate[Client, P], R]) -> Callable[P, R]:
    """A method of `Client` as a function of the default client."""

    @wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        return method(default_client(), *args, **kwargs)

    call.__module__, call.__qualname__ = __name__, method.__name__  # by which it is pickled for another process
    signature = inspect.signature(method)
    call.__dict__["__signature__"] = signature.replace(parameters=list(signature.parameters.values())[1:])
    return call


create_score = _shared(Client.create_score)
create_score_async = _shared(Client.create_score_async)
submit = _shared(Client.submit)
submit_async = _shared(Client.submit_async)
score = _shared(Client.score)
score_many = _shared(Client.score_many)
score_many_async = _shared(Client.score_many_async)
score_current_span = _shared(Client.score_current_span)
score_current_span_async = _shared(Client.score_current_span_async)
score_current_trace = _shared(Client.score_current_trace)
score_current_trace_async = _shared(Client.score_current_trace_async)


def flush(timeout_s: float | None = None) -> int:
    """Wait for the acknowledgement of everything emitted so far; returns how many scores are still unsent."""
    return 0 if _client is None else _client.flush(timeout_s)


async def flush_async(timeout_s: float | None = None) -> int:
    """As `flush`, without blocking the event loop."""
    return 0 if _client is None else await _client.flush_async(timeout_s)


def __getattr__(name: str) -> object:
    if name not in _CONSUMING:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(_CONSUMING[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
