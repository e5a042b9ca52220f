"""One of the processes of `scoreline worker --processes N`: python -m scoreline_streams.process NUMBER LOG_LEVEL."""

from __future__ import annotations

import os
import sys
import threading

from scoreline.errors import ScorelineError
from scoreline.observe.logs import configure_logging, fail
from scoreline.settings import load_settings
from scoreline_streams.processes import CRASHED, FAILED, own_settings, process_name


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
    try:
        settings = own_settings(load_settings(), number)
    except ScorelineError as error:
        configure_logging(process_name(number))
        fail(str(error))
        return FAILED
    configure_logging(process_name(number), settings.log_format)
    from scoreline_streams.working import work

    work(settings, log_level)
    return 0


if __name__ == "__main__":
    sys.exit(main())
