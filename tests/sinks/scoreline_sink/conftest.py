"""A pipeline without a worker: topics, tables, and a sink as a process."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scoreline.kafka import ensure_topics
from scoreline.settings import Settings
from scoreline_sink.clickhouse import ClickHouse
from scoreline_sink.schema import migrate
from tests.support import Running

StartSink = Callable[..., Running]


@pytest.fixture
def clickhouse(settings: Settings) -> Iterator[ClickHouse]:
    """A connection to a migrated database of the test's own."""
    logging.getLogger("clickhouse_connect").setLevel(logging.CRITICAL)
    migrate(settings, threading.Event())
    connection = ClickHouse(settings)
    yield connection
    connection.query(f"DROP DATABASE {settings.clickhouse_database} SYNC")
    connection.close()


@pytest.fixture
def pipeline(settings: Settings, clickhouse: ClickHouse) -> ClickHouse:
    """Topics and tables exist; answers what the sink has stored."""
    ensure_topics(settings)
    return clickhouse


@pytest.fixture
def start_sink(settings: Settings, tmp_path: Path) -> Iterator[StartSink]:
    """Starts `scoreline sink`; keyword arguments are settings. All are killed at the end."""
    started: list[Running] = []

    def start(name: str = "sink", **overrides: object) -> Running:
        running = Running(settings.model_copy(update=overrides), tmp_path, "sink", name=name)
        started.append(running)
        return running

    yield start
    for running in started:
        if running.process.poll() is None:
            running.kill()
