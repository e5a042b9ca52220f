"""Real Kafka and real ClickHouse for every test that asks, one stack a run; topics and database are each test's own."""

from __future__ import annotations

import os
import signal
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import hypothesis
import pytest

from scoreline.kafka import ensure_topics
from scoreline.observe import meter
from scoreline.settings import Settings, load_settings
from scoreline_local import stack as local
from scoreline_local.datadir import adopt, data_dir
from scoreline_local.plan import Backoff, Endpoints
from scoreline_local.recipe import make_plan
from scoreline_local.settings import LocalSettings
from scoreline_sink.schema import migrate
from tests.running_pipeline import Pipeline, start

# The first text on a fresh checkout waits for hypothesis' tables of Unicode, and a busy machine draws slowly.
# How quickly inputs are made says nothing of us; how many are tried stays as each test sets it.
hypothesis.settings.register_profile("machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("machine")


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
def _processes_keep_what_they_compile() -> None:
    """Tests start a thousand processes; where the shell forbids it, each would compile all that it imports."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


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
        endpoints = _launch(parts)
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


def _launch(settings: LocalSettings) -> Endpoints:
    """As `scoreline up` does, but impatient: tests kill the server often, and their killed sinks leave transactions."""
    data = data_dir(settings.data_dir)
    adopt(data)
    plan = make_plan(data, settings, None, ("kafka", "clickhouse"), print)
    for properties in data.kafka.glob("*/server.properties"):
        with properties.open("a") as file:
            file.write("transaction.abort.timed.out.transaction.cleanup.interval.ms=500\n")
    local.launch(plan.model_copy(update={"backoff": Backoff(most_s=0.25)}))
    return plan.endpoints


@pytest.fixture
def settings(stack: Stack, tmp_path: Path) -> Settings:
    """Settings of one test: topics under a prefix and a ClickHouse database of its own, neither made yet."""
    unique = f"t{uuid.uuid4().hex[:10]}"
    return stack.settings.model_copy(
        update={"topic_prefix": f"{unique}.", "clickhouse_database": unique, "state_dir": tmp_path / "state"}
    )


@pytest.fixture
def pipeline(settings: Settings, tmp_path: Path) -> Iterator[Pipeline]:
    """Topics and tables, then worker and sink."""
    ensure_topics(settings)
    migrate(settings, threading.Event())
    with start(settings, tmp_path, "worker") as worker, start(settings, tmp_path, "sink") as sink:
        yield Pipeline(settings, worker.await_ready(), sink.await_ready())
