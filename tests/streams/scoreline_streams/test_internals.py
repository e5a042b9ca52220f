"""What the worker relies on inside Faust, aiokafka, mode and confluent-kafka beyond what they document, one test each.

An upgrade that changes one of these fails here, with the reason, where the worker would go on and be wrong.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import inspect
import socket
import threading
import tomllib
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.consumer.fetcher import Fetcher
from confluent_kafka import Consumer, KafkaError, Producer
from faust.app.base import App
from faust.streams import Stream
from faust.tables.recovery import Recovery
from faust.transport.conductor import ConductorCompiler
from faust.transport.consumer import Consumer as FaustConsumer
from faust.transport.consumer import ThreadDelegateConsumer
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.worker import Worker
from mode.utils import logging as mode_logging

from scoreline.kafka import client_options
from scoreline.settings import Settings
from scoreline_streams.app import ScoreApp, create_app
from scoreline_streams.transactions import _Connections
from scoreline_streams.transport import LONG_POLL_MS, Batch, BatchConsumer, BatchTransport, CommittedConsumerThread
from tests.documents import ROOT
from tests.streams.scoreline_streams.test_batch import Record
from tests.support import eventually

EXACT = ("faust-streaming", "aiokafka", "mode-streaming", "rocksdict")
SETTINGS = Settings(instance_id="w-1", session_timeout_s=31.0, batch_events_max=1234)


def in_app(check: Callable[[ScoreApp], Coroutine[Any, Any, None]]) -> None:
    """Run a check on a worker's app that is wired and not started."""

    async def run() -> None:
        app: Any = create_app(SETTINGS)
        app.loop = asyncio.get_running_loop()
        await check(app)

    asyncio.run(run())


@pytest.mark.parametrize("package", EXACT)
def test_packages_whose_internals_count_are_pinned_exactly(package: str) -> None:
    """An upgrade is a change of ours, with these tests in it; installed is what is pinned."""
    streams = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["streams"]
    assert f"{package}=={importlib.metadata.version(package)}" in streams


def test_app_makes_its_transport_by_new_transport() -> None:
    """Else Faust's own would be used, one event a message, without a word."""

    async def check(app: ScoreApp) -> None:
        assert type(app.transport) is BatchTransport

    in_app(check)


def test_transport_makes_the_consumer_that_it_names() -> None:
    """`Transport.Consumer` is a class attribute that `create_consumer` calls."""

    async def check(app: ScoreApp) -> None:
        assert type(app.consumer) is BatchConsumer

    in_app(check)


def test_consumer_makes_its_thread_by_new_consumer_thread() -> None:
    """Else records of aborted transactions would be scores."""
    assert "self._thread = self._new_consumer_thread()" in inspect.getsource(ThreadDelegateConsumer.__init__)

    async def check(app: ScoreApp) -> None:
        assert type(app.consumer._thread) is CommittedConsumerThread  # type: ignore[attr-defined]

    in_app(check)


def test_client_is_made_with_our_settings_and_reads_committed_records() -> None:
    """`_create_worker_consumer` builds aiokafka's consumer; two of its options are set between that and its start."""

    async def check(app: ScoreApp) -> None:
        thread: Any = app.consumer._thread  # type: ignore[attr-defined]
        client = thread._create_worker_consumer(app.transport)
        assert isinstance(client, AIOKafkaConsumer)
        assert client._isolation_level == "read_committed"
        assert client._fetch_max_wait_ms == LONG_POLL_MS
        assert client._group_instance_id == "w-1"
        assert client._session_timeout_ms == 31_000
        assert client._max_poll_records == 1234
        assert client._enable_auto_commit is False
        assert client._check_crcs is False
        await client.stop()

    in_app(check)
    for option in ("isolation_level", "fetch_max_wait_ms"):
        assert f"{option}=self._{option}" in inspect.getsource(AIOKafkaConsumer.start)
        assert option in inspect.signature(Fetcher.__init__).parameters


def test_records_come_from_getmany_by_partition() -> None:
    """The hook that makes a batch one event: its parameters, and that Faust takes its records from nowhere else."""
    assert list(inspect.signature(driver.Consumer._getmany).parameters) == ["self", "active_partitions", "timeout"]
    assert "records, active_partitions = await self._wait_next_records" in inspect.getsource(FaustConsumer.getmany)
    assert inspect.getsource(FaustConsumer._wait_next_records).count("await self._getmany(") == 1


def test_no_partitions_mean_all_partitions_to_aiokafka() -> None:
    """Why nothing is asked of it while no partition is hungry."""
    assert "if partitions and tp not in partitions:" in inspect.getsource(Fetcher.fetched_records)


def test_faust_seeks_by_perform_seek_alone_after_a_rebalance() -> None:
    """We seek ourselves, from the offset behind the fence; this one method is all that would overrule it."""
    source = inspect.getsource(Recovery)
    assert source.count("consumer.perform_seek()") == 2
    assert source.count("consumer.seek_wait(new_offsets)") == 1, "of the tables' own topics, of which there are none"
    assert {"perform_seek"} <= vars(FaustConsumer).keys() & vars(BatchConsumer).keys()


def test_seek_wait_takes_offsets_by_partition() -> None:
    """How an opened partition says where to read on."""
    assert list(inspect.signature(driver.Consumer.seek_wait).parameters) == ["self", "partitions"]
    assert inspect.iscoroutinefunction(driver.Consumer.seek_wait)


def test_message_takes_its_value_and_offset_from_the_batch() -> None:
    """Faust's message is made of the record's attributes, unread."""
    records = [Record(b"k", b"v", offset) for offset in (4, 5)]
    for record in records:
        object.__setattr__(record, "timestamp_type", 1)
    batch = Batch("scores.raw", 1, records)

    async def check(app: ScoreApp) -> None:
        consumer: Any = app.consumer
        message = consumer._to_message(TP("scores.raw", 1), batch)
        assert (message.topic, message.partition, message.offset, message.value) == ("scores.raw", 1, 5, records)

    in_app(check)


def test_topic_without_acks_is_never_committed_by_faust() -> None:
    """Offsets are committed in our transactions; a second committer would overtake them."""
    assert "if channel.acks:" in inspect.getsource(inspect.getmodule(ConductorCompiler))  # type: ignore[arg-type]
    assert "if topic in acking_topics and not message.tracked" in inspect.getsource(Stream)

    async def check(app: ScoreApp) -> None:
        [agent] = app.agents.values()
        assert agent.channel.acks is False

    in_app(check)


def test_web_server_stays_closed() -> None:
    """It would bind every interface, whatever `web_enabled` says."""

    async def check(app: ScoreApp) -> None:
        strategy: Any = app.BootStrategy(app)
        assert strategy.enable_web is False
        assert list(strategy.web_server()) == []

    in_app(check)


def test_rebalance_waits_for_what_it_tells() -> None:
    """Partitions are closed before the group goes on: Faust awaits the handlers of both signals."""
    assert "await T(self.on_partitions_revoked.send)(revoked)" in inspect.getsource(App._on_partitions_revoked)
    assert "await T(self.on_partitions_assigned.send)(assigned)" in inspect.getsource(App._on_partitions_assigned)

    async def check(app: ScoreApp) -> None:
        closed: list[int] = []

        async def close() -> None:
            await asyncio.sleep(0)
            closed.append(1)

        app.close_partitions = close  # type: ignore[method-assign]
        await app.on_partitions_revoked.send(set())
        await app.on_before_shutdown.send()
        assert closed == [1, 1]

    in_app(check)


def test_faust_worker_leaves_our_output_alone_and_ends_with_status_0() -> None:
    """`redirect_stdouts=False`; SIGTERM is a clean end; it sets up logging itself, with a level by name."""
    assert inspect.signature(Worker.__init__).parameters["redirect_stdouts"].default is None
    assert "raise SystemExit(EX_OK)" in inspect.getsource(Worker.execute_from_commandline)
    assert mode_logging.level_number("warning") == 30


def test_mode_formats_the_message_that_the_record_factory_made() -> None:
    """The name of one of several processes stands in the message, since mode's format has no place for it."""
    assert "%(message)s" in mode_logging.DEFAULT_FORMAT
    assert "%(message)s" in mode_logging.DEFAULT_COLOR_FORMAT


@pytest.mark.parametrize(
    ("name", "code"), [("_FENCED", -144), ("_PARTITION_EOF", -191), ("_TRANSPORT", -195), ("_TIMED_OUT", -185)]
)
def test_librdkafka_errors_keep_their_codes(name: str, code: int) -> None:
    """Its own errors have a leading underscore in the binding; without it they would be the broker's."""
    assert getattr(KafkaError, name) == code


def test_group_metadata_is_there_without_membership() -> None:
    """A consumer that never joins puts offsets into a transaction with it: the transactional id fences, no member."""
    consumer = Consumer(client_options(Settings(kafka="127.0.0.1:1"), group_id="g", log_level=0))
    try:
        assert consumer.consumer_group_metadata() is not None
    finally:
        consumer.close()


def test_log_tells_a_lost_connection_from_one_that_was_never_made() -> None:
    """Only librdkafka's log says that something sent before may arrive late: its facility, and the words of a failed
    connect. A listener that hangs up is a loss; a port without one is not."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def hang_up() -> None:
            client, _ = listener.accept()
            client.recv(1)
            client.close()

        threading.Thread(target=hang_up, daemon=True).start()
        lost = _watched(port)
        eventually(lambda: lost.poll() and lost.connections.lost is not None, "the loss is told", 10)
    refused = _watched(port)
    eventually(lambda: refused.poll() and bool(refused.heard), "the failure is told", 10)
    assert refused.heard[0][0] == "FAIL"
    assert refused.connections.lost is None


class _watched:
    """A producer whose log goes through ours."""

    def __init__(self, port: int) -> None:
        self.connections, self.heard = _Connections(), []
        self._producer = Producer({"bootstrap.servers": f"127.0.0.1:{port}", "logger": self})

    def log(self, level: int, form: str, *parts: str) -> None:
        self.heard.append(parts)
        self.connections.log(level, form, *parts)

    def poll(self) -> bool:
        self._producer.poll(0.05)
        return True
