"""One worker in this process."""

from __future__ import annotations

import logging
from typing import NoReturn

from faust.worker import Worker

from scoreline.settings import Settings
from scoreline_streams.app import create_app


def work(settings: Settings, log_level: str) -> NoReturn:
    """Run the worker until SIGTERM or SIGINT; ends the process."""
    app = create_app(settings)
    logging.getLogger().setLevel(log_level.upper())
    # Faust would take the handlers away, and write a spinner and a line about its end that are no records
    worker = Worker(app, loglevel=log_level, redirect_stdouts=False, override_logging=False, quiet=True)
    worker.spinner = None
    worker.execute_from_commandline()
