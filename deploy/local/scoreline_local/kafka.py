"""A Kafka cluster in KRaft mode: every broker is a controller too, on loopback, from its jars."""

from __future__ import annotations

import base64
import os
import shlex
import shutil
import subprocess
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from scoreline.errors import StackError
from scoreline_local.ports import HOST

_FORMAT_S_MAX = 60.0
_LOG_OPTIONS = {
    "defaultLogLevel": "warn",
    "log.kafka.server.KafkaRaftServer": "info",
    # It warns of every attempt to reach a broker that is not up yet.
    "log.org.apache.kafka.clients.NetworkClient": "error",
    "showDateTime": "true",
    "dateTimeFormat": "yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
    "showThreadName": "false",
    "showShortLogName": "true",
}


@dataclass(frozen=True, slots=True)
class Broker:
    """One broker that is a controller as well."""

    node_id: int
    port: int
    controller_port: int
    folder: Path
    """Holds `server.properties` and, in `log`, Kafka's log."""
    listening: Mapping[str, object] = field(default_factory=dict[str, object])
    """Settings that say where it listens and to whom; none: to everybody on this machine."""

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"

    @property
    def controller_address(self) -> str:
        return f"{HOST}:{self.controller_port}"

    @property
    def properties(self) -> Path:
        return self.folder / "server.properties"

    @property
    def log(self) -> Path:
        return self.folder / "log"


def new_cluster_id() -> str:
    """A random cluster id as Kafka's own tool makes it; never starts with a dash."""
    while (made := base64.urlsafe_b64encode(uuid.uuid4().bytes).decode("ascii").rstrip("=")).startswith("-"):
        pass
    return made


def server_properties(broker: Broker, cluster: tuple[Broker, ...], log: Path) -> str:
    """The configuration of `broker` as a member of `cluster`, with its log in the folder `log`."""
    copies = len(cluster)
    in_sync_min = max(1, copies - 1)
    settings = {
        "process.roles": "broker,controller",
        "node.id": broker.node_id,
        "controller.quorum.voters": ",".join(f"{each.node_id}@{each.controller_address}" for each in cluster),
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://{broker.address},CONTROLLER://{broker.controller_address}",
        "advertised.listeners": f"PLAINTEXT://{broker.address}",
        "log.dirs": log,
        "auto.create.topics.enable": "false",
        "message.max.bytes": 2 * 1024 * 1024,
        "default.replication.factor": copies,
        "min.insync.replicas": in_sync_min,
        "offsets.topic.replication.factor": copies,
        "offsets.topic.num.partitions": 8,
        "transaction.state.log.replication.factor": copies,
        "transaction.state.log.min.isr": in_sync_min,
        "transaction.state.log.num.partitions": 8,
        "share.coordinator.state.topic.replication.factor": copies,
        "share.coordinator.state.topic.min.isr": in_sync_min,
        "group.initial.rebalance.delay.ms": 0,
        # After kill -9 the controller keeps a restarted broker out until the session of its former life has ended.
        "broker.session.timeout.ms": 3000,
        "broker.heartbeat.interval.ms": 500,
        # Kafka would take 128 MB of heap for it, in every broker.
        "log.cleaner.dedupe.buffer.size": 16 * 1024 * 1024,
        **broker.listening,
    }
    return "".join(f"{name}={_escaped(str(value))}\n" for name, value in settings.items())


def broker_command(java: Path, jars: Path, jvm_options: str, broker: Broker) -> tuple[str, ...]:
    """The command that runs `broker`; it logs to stderr, warnings and worse."""
    logging = (f"-Dorg.slf4j.simpleLogger.{name}={value}" for name, value in _LOG_OPTIONS.items())
    main = ("-cp", f"{jars}/*", "kafka.Kafka", str(broker.properties))
    return (str(java), *shlex.split(jvm_options), *logging, *main)


def format_log(java: Path, jars: Path, cluster_id: str, broker: Broker, cluster: tuple[Broker, ...]) -> None:
    """Write the broker's configuration and, the first time, make its log folder.

    The folder is made aside and renamed, so that a kill in the middle leaves nothing half made.
    Raises StackError: Kafka's tool failed; with what it said.
    """
    if "," in str(broker.log):
        raise StackError(f"{broker.log}: Kafka takes a comma for the end of a path; choose another --data-dir")
    broker.folder.mkdir(parents=True, exist_ok=True)
    if not broker.log.exists():
        aside = broker.folder / "log.part"
        shutil.rmtree(aside, ignore_errors=True)
        broker.properties.write_text(server_properties(broker, cluster, aside), "ascii")
        tool = ("kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", str(broker.properties))
        _run_tool([str(java), "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", f"{jars}/*", *tool])
        aside.rename(broker.log)
    broker.properties.write_text(server_properties(broker, cluster, broker.log), "ascii")


def _run_tool(command: list[str]) -> None:
    env = {name: value for name, value in os.environ.items() if name != "CLASSPATH"}
    try:
        ran = subprocess.run(command, env=env, capture_output=True, text=True, timeout=_FORMAT_S_MAX)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StackError(f"Kafka's log folder could not be made: {error}") from error
    if ran.returncode != 0:
        raise StackError(f"Kafka's log folder could not be made: {(ran.stderr or ran.stdout).strip()[-500:]}")


def _escaped(value: str) -> str:
    """`value` as a Java properties file wants it: ASCII, backslashes doubled."""
    units = value.replace("\\", "\\\\").encode("utf-16-be")
    codes = (int.from_bytes(units[i : i + 2], "big") for i in range(0, len(units), 2))
    return "".join(chr(code) if code < 128 else f"\\u{code:04x}" for code in codes)
