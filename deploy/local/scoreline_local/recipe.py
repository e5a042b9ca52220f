"""The plan of scoreline on one machine: which processes, in which order, on which ports."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from scoreline.access import Component
from scoreline.errors import StackError
from scoreline.security import security_options
from scoreline.settings import Settings, load_settings
from scoreline_local import clickhouse, kafka
from scoreline_local.datadir import DataDir, write_private
from scoreline_local.jars import ensure_jars
from scoreline_local.java import find_java
from scoreline_local.plan import ClickHouseEndpoint, Endpoints, Plan, ProcessSpec, ReadyWhen
from scoreline_local.ports import HOST, is_free, pick_free, require_free
from scoreline_local.secured import ADMIN, Secrets, broker_properties, make_secrets
from scoreline_local.settings import PREFIX, LocalSettings

Brokers = Literal[1, 3]
Tell = Callable[[str], None]

PARTS = ("kafka", "clickhouse", "topics", "migrate", "worker", "sink", "gateway", "ui")
_NEEDS = {
    "topics": ("kafka",),
    "migrate": ("clickhouse",),
    "worker": ("topics",),
    "sink": ("topics", "migrate"),
    "gateway": ("topics",),
    "ui": ("topics", "migrate"),
}
_OBSERVED = ("worker", "sink")
"""Parts with a port for metrics and health only; gateway and page serve these at their own."""
_ACCESS = "access"
"""The step of a secured stack that gives its users passwords and rights."""
_KAFKA_PORT = 9092
_CLICKHOUSE_PORT = 8123
_GATEWAY_PORT = 8080
_UI_PORT = 8090


class Shape(BaseModel):
    """What a data folder keeps from one `up` to the next."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid")

    cluster_id: str
    kafka_ports: tuple[int, ...]
    """One for each broker."""
    mtls_ports: tuple[int, ...] = ()
    """One for each broker of a secured stack: where it takes certificates; none of another."""
    controller_ports: tuple[int, ...]
    clickhouse_port: int
    gateway_port: int = _GATEWAY_PORT
    ui_port: int = _UI_PORT
    observe_ports: tuple[int, ...] = ()
    """Where worker and sink tell about themselves."""

    @property
    def is_secured(self) -> bool:
        return bool(self.mtls_ports)


def make_plan(
    data: DataDir, settings: LocalSettings, brokers: Brokers | None, parts: tuple[str, ...], tell: Tell
) -> Plan:
    """Prepare the data folder for these parts and return what the supervisor shall run.

    Raises StackError: a part that does not exist, a taken port, no Java, no jars.
    """
    unknown = sorted(set(parts) - set(PARTS))
    if unknown:
        raise StackError(f"no such part: {', '.join(unknown)}; there are {', '.join(PARTS)}")
    shape = _take_ports(_shape(data, settings, brokers), parts)
    write_private(data.shape, shape.model_dump_json(indent=1))
    clickhouse.write_configuration(data, shape.clickhouse_port)
    endpoints = _endpoints(data, shape, parts)
    processes: list[ProcessSpec] = []
    if "kafka" in parts:
        processes += _kafka_processes(data, settings, shape, tell)
    if "clickhouse" in parts:
        processes.append(_clickhouse_process(data, shape))
    running = {"kafka": tuple(spec.name for spec in processes if spec.ready is ReadyWhen.BROKER)}
    if shape.is_secured and "kafka" in parts:
        processes.append(_access_process(data, shape, running["kafka"]))
        running = {"kafka": (_ACCESS,)}
    for part in PARTS[2:]:
        if part in parts:
            needs = [name for need in _NEEDS[part] if need in parts for name in running.get(need, (need,))]
            processes.append(_scoreline_process(data, shape, part, tuple(needs)))
    return Plan(data_dir=data.root, processes=tuple(processes), endpoints=endpoints)


def _shape(data: DataDir, settings: LocalSettings, brokers: Brokers | None) -> Shape:
    """The remembered shape with what the settings say now; a new one for a new folder."""
    before = _remembered(data)
    kafka_ports = before.kafka_ports if before else ()
    count = brokers or len(kafka_ports) or 1
    if len(kafka_ports) != count and any(data.kafka.iterdir()):
        raise StackError(
            f"{data.root} holds a cluster of {len(kafka_ports)} broker(s), not {count}; "
            "start over with --fresh, or name another folder by --data-dir"
        )
    if settings.kafka_port:
        kafka_ports = tuple(range(settings.kafka_port, settings.kafka_port + count))
    elif len(kafka_ports) != count:
        kafka_ports = pick_free(count) if settings.kafka_port == 0 else tuple(range(_KAFKA_PORT, _KAFKA_PORT + count))
    clickhouse_port = _port(settings.clickhouse_port, before and before.clickhouse_port, _CLICKHOUSE_PORT, kafka_ports)
    mtls_ports = _mtls_ports(data, settings, before, kafka_ports, clickhouse_port)
    used = (*kafka_ports, *mtls_ports, clickhouse_port)
    gateway_port = _port(settings.gateway_port, before and before.gateway_port, _GATEWAY_PORT, used)
    return Shape(
        cluster_id=before.cluster_id if before else kafka.new_cluster_id(),
        kafka_ports=kafka_ports,
        mtls_ports=mtls_ports,
        controller_ports=before.controller_ports if before else (),
        observe_ports=before.observe_ports if before else (),
        clickhouse_port=clickhouse_port,
        gateway_port=gateway_port,
        ui_port=_port(settings.ui_port, before and before.ui_port, _UI_PORT, (*used, gateway_port)),
    )


def _mtls_ports(
    data: DataDir, settings: LocalSettings, before: Shape | None, kafka_ports: tuple[int, ...], clickhouse_port: int
) -> tuple[int, ...]:
    is_secured = before is not None and before.is_secured
    wanted = is_secured if settings.secure is None else settings.secure
    if wanted != is_secured and any(data.kafka.iterdir()):
        raise StackError(
            f"the cluster in {data.root} {'wants proof' if is_secured else 'lets everybody in'}, which is decided when "
            "it is made; start over with --fresh, or name another folder by --data-dir"
        )
    if not wanted:
        return ()
    kept = before.mtls_ports if before else ()
    if len(kept) == len(kafka_ports) and set(kept).isdisjoint((*kafka_ports, clickhouse_port)):
        return kept
    return pick_free(len(kafka_ports), besides={*kafka_ports, clickhouse_port})


def _port(asked: int | None, remembered: int | None, default: int, used: tuple[int, ...]) -> int:
    """The port asked for, else that of last time, else a free one where 0 asks for it, else the default."""
    if asked or remembered:
        return asked or remembered or 0
    return default if asked is None else pick_free(1, besides=used)[0]


def _remembered(data: DataDir) -> Shape | None:
    try:
        return Shape.model_validate_json(data.shape.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise StackError(f"{data.shape} is damaged; start over with --fresh") from error


def _take_ports(shape: Shape, parts: tuple[str, ...]) -> Shape:
    """Raises StackError for a taken port that users know; moves the controllers', which nobody does."""
    meant = [*shape.kafka_ports, *shape.mtls_ports, shape.clickhouse_port, shape.gateway_port, shape.ui_port]
    twice = next((port for port in meant if meant.count(port) > 1), None)
    if twice is not None:
        raise StackError(f"port {twice} is meant for two of Kafka, ClickHouse, gateway, page; choose another for one")
    if "clickhouse" in parts:
        setting = f"{PREFIX}CLICKHOUSE_PORT"
        require_free(shape.clickhouse_port, what="ClickHouse", setting=setting, flag="--clickhouse-port")
    if "gateway" in parts:
        require_free(shape.gateway_port, what="the gateway", setting=f"{PREFIX}GATEWAY_PORT", flag="--gateway-port")
    if "ui" in parts:
        require_free(shape.ui_port, what="the page", setting=f"{PREFIX}UI_PORT", flag="--ui-port")
    shape = _with_observe_ports(shape, meant)
    if "kafka" not in parts:
        return shape
    for port in (*shape.kafka_ports, *shape.mtls_ports):
        require_free(port, what="Kafka", setting=f"{PREFIX}KAFKA_PORT", flag="--kafka-port")
    controllers = shape.controller_ports
    used = {*meant, *shape.observe_ports}
    same_number = len(controllers) == len(shape.kafka_ports)
    if not same_number or not used.isdisjoint(controllers) or not all(is_free(port) for port in controllers):
        controllers = pick_free(len(shape.kafka_ports), besides=used)
    return shape.model_copy(update={"controller_ports": controllers})


def _with_observe_ports(shape: Shape, meant: list[int]) -> Shape:
    """As last time, else free ones: nobody has to know them, `scoreline status` tells."""
    ports = shape.observe_ports
    if len(ports) == len(_OBSERVED) and set(meant).isdisjoint(ports) and all(is_free(port) for port in ports):
        return shape
    ports = pick_free(len(_OBSERVED), besides={*meant, *shape.controller_ports})
    return shape.model_copy(update={"observe_ports": ports})


def _bootstrap(ports: tuple[int, ...]) -> str:
    return ",".join(f"{HOST}:{port}" for port in ports)


def _observe_port(shape: Shape, part: str) -> int:
    return shape.observe_ports[_OBSERVED.index(part)] if part in _OBSERVED else 0


def _endpoints(data: DataDir, shape: Shape, parts: tuple[str, ...]) -> Endpoints:
    server = ClickHouseEndpoint(
        host=HOST,
        port=shape.clickhouse_port,
        user=clickhouse.USER,
        password=clickhouse.read_password(data),
        database=clickhouse.DATABASE,
    )
    return Endpoints(
        kafka=_bootstrap(shape.kafka_ports) if "kafka" in parts else None,
        admin=_admin(data, shape) if "kafka" in parts else {},
        clickhouse=server if "clickhouse" in parts else None,
        gateway=f"http://{HOST}:{shape.gateway_port}" if "gateway" in parts else None,
        ui=f"http://{HOST}:{shape.ui_port}" if "ui" in parts else None,
        observe={
            part: f"http://{HOST}:{port}"
            for part in (*_OBSERVED, "gateway", "ui")
            if part in parts
            and (port := {"gateway": shape.gateway_port, "ui": shape.ui_port}.get(part) or _observe_port(shape, part))
        },
        topic_prefix=load_settings().topic_prefix,
    )


def _admin(data: DataDir, shape: Shape) -> dict[str, str]:
    return Secrets(data.secure).by_certificate(_bootstrap(shape.mtls_ports)) if shape.is_secured else {}


def _kafka_processes(data: DataDir, settings: LocalSettings, shape: Shape, tell: Tell) -> list[ProcessSpec]:
    java, jars = find_java(), ensure_jars(tell)
    ports = zip(shape.kafka_ports, shape.controller_ports, strict=True)
    cluster = tuple(
        kafka.Broker(node_id, port, controller_port, data.kafka / str(node_id))
        for node_id, (port, controller_port) in enumerate(ports, start=1)
    )
    client: dict[str, str] = {}
    asked_at = [broker.address for broker in cluster]
    if shape.is_secured:
        made = make_secrets(data.secure)
        asked_at = [f"{HOST}:{port}" for port in shape.mtls_ports]
        client = security_options(Settings.model_validate(made.files(ADMIN)))
        cluster = tuple(
            replace(broker, listening=broker_properties(made, broker.address, mtls, broker.controller_address))
            for broker, mtls in zip(cluster, asked_at, strict=True)
        )
    for broker in cluster:
        kafka.format_log(java, jars, shape.cluster_id, broker, cluster)
    return [
        ProcessSpec(
            name="kafka" if len(cluster) == 1 else f"kafka-{broker.node_id}",
            argv=kafka.broker_command(java, jars, settings.kafka_jvm, broker),
            ready=ReadyWhen.BROKER,
            address=address,
            client=client,
        )
        for broker, address in zip(cluster, asked_at, strict=True)
    ]


def _access_process(data: DataDir, shape: Shape, needs: tuple[str, ...]) -> ProcessSpec:
    return ProcessSpec(
        name=_ACCESS,
        argv=(sys.executable, "-m", "scoreline_local.secured", str(data.secure)),
        env=_admin(data, shape),
        needs=needs,
        ready=ReadyWhen.DONE,
    )


def _clickhouse_process(data: DataDir, shape: Shape) -> ProcessSpec:
    return ProcessSpec(
        name="clickhouse",
        argv=clickhouse.clickhouse_command(data.clickhouse),
        # chdb does not read a time zone from config.xml.
        env={"TZ": "UTC"},
        ready=ReadyWhen.HTTP,
        address=f"{HOST}:{shape.clickhouse_port}",
    )


def _user(data: DataDir, shape: Shape, command: str) -> dict[str, str]:
    """What a process of a secured stack is told of Kafka; migrate has nothing to ask of it."""
    if not shape.is_secured or command == "migrate":
        return {}
    return Secrets(data.secure).environment(_bootstrap(shape.kafka_ports), Component(command))


def _scoreline_process(data: DataDir, shape: Shape, command: str, needs: tuple[str, ...]) -> ProcessSpec:
    return ProcessSpec(
        name=command,
        argv=(sys.executable, "-m", "scoreline.cli", command),
        env={
            **_endpoints(data, shape, PARTS).model_copy(update={"admin": _user(data, shape, command)}).environment,
            "SCORELINE_REPLICATION_FACTOR": str(len(shape.kafka_ports)),
            "SCORELINE_STATE_DIR": str(data.worker_state),
            "SCORELINE_INSTANCE_ID": f"local-{command}",
            "SCORELINE_GATEWAY_HOST": HOST,
            "SCORELINE_GATEWAY_PORT": str(shape.gateway_port),
            "SCORELINE_UI_HOST": HOST,
            "SCORELINE_UI_PORT": str(shape.ui_port),
            # Whoever has an account on this machine can read the data folder, and with it the database's password.
            "SCORELINE_UI_LOGIN": "false",
            "SCORELINE_OBSERVE_PORT": str(_observe_port(shape, command)),
            # people look into a local stack's logs
            "SCORELINE_LOG_FORMAT": load_settings().log_format or "console",
            "PYTHONUNBUFFERED": "1",
        },
        needs=needs,
        ready=ReadyWhen.FILE if command in ("worker", "sink", "gateway", "ui") else ReadyWhen.DONE,
    )
