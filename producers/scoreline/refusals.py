"""What a client does about a score that it cannot take: raise, or go on and say so."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from scoreline.errors import InvalidScore, ScorelineError

log = logging.getLogger(__name__)

OnError = Callable[[ScorelineError, Mapping[str, Any]], None]
"""Called with the error and the score, or with no fields for all that was left unsent at the end; in the caller's
thread."""


Refusals = Callable[[ScorelineError, Mapping[str, Any]], None]
"""What is done with the error and the score."""


def tell_nobody(error: ScorelineError, score: Mapping[str, Any]) -> None:
    """The `OnError` of who gave none."""


class Strict:
    """Tells `on_error` and raises."""

    def __init__(self, on_error: OnError) -> None:
        self._on_error = on_error

    def __call__(self, error: ScorelineError, score: Mapping[str, Any]) -> None:
        try:
            self._on_error(error, score)
        finally:
            raise error


class Lenient:
    """Tells `on_error` and, once for each kind of error, the log. Never raises, also not what `on_error` does."""

    def __init__(self, on_error: OnError) -> None:
        self._on_error = on_error
        self._logged: set[str] = set()

    def __call__(self, error: ScorelineError, score: Mapping[str, Any]) -> None:
        kind = error.rejection.reason.value if isinstance(error, InvalidScore) else type(error).__name__
        if kind not in self._logged:
            self._logged.add(kind)
            log.warning("not taken: %s (SCORELINE_STRICT=false: the next ones of this kind are only counted)", error)
        try:
            self._on_error(error, score)
        except Exception:
            log.exception("on_error itself failed")
