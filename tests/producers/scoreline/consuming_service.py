"""A service that consumes: writes the id of each score that it has dealt with on a line of a file.

`python consuming_service.py GROUP FILE SECONDS_PER_SCORE`; ends well at SIGTERM.
"""

from __future__ import annotations

import os
import signal
import sys
import time

import scoreline


def main(group: str, file: str, body_s: str) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    with scoreline.consume(group=group, start="beginning") as scores:
        signal.signal(signal.SIGTERM, lambda *_: scores.stop())
        for score in scores:
            time.sleep(float(body_s))
            os.write(descriptor, f"{score.score_id}\n".encode())


if __name__ == "__main__":
    main(*sys.argv[1:])
