"""Logging of a command's process."""

from __future__ import annotations

import logging

from scoreline.commands.logs import Seldom


def test_repeated_log_records_pass_seldom() -> None:
    """librdkafka says several times a second that a broker is away."""
    record = logging.makeLogRecord({})
    seldom = Seldom(60.0)
    assert [seldom.filter(record) for _ in range(3)] == [True, False, False]
