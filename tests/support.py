"""What tests of running processes share: start one, wait for a condition, read a topic, read all of a topic."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import confluent_kafka
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from scoreline.kafka import client_options, error_of
from scoreline.lag import group_lag
from scoreline.settings import Settings

DEADLINE_S = 60.0


def eventually(condition: Callable[[], bool], what: str, deadline_s: float = DEADLINE_S) -> None:
    """Return when `condition` holds; fail naming `what` when it does not within the deadline."""
    end = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline_s:.0f} s: {what}")
        time.sleep(0.05)


def environment(settings: Settings) -> dict[str, str]:
    """The environment in which a process has these settings."""
    fields = settings.model_dump(exclude_defaults=True)
    secret = settings.clickhouse_password.get_secret_value()
    texts = {name: str(value) for name, value in fields.items() if name not in ("kafka_options", "clickhouse_password")}
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SCORELINE_")}
    clean["SCORELINE_LOG_FORMAT"] = "console"
    return clean | {f"SCORELINE_{n.upper()}": text for n, text in (texts | {"clickhouse_password": secret}).items()}


class Running:
    """A `scoreline` process of a test, killed at the end at the latest."""

    def __init__(
        self, settings: Settings, folder: Path, *command: str, name: str = "", environ: Mapping[str, str] | None = None
    ) -> None:
        """`environ` is added to its environment."""
        name = name or command[0]
        self.ready_file = folder / f"{name}.ready"
        self.log_file = folder / f"{name}.log"
        self.ready_file.unlink(missing_ok=True)
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "scoreline.cli", *command],
                env=environment(settings.model_copy(update={"ready_file": self.ready_file})) | dict(environ or {}),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def await_ready(self) -> Self:
        """Return once the process says that it can work; fail with its log when it has ended instead."""
        eventually(lambda: self.ready_file.exists() or self.process.poll() is not None, f"{self.log_file} ready")
        assert self.process.poll() is None, self.log
        return self

    @property
    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(DEADLINE_S)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ask it to end; its exit status."""
        self.process.send_signal(number)
        return self.process.wait(DEADLINE_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.kill()


def produce(settings: Settings, topic: str, records: Iterable[tuple[bytes | None, bytes | None]]) -> int:
    """Put records on a topic as any language would: keyed by murmur2, unchecked. Returns how many."""
    producer = Producer(client_options(settings, partitioner="murmur2", linger_ms=5, message_max_bytes=2_000_000))
    failed: list[KafkaError] = []
    sent = 0
    for key, value in records:
        producer.produce(topic, value, key, on_delivery=lambda error, _: failed.append(error) if error else None)
        producer.poll(0)
        sent += 1
    assert producer.flush(DEADLINE_S) == 0
    assert not failed, failed[0]
    return sent


def read_topic(settings: Settings, topic: str, isolation: str = "read_committed") -> list[Message]:
    """Every record that is in a topic now, in the order of its partitions' offsets."""
    consumer = Consumer(
        client_options(
            settings,
            group_id="tests",
            enable_auto_commit=False,
            enable_partition_eof=True,
            isolation_level=isolation,
            auto_offset_reset="earliest",
            fetch_wait_max_ms=20,
        )
    )
    try:
        partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
        consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
        messages: list[Message] = []
        open_partitions = set(partitions)
        deadline = time.monotonic() + DEADLINE_S
        while open_partitions:
            assert time.monotonic() < deadline, f"{topic} could not be read to its end"
            for message in consumer.consume(1, 0.2) + consumer.consume(1000, 0):
                error = message.error()
                if error is None:
                    messages.append(message)
                elif error.code() == KafkaError._PARTITION_EOF:
                    open_partitions.discard(message.partition())
                else:
                    raise KafkaException(error)
        return sorted(messages, key=lambda message: (message.partition(), message.offset()))
    finally:
        consumer.close()


def headers_of(message: Message) -> Mapping[str, bytes]:
    """A record's headers by name; of a repeated one the last."""
    return {name: bytes(value or b"") for name, value in message.headers() or []}


def lag(settings: Settings, group: str, topic: str) -> int | None:
    """Records of a topic that a group has still to read; None while Kafka does not tell, as when its offsets are in a
    transaction that a process left open."""
    try:
        return group_lag(settings, group, topic)
    except KafkaException as error:
        if error_of(error).code() != KafkaError._TIMED_OUT:
            raise
        return None


def log_end(settings: Settings, topic: str, partitions: int = 1) -> int:
    """Offsets that a topic's first partitions have given out together, whether their transactions are open or not."""
    consumer = Consumer(client_options(settings, group_id="tests", isolation_level="read_uncommitted"))
    try:
        positions = [TopicPartition(topic, number) for number in range(partitions)]
        return sum(consumer.get_watermark_offsets(position, timeout=10)[1] for position in positions)
    finally:
        consumer.close()


def raise_fatally(producer: Producer) -> None:
    """Have librdkafka raise a fatal error as a broker's answer would, by its own function for tests."""
    folder = Path(confluent_kafka.__file__).parent.parent / "confluent_kafka.libs"
    library = ctypes.CDLL(str(next(folder.glob("librdkafka-*"))))
    library.rd_kafka_test_fatal_error.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p]
    handle = ctypes.c_void_p.from_address(id(producer) + object.__basicsize__)
    code = KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER
    assert library.rd_kafka_test_fatal_error(handle, code, b"test") == KafkaError.NO_ERROR
