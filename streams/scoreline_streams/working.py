"""One worker in this process."""

from __future__ import annotations

from typing import NoReturn

from faust.worker import Worker

from scoreline.settings import Settings
from scoreline_streams.app import create_app


def work(settings: Settings, log_level: str) -> NoReturn:
    """Run the worker until SIGTERM or SIGINT; ends the process."""
    Worker(create_app(settings), loglevel=log_level, redirect_stdouts=False).execute_from_commandline()
