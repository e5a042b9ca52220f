"""Logging of a command's process."""

from __future__ import annotations

import json
import logging
import subprocess
import sys

from scoreline.observe.logs import Seldom

SPEAK = r"""
import logging, sys, threading, warnings
from scoreline.observe.logs import configure_logging, fail
configure_logging(*sys.argv[1:])
logging.getLogger("mode").warning("two\nlines %s", "é")
logging.getLogger("aiokafka.x").debug("not said")
warnings.warn("careful")
try:
    raise ValueError("bad")
except ValueError:
    logging.getLogger("x").exception("failed")
thread = threading.Thread(target=lambda: 1 / 0)
thread.start(), thread.join()
fail("the end")
raise KeyError("unmet")
"""


def spoken(*arguments: str) -> list[str]:
    said = subprocess.run([sys.executable, "-c", SPEAK, *arguments], capture_output=True, text=True, check=False)
    assert not said.stdout
    return said.stderr.splitlines()


def test_everything_a_service_says_is_one_json_record_a_line() -> None:
    """Whatever the library; exceptions, warnings and what nobody caught too."""
    records = [json.loads(line) for line in spoken("worker")]
    assert [(r["level"], r["logger"]) for r in records] == [
        ("warning", "mode"),
        ("warning", "py.warnings"),
        ("error", "x"),
        ("critical", "scoreline.observe.logs"),
        ("critical", "scoreline"),
        ("critical", "scoreline.observe.logs"),
    ]
    assert records[0]["event"] == "two\nlines é"
    assert "ValueError: bad" in records[2]["exception"]
    assert records[4]["event"] == "the end"
    assert {r["process"] for r in records} == {"worker"}


def test_command_that_a_person_calls_speaks_plainly() -> None:
    """And a service where it is told to."""
    for arguments in (("topics",), ("worker", "console")):
        lines = spoken(*arguments)
        assert "WARNING mode: two" in lines[0], lines
        assert "scoreline: the end" in lines


def test_repeated_log_records_pass_seldom() -> None:
    """librdkafka says several times a second that a broker is away."""
    record = logging.makeLogRecord({})
    seldom = Seldom(60.0)
    assert [seldom.filter(record) for _ in range(3)] == [True, False, False]
