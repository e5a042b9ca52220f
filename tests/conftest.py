"""Real Kafka and real ClickHouse for every test that asks, one stack a run; topics and database are each test's own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from scoreline.observe import meter
from scoreline.settings import Settings, load_settings
from scoreline_local import stack as local
from scoreline_local.settings import LocalSettings
from tests.running_pipeline import Pipeline, start
from tests.support import environment


@dataclass(frozen=True)
class Stack:
    """Running parts: a broker and a ClickHouse server without topics and tables."""

    settings: Settings
    data_dir: Path


@pytest.fixture(scope="session", autouse=True)
def _only_the_settings_of_a_test() -> None:
    """What the developer's shell has set must not reach a test."""
    for name in [name for name in os.environ if name.startswith("SCORELINE_")]:
        del os.environ[name]


@pytest.fixture(scope="session", autouse=True)
def _processes_hear_ctrl_c() -> None:
    """A run in the background of a shell ignores SIGINT, and so would every process that a test starts."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="module", autouse=True)
def _count_as_no_process() -> Iterator[None]:
    """A process is one of worker, sink, gateway and page; here the tests of each follow one another."""
    yield
    meter._running = None


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory, _only_the_settings_of_a_test: None) -> Iterator[Stack]:
    """Broker and ClickHouse on free ports, started by the first test that needs them."""
    data_dir = tmp_path_factory.mktemp("stack")
    parts = LocalSettings(data_dir=data_dir, kafka_port=0, clickhouse_port=0, gateway_port=0, ui_port=0)
    try:
        endpoints = local.up(parts, parts=("kafka", "clickhouse"))
        assert endpoints.kafka is not None
        assert endpoints.clickhouse is not None
        yield Stack(
            load_settings(
                kafka=endpoints.kafka,
                clickhouse_host=endpoints.clickhouse.host,
                clickhouse_port=endpoints.clickhouse.port,
                clickhouse_user="default",
            ),
            data_dir,
        )
    finally:
        local.down(data_dir)


@pytest.fixture
def settings(stack: Stack, tmp_path: Path) -> Settings:
    """Settings of one test: topics under a prefix and a ClickHouse database of its own, neither made yet."""
    unique = f"t{uuid.uuid4().hex[:10]}"
    return stack.settings.model_copy(
        update={"topic_prefix": f"{unique}.", "clickhouse_database": unique, "state_dir": tmp_path / "state"}
    )


@pytest.fixture
def pipeline(settings: Settings, tmp_path: Path) -> Iterator[Pipeline]:
    """Topics and tables made by the commands that an operator uses, then worker and sink."""
    for command in ("topics", "migrate"):
        subprocess.run([sys.executable, "-m", "scoreline.cli", command], env=environment(settings), check=True)
    with start(settings, tmp_path, "worker") as worker, start(settings, tmp_path, "sink") as sink:
        yield Pipeline(settings, worker.await_ready(), sink.await_ready())
