"""The stack of real parts: Kafka and ClickHouse, started, killed, stopped and started again."""

from __future__ import annotations

import os
import signal
import threading
import urllib.request

import psutil
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from scoreline.errors import StackError
from scoreline_local import stack
from scoreline_local.datadir import DataDir, is_locked
from scoreline_local.plan import ClickHouseEndpoint, Endpoints, State
from scoreline_local.settings import LocalSettings
from tests.support import eventually

BARE = ("kafka", "clickhouse")


def _silent(_: str) -> None:
    pass


def _kafka(endpoints: Endpoints) -> str:
    assert endpoints.kafka is not None
    return endpoints.kafka


def _clickhouse(endpoints: Endpoints) -> ClickHouseEndpoint:
    assert endpoints.clickhouse is not None
    return endpoints.clickhouse


def _ask(at: ClickHouseEndpoint, sql: str) -> str:
    headers = {"X-ClickHouse-User": at.user, "X-ClickHouse-Key": at.password}
    request = urllib.request.Request(f"http://{at.host}:{at.port}/", sql.encode(), headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read().decode().strip()


def _answers(at: ClickHouseEndpoint) -> bool:
    try:
        return _ask(at, "SELECT 1") == "1"
    except OSError:
        return False


def _make_topic(bootstrap: str, topic: str, copies: int = 1) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic(topic, 1, copies)])[topic].result(30)


def _send(bootstrap: str, topic: str, value: bytes) -> None:
    failed: list[object] = []
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all", "log_level": 0})
    producer.produce(topic, value, on_delivery=lambda error, _: failed.append(error) if error else None)
    assert producer.flush(60) == 0
    assert not failed


def _first(bootstrap: str, topic: str) -> bytes | None:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "test", "log_level": 0})
    try:
        consumer.assign([TopicPartition(topic, 0, 0)])
        message = consumer.poll(60)
        assert message is not None
        assert message.error() is None, message.error()
        return message.value()
    finally:
        consumer.close()


def _pid(data: DataDir, name: str) -> int:
    pid = next(process.pid for process in stack.status(data.root).processes if process.name == name)
    assert pid is not None
    return pid


def test_records_and_rows_survive_down_and_up(data: DataDir, local_settings: LocalSettings) -> None:
    """On the same ports, with the same password."""
    first = stack.up(local_settings, parts=BARE, tell=_silent)
    _make_topic(_kafka(first), "kept")
    _send(_kafka(first), "kept", b"a record")
    at = _clickhouse(first)
    _ask(at, "CREATE DATABASE IF NOT EXISTS scoreline")
    _ask(at, "CREATE TABLE scoreline.kept (x UInt64) ENGINE MergeTree ORDER BY x")
    _ask(at, "INSERT INTO scoreline.kept VALUES (42)")
    stack.down(data.root, _silent)
    assert not _answers(at)
    assert stack.up(local_settings, parts=BARE, tell=_silent) == first
    assert _first(_kafka(first), "kept") == b"a record"
    assert _ask(at, "SELECT x, timezone() FROM scoreline.kept") == "42\tUTC"


def test_fresh_starts_over(data: DataDir, local_settings: LocalSettings) -> None:
    """And is refused while the stack runs."""
    first = stack.up(local_settings, parts=("clickhouse",), tell=_silent)
    _ask(_clickhouse(first), "CREATE DATABASE scoreline")
    with pytest.raises(StackError, match="scoreline down"):
        stack.fresh(data.root)
    stack.down(data.root, _silent)
    stack.fresh(data.root)
    second = stack.up(local_settings, parts=("clickhouse",), tell=_silent)
    assert _clickhouse(second).password != _clickhouse(first).password
    assert "scoreline" not in _ask(_clickhouse(second), "SHOW DATABASES").split()


def test_user_owns_the_databases_of_scoreline_and_no_others(data: DataDir, local_settings: LocalSettings) -> None:
    """A wrong password gets nothing at all."""
    at = _clickhouse(stack.up(local_settings, parts=("clickhouse",), tell=_silent))
    _ask(at, "CREATE DATABASE scoreline_test")
    with pytest.raises(OSError, match="HTTP Error"):
        _ask(at, "CREATE DATABASE other")
    with pytest.raises(OSError, match="HTTP Error"):
        _ask(at.model_copy(update={"password": "guess"}), "SELECT 1")


def test_killed_kafka_and_clickhouse_are_restarted_with_their_data(
    data: DataDir, local_settings: LocalSettings
) -> None:
    """An unclean end leaves a log to recover, a stale status file, and a session that Kafka's controller remembers."""
    endpoints = stack.up(local_settings, parts=BARE, tell=_silent)
    bootstrap, at = _kafka(endpoints), _clickhouse(endpoints)
    _make_topic(bootstrap, "kept")
    _send(bootstrap, "kept", b"before the kill")
    _ask(at, "CREATE DATABASE scoreline")
    for name in BARE:
        os.kill(_pid(data, name), signal.SIGKILL)
    eventually(
        lambda: all(p.state is State.READY and p.restarts == 1 for p in stack.status(data.root).processes),
        "both are ready again, restarted once",
        60,
    )
    _send(bootstrap, "kept", b"after it")
    assert _first(bootstrap, "kept") == b"before the kill"
    assert "scoreline" in _ask(at, "SHOW DATABASES").split()


def test_killed_supervisor_does_not_block_the_next_start(data: DataDir, local_settings: LocalSettings) -> None:
    """Its orphans hold ports and folders until `up` has ended them."""
    first = stack.up(local_settings, parts=("clickhouse",), tell=_silent)
    orphan = _pid(data, "clickhouse")
    os.kill(psutil.Process(orphan).ppid(), signal.SIGKILL)
    eventually(lambda: not is_locked(data.supervisor_lock), "the supervisor is gone")
    assert _answers(_clickhouse(first))
    assert stack.status(data.root).processes == ()
    told: list[str] = []
    assert stack.up(local_settings, parts=("clickhouse",), tell=told.append) == first
    assert told[0] == "ending 1 process(es) that a killed supervisor left behind"
    assert _pid(data, "clickhouse") != orphan


def test_up_on_a_running_stack_leaves_it_as_it_is(data: DataDir, local_settings: LocalSettings) -> None:
    """Unless it lacks a part that is asked for."""
    first = stack.up(local_settings, parts=("clickhouse",), tell=_silent)
    pid = _pid(data, "clickhouse")
    told: list[str] = []
    assert stack.up(local_settings, parts=("clickhouse",), tell=told.append) == first
    assert told[0].startswith("runs already on")
    assert _pid(data, "clickhouse") == pid
    with pytest.raises(StackError, match="a stack without kafka runs"):
        stack.up(local_settings, parts=BARE, tell=_silent)


def test_two_that_start_at_once_start_one_stack(data: DataDir, local_settings: LocalSettings) -> None:
    """Both return when it is ready."""
    started: list[Endpoints] = []

    def start() -> None:
        started.append(stack.up(local_settings, parts=("clickhouse",), tell=_silent))

    starters = [threading.Thread(target=start) for _ in range(2)]
    for starter in starters:
        starter.start()
    for starter in starters:
        starter.join(60)
    assert len(started) == 2
    assert started[0] == started[1]
    assert data.log("supervisor").read_text().count("clickhouse: started") == 1


def test_second_stack_on_the_same_port_is_refused_by_name(data: DataDir, local_settings: LocalSettings) -> None:
    """The message names the server that holds it."""
    first = _clickhouse(stack.up(local_settings, parts=("clickhouse",), tell=_silent))
    other = LocalSettings(data_dir=data.root.with_name("other"), clickhouse_port=first.port)
    with pytest.raises(StackError) as caught:
        stack.up(other, parts=("clickhouse",), tell=_silent)
    assert f"port {first.port} for ClickHouse is taken by" in str(caught.value)
    assert f"pid {_pid(data, 'clickhouse')}" in str(caught.value)


def test_three_brokers_lose_one_without_losing_a_record(data: DataDir, local_settings: LocalSettings) -> None:
    """Topics have three copies, two of which must take a write: with one broker dead both still hold."""
    bootstrap = _kafka(stack.up(local_settings, parts=("kafka",), brokers=3, tell=_silent))
    assert len(bootstrap.split(",")) == 3
    _make_topic(bootstrap, "kept", copies=3)
    _send(bootstrap, "kept", b"a record")
    os.kill(_pid(data, "kafka-2"), signal.SIGKILL)
    _send(bootstrap, "kept", b"while one is dead")
    assert _first(bootstrap, "kept") == b"a record"
    eventually(
        lambda: all(process.state is State.READY for process in stack.status(data.root).processes),
        "the killed broker is back",
        60,
    )
