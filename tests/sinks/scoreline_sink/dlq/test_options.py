"""What is asked before many letters are touched."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

CODE = "from scoreline_sink.dlq.options import confirm; confirm('send 2 letters again', {letters}); print('done')"


@pytest.mark.parametrize(
    ("letters", "answer", "status"), [(2, b"y\n", 0), (2, b"YES\n", 0), (2, b"\n", 1), (2, b"n\n", 1), (1, b"", 0)]
)
def test_a_person_is_asked_before_more_than_one(letters: int, answer: bytes, status: int) -> None:
    """On a terminal; everything but yes is no."""
    ours, theirs = os.openpty()
    try:
        os.write(ours, answer)
        ended = subprocess.run(
            [sys.executable, "-c", CODE.format(letters=letters)],
            stdin=theirs,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        os.close(ours)
        os.close(theirs)
    assert (ended.returncode, ended.stdout) == (status, "done\n" if status == 0 else "")
    assert ("send 2 letters again? [y/N]" in ended.stderr) == (letters > 1)
