"""Run the ClickHouse server out of the chdb wheel until SIGTERM.

    python -m scoreline_local.clickhouse_server FOLDER

FOLDER holds `config.xml` and `users.xml`; the tables lie in `FOLDER/data`. chdb serves for as long as a query runs:
here one that reads a FIFO, whose end is the server's graceful stop.
"""

from __future__ import annotations

import errno
import importlib
import os
import signal
import sys
import threading
import time
from pathlib import Path

_FIFO = "stop"
_SERVE = f"SYSTEM START LISTEN HTTP; SELECT count() FROM file('{_FIFO}', 'LineAsString')"
# It becomes the server's default format, and clickhouse-connect reads no other.
_FORMAT = "TabSeparated"
_STOP_S_MAX = 60.0
_STOP_PAUSE_S = 0.05


def serve(folder: Path) -> int:
    """Serve until SIGTERM or SIGINT; returns 0 after a graceful stop, 1 when the server ended by itself."""
    # chdb reads ./config.xml while it is imported and would start by it.
    chdb = importlib.import_module("chdb._chdb")
    os.chdir(folder)
    Path(_FIFO).unlink(missing_ok=True)
    os.mkfifo(_FIFO, 0o600)

    def run() -> None:
        chdb.query(_SERVE, _FORMAT, path=str(folder / "data"))

    server = threading.Thread(target=run, name="clickhouse", daemon=True)
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGINT, _interrupt)
    writer = os.open(_FIFO, os.O_RDWR)
    try:
        server.start()
        server.join()
    except InterruptedError:
        os.close(writer)
        return 0 if _end(server) else 1
    return 1


def _interrupt(_number: int, _frame: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise InterruptedError


def _end(server: threading.Thread) -> bool:
    """Let the query meet the end of its file, also when it opens the FIFO only now; whether it has ended."""
    deadline = time.monotonic() + _STOP_S_MAX
    while server.is_alive() and time.monotonic() < deadline:
        try:
            os.close(os.open(_FIFO, os.O_WRONLY | os.O_NONBLOCK))
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
        server.join(_STOP_PAUSE_S)
    return not server.is_alive()


if __name__ == "__main__":
    ended = serve(Path(sys.argv[1]).resolve())
    # The interpreter's own exit now and then dies in the teardown of chdb's threads (chdb-io/chdb-core issue 177).
    os._exit(ended)
