"""Settings of every scoreline process: environment `SCORELINE_*`, a TOML file, secret files.

Read in this order, the first that says something wins: arguments, environment, secret files
(`SCORELINE_SECRETS_DIR`, one file per setting), the TOML file (`SCORELINE_CONFIG`), defaults.
"""

from __future__ import annotations

import os
from pathlib import Path
from string import Formatter
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field, FilePath, SecretStr, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from scoreline.errors import SettingsError

PREFIX = "SCORELINE_"

ProjectName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
Seconds = Annotated[float, Field(gt=0)]


def _none_if_forever(value: object) -> object:
    return None if value == "forever" else value


HorizonDays = Annotated[Annotated[int, Field(ge=1)] | None, BeforeValidator(_none_if_forever)]


TRACE_PLACES = ("trace_id", "observation_id", "session_id", "project")
"""What may stand in braces in `trace_url`."""


def _trace_url(value: str | None) -> str | None:
    if value is None:
        return None
    places = [place for _, *place in Formatter().parse(value) if place[0] is not None]
    wrong = next((name for name, form, conversion in places if name not in TRACE_PLACES or form or conversion), None)
    if wrong is not None:
        raise ValueError(f"{{{wrong}}} is no place; there are {', '.join(f'{{{place}}}' for place in TRACE_PLACES)}")
    if not value.startswith(("https://", "http://")) or not places:
        raise ValueError("give an address with a place, as https://traces.example/trace/{trace_id}")
    return value


class Settings(BaseSettings):
    """Immutable settings; each field is the environment variable `SCORELINE_<FIELD>` in capitals."""

    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="ignore", validate_default=True, hide_input_in_errors=True
    )

    kafka: str = Field("localhost:9092", min_length=1)
    """Bootstrap servers, `host:port[,host:port…]`."""
    kafka_options: dict[str, str] = Field(default_factory=dict[str, str], repr=False)
    """Any librdkafka option, passed through to every Kafka client; JSON in the environment, a table in TOML."""
    kafka_ca: FilePath | None = None
    """PEM file of the authorities that sign the brokers' certificates; not set: those that the system trusts. This, a
    user or a certificate makes every connection to Kafka one over TLS."""
    kafka_user: str | None = Field(None, min_length=1)
    """Who we are to Kafka, by SCRAM; only ever over TLS."""
    kafka_password: SecretStr | None = None
    kafka_sasl_mechanism: Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"] = "SCRAM-SHA-512"
    """How the password is proven; PLAIN sends it, as some clouds want."""
    kafka_certificate: FilePath | None = None
    """PEM file of our own certificate, and the chain above it: who we are to a Kafka with mutual TLS."""
    kafka_key: FilePath | None = None
    """PEM file of that certificate's private key."""
    kafka_key_password: SecretStr | None = None
    topic_prefix: str = Field("", pattern=r"^[a-zA-Z0-9._-]{0,100}$")
    """Put before every topic, consumer group and transactional id."""
    partitions: int = Field(4, ge=1, le=1024)
    """Partitions of raw, enriched, rejected and changelog when `scoreline topics` creates them."""
    replication_factor: int = Field(1, ge=1, le=7)
    """Copies of every topic; 3 in production."""

    project: ProjectName = "default"
    service: str | None = Field(None, max_length=200)
    environment: str | None = Field(None, max_length=200)
    release: str | None = Field(None, max_length=200)
    """Where scores come from, filled in by the client."""
    queue_events_max: int = Field(100_000, ge=1, le=10_000_000)
    """Scores the client holds for the broker before the queue is full."""
    queue_wait_s: float = Field(30.0, ge=0.0)
    """How long a caller waits for room in a full queue before `QueueFull`; 0: it never waits, and raises at once."""
    spool_dir: Path | None = None
    """Folder where unacknowledged scores also stand on disk: what a dying process leaves, the next start delivers."""
    spool_bytes_max: int = Field(1 << 30, ge=1 << 20)
    """Unacknowledged bytes in the spool before emitting raises `QueueFull`; whole files count, of an eighth at most."""
    strict: bool = True
    """Whether a score that breaks a rule or finds no room raises; false: it is counted, logged once and told."""
    debug: bool = False
    """Say on stderr where each score was put: id, topic, partition, offset."""
    flush_s: Seconds = 30.0
    """How long the client waits at exit for the broker's acknowledgements."""

    state_dir: Path = Path(".scoreline/state")
    """Folder of the worker's RocksDB state; safe to delete, then rebuilt from the changelog."""
    state_horizon_days: HorizonDays = 30
    """How long an id is remembered at least, in days, or `forever`."""
    batch_events_max: int = Field(8_000, ge=1, le=100_000)
    """Raw records of one partition that the worker takes into one transaction."""
    reject_run_max: int = Field(10_000, ge=0)
    """Rejections in a row that stop a partition: a flood is a broken sender, not bad luck; 0 turns it off."""
    reject_ratio_max: float = Field(0.9, ge=0.0, le=1.0)
    """Share of rejections among the last `reject_window` records that stops a partition; 0 turns it off."""
    reject_window: int = Field(20_000, ge=100)
    stall_s: float = Field(120.0, ge=10.0)
    """A worker that has records to process and commits none for so long ends itself, to be started again."""
    instance_id: str | None = Field(None, pattern=r"^[a-zA-Z0-9._-]{1,200}$")
    """Static group membership: a restarted process takes its partitions over at once. Unique per process."""
    session_timeout_s: float = Field(20.0, ge=6.0, le=300.0)
    """How long Kafka waits for a silent member before its partitions go to another."""

    clickhouse_host: str = Field("localhost", min_length=1)
    clickhouse_port: int = Field(8123, ge=1, le=65535)
    clickhouse_user: str = "scoreline"
    clickhouse_password: SecretStr = SecretStr("")
    clickhouse_database: str = Field("scoreline", pattern=r"^[a-zA-Z_][a-zA-Z0-9_]{0,63}$")
    clickhouse_secure: bool = False
    """Whether ClickHouse is asked over TLS."""
    clickhouse_ca: FilePath | None = None
    """PEM file of the authorities that sign ClickHouse's certificate; not set: those that the system trusts."""
    insert_rows_max: int = Field(50_000, ge=1, le=500_000)
    """Rows of one insert; the next insert waits for the one before."""
    insert_linger_s: float = Field(0.2, ge=0.0, le=60.0)
    """How long the sink collects rows before it inserts fewer than `insert_rows_max`."""
    insert_timeout_s: Seconds = 60.0
    retention_days: int | None = Field(None, ge=1, le=36_500)
    """How long ClickHouse keeps a row at least, from its insert; `scoreline migrate` sets it. None: for ever."""
    refused_rows_max: int = Field(100, ge=1, le=1000)
    """Records of one insert that the sink takes out as dead letters; more stop it: then the tables are wrong."""

    gateway_host: str = Field("127.0.0.1", min_length=1)
    """Address the gateway listens on; 0.0.0.0 for every interface."""
    gateway_port: int = Field(8080, ge=0, le=65535)
    gateway_ack_s: float = Field(4.0, gt=0, le=300)
    """How long a request waits for the broker's acknowledgement before it is answered 503; some SDKs leave after 5."""
    gateway_requests_max: int = Field(1000, ge=1, le=100_000)
    """Requests that are worked on at once, and twice as many connections; more are answered 503."""
    gateway_buffer_bytes_max: int = Field(128 << 20, ge=1 << 20)
    """Bytes of all requests that are worked on, and as many of records that wait for the broker; more: 503."""
    gateway_body_bytes_max: int = Field(8 << 20, ge=1024, le=1 << 30)
    """Longest body on the wire; of NDJSON, the longest line."""
    gateway_inflated_bytes_max: int = Field(32 << 20, ge=1024, le=1 << 30)
    """Longest body after decompression."""
    gateway_stream_bytes_max: int = Field(1 << 30, ge=1024)
    """Longest NDJSON body, after decompression."""
    gateway_items_max: int = Field(10_000, ge=1, le=1_000_000)
    """Scores of one array."""
    gateway_stream_items_max: int = Field(100_000, ge=1, le=10_000_000)
    """Scores of one NDJSON body."""
    gateway_depth_max: int = Field(64, ge=2, le=200)
    """How deep arrays and objects of a JSON body may be nested."""
    gateway_rate: float | None = Field(None, gt=0)
    """Scores a second that one key may send where it has no rate of its own; not set: any number."""
    gateway_header_s: Seconds = 10.0
    """How long a client may take to send the head of a request, or to begin the next one."""
    gateway_body_s: Seconds = 10.0
    """How long a client may fall behind 16 KiB a second while it sends a body."""
    gateway_drain_s: Seconds = 20.0
    """How long requests may take to end after SIGTERM."""

    ui_host: str = Field("127.0.0.1", min_length=1)
    """Address the page and its API listen on; 0.0.0.0 for every interface."""
    ui_port: int = Field(8090, ge=0, le=65535)
    ui_login: bool = True
    """Whether page and API want an API key with scope `read`, and show its project; false, on loopback only: whoever
    reaches them sees all projects."""
    trace_url: Annotated[str | None, AfterValidator(_trace_url)] = None
    """Where the tracing tool shows a trace, as `https://traces.example/trace/{trace_id}`; also {observation_id},
    {session_id}, {project}."""

    ready_file: Path | None = None
    """A file that exists while this process is ready: made when it can work, removed when it cannot."""
    log_format: Literal["json", "console"] | None = None
    """How a `scoreline` process logs: JSON, a record a line, or lines for people. None: JSON by worker, sink, gateway
    and page where standard error is no terminal."""
    observe_host: str = Field("127.0.0.1", min_length=1)
    """Address where worker and sink serve /metrics, /healthz and /readyz; 0.0.0.0 for every interface."""
    observe_port: int = Field(0, ge=0, le=65535)
    """Its port; 0: none. Gateway and page serve the same paths at their own ports."""

    @model_validator(mode="after")
    def _belong_together(self) -> Settings:
        for one, other in (("kafka_user", "kafka_password"), ("kafka_certificate", "kafka_key")):
            for given, wanted in ((one, other), (other, one)):
                if getattr(self, given) is not None and getattr(self, wanted) is None:
                    raise ValueError(f"{PREFIX}{given.upper()} is nothing without {PREFIX}{wanted.upper()}")
        if self.clickhouse_ca is not None and not self.clickhouse_secure:
            raise ValueError(f"{PREFIX}CLICKHOUSE_CA is for TLS; set {PREFIX}CLICKHOUSE_SECURE=true too")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 (the base class names it)
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        toml = os.environ.get(PREFIX + "CONFIG")
        files = (TomlConfigSettingsSource(settings_cls, Path(toml)),) if toml else ()
        return init_settings, env_settings, file_secret_settings, *files


def load_settings(**overrides: object) -> Settings:
    """Settings from every source; `overrides` win.

    Raises SettingsError: names each wrong setting, what is wrong with it, and where it can be set.
    """
    config = os.environ.get(PREFIX + "CONFIG")
    secrets = os.environ.get(PREFIX + "SECRETS_DIR")
    for name, path in (("CONFIG", config), ("SECRETS_DIR", secrets)):
        if path and not Path(path).exists():
            raise SettingsError(f"{PREFIX}{name}={path}: no such file or folder; correct the path or unset it")
    try:
        return Settings(_secrets_dir=secrets, **overrides)  # pyright: ignore[reportArgumentType, reportCallIssue]
    except ValidationError as error:
        lines = [
            f"{PREFIX}{'.'.join(str(p) for p in e['loc']).upper()}: {e['msg']}" for e in error.errors() if e["loc"]
        ]
        lines += [e["msg"].removeprefix("Value error, ") for e in error.errors() if not e["loc"]]
        where = f" (or in {config})" if config else ""
        raise SettingsError("; ".join(lines) + f"; correct it in the environment{where}") from error
    except ValueError as error:
        raise SettingsError(f"settings cannot be read: {error}") from error
