"""One of the processes of `scoreline worker --processes N`: python -m scoreline_streams.process NUMBER LOG_LEVEL."""

from __future__ import annotations

import logging
import multiprocessing
import os
import sys
import threading
from typing import Any

from scoreline.commands.logs import configure_logging
from scoreline.errors import ScorelineError
from scoreline.settings import load_settings
from scoreline_streams.processes import CRASHED, FAILED, own_settings, process_name


def name_log(name: str) -> None:
    """Put the process's name before every message of its log, whoever formats it."""
    multiprocessing.current_process().name = name
    make = logging.getLogRecordFactory()

    def named(*arguments: Any, **more: Any) -> logging.LogRecord:
        record = make(*arguments, **more)
        record.msg = f"{name}: {record.msg}"
        return record

    logging.setLogRecordFactory(named)


def end_with_parent(stdin: int) -> None:
    """End this process at once, as a kill would, when the other end of this pipe is closed."""

    def watch() -> None:
        while os.read(stdin, 1):
            pass
        os._exit(CRASHED)

    threading.Thread(target=watch, name="parent", daemon=True).start()


def main() -> int:
    """Entry point."""
    number, log_level = int(sys.argv[1]), sys.argv[2]
    end_with_parent(sys.stdin.fileno())
    name_log(process_name(number))
    configure_logging()
    try:
        settings = own_settings(load_settings(), number)
    except ScorelineError as error:
        logging.getLogger(__name__).critical("%s", error)
        return FAILED
    from scoreline_streams.working import work

    work(settings, log_level)
    return 0


if __name__ == "__main__":
    sys.exit(main())
