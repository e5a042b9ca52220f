"""Settings of the local stack: environment `SCORELINE_LOCAL_*`, overridden by the flags of `scoreline up`."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from scoreline.errors import SettingsError

PREFIX = "SCORELINE_LOCAL_"


class LocalSettings(BaseSettings):
    """Immutable; each field is the environment variable `SCORELINE_LOCAL_<FIELD>` in capitals."""

    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore")

    data_dir: Path = Path(".scoreline")
    """Folder of everything the stack keeps: Kafka's log, ClickHouse's tables, the worker's state, logs."""
    kafka_port: int | None = Field(None, ge=0, le=65533)
    """Kafka's port, and the next two with three brokers; 0 picks free ones; default: as last time, at first 9092."""
    clickhouse_port: int | None = Field(None, ge=0, le=65535)
    """ClickHouse's HTTP port; 0 picks a free one; default: as last time, at first 8123."""
    gateway_port: int | None = Field(None, ge=0, le=65535)
    """The gateway's port; 0 picks a free one; default: as last time, at first 8080."""
    ui_port: int | None = Field(None, ge=0, le=65535)
    """The page's port; 0 picks a free one; default: as last time, at first 8090."""
    secure: bool | None = None
    """Whether Kafka lets nobody in without proof; default: as last time, at first no."""
    kafka_jvm: str = "-Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1"
    """Options of each broker's Java machine; the default starts fast and stays small, benchmarks want C2 and G1."""


def load_local_settings(**overrides: object) -> LocalSettings:
    """Settings from the environment; every override that is not None wins.

    Raises SettingsError: names each wrong setting.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return LocalSettings(**given)  # pyright: ignore[reportArgumentType]
    except ValidationError as error:
        wrong = [f"{PREFIX}{'.'.join(str(part) for part in e['loc']).upper()}: {e['msg']}" for e in error.errors()]
        raise SettingsError("; ".join(wrong) + "; correct the variable or the flag of the same name") from error
