"""How a `scoreline` process logs: to standard error, in one form whoever speaks in it: our modules, Faust and mode,
aiokafka, uvicorn, librdkafka."""

from __future__ import annotations

import logging
import sys
import threading
import time
from typing import Any, Literal

LogFormat = Literal["json", "console"]

SERVICES = frozenset({"worker", "sink", "gateway", "ui"})
"""Commands that run until they are ended; where nobody watches them, a program reads what they log."""
LIBRDKAFKA_REPEAT_S = 5.0
"""How often librdkafka may say something; while a broker is away it would several times a second."""

log = logging.getLogger(__name__)


def configure_logging(process: str, wanted: LogFormat | None = None) -> None:
    """Set up logging for a process that is this command; worker-1 is one of the processes of worker.

    Unless told otherwise a service writes JSON where standard error is no terminal; all else is for people.
    """
    command, _, number = process.partition("-")
    is_json = wanted == "json" or (wanted is None and command in SERVICES and not sys.stderr.isatty())
    handler = logging.StreamHandler()
    handler.setFormatter(_json_formatter(process) if is_json else _console_formatter(process if number else ""))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    logging.getLogger("scoreline.librdkafka").addFilter(Seldom(LIBRDKAFKA_REPEAT_S))
    if is_json:
        logging.captureWarnings(True)
        sys.excepthook = _log_uncaught
        threading.excepthook = lambda args: _log_uncaught(args.exc_type, args.exc_value, args.exc_traceback)


def fail(message: str) -> None:
    """Say why this process ends, in the form of its log."""
    formatter = next((handler.formatter for handler in logging.getLogger().handlers), None)
    if type(formatter) is logging.Formatter or formatter is None:
        sys.stderr.write(f"scoreline: {message}\n")
    else:
        logging.getLogger("scoreline").critical("%s", message)


def _console_formatter(one_of_several: str) -> logging.Formatter:
    said = f"{one_of_several}: %(message)s" if one_of_several else "%(message)s"
    return logging.Formatter(f"%(asctime)s %(levelname)s %(name)s: {said}")


def _json_formatter(process: str) -> logging.Formatter:
    import structlog

    def name_process(_logger: Any, _method: str, event: Any) -> Any:
        event["process"] = process
        return event

    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            name_process,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
    )


def _log_uncaught(kind: type[BaseException], error: BaseException | None, trace: Any) -> None:
    if error is not None and not issubclass(kind, KeyboardInterrupt):
        log.critical("uncaught: %r", error, exc_info=(kind, error, trace))


class Seldom(logging.Filter):
    """Lets one log record through every `repeat_s` seconds."""

    def __init__(self, repeat_s: float) -> None:
        super().__init__()
        self._repeat_s = repeat_s
        self._passed_at = float("-inf")

    def filter(self, record: logging.LogRecord) -> bool:  # noqa: ARG002 (the base class names it)
        now = time.monotonic()
        if now - self._passed_at < self._repeat_s:
            return False
        self._passed_at = now
        return True
