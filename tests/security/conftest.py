"""A broker that denies by default, beside a ClickHouse; each module has its topics, and users with rights."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from scoreline.access import Component
from scoreline.kafka import ensure_topics
from scoreline.settings import Settings, load_settings
from scoreline_local import stack as local
from scoreline_local.datadir import data_dir
from scoreline_local.secured import ADMIN, Secrets, let_in
from scoreline_local.settings import LocalSettings
from scoreline_sink.schema import migrate


@dataclass(frozen=True)
class Secured:
    """Where the broker takes passwords and where certificates, and whose they are."""

    base: Settings
    scram: str
    mtls: str
    secrets: Secrets

    def by_password(self, component: Component) -> Settings:
        """The settings of a component that proves itself by its password."""
        return self._with(
            kafka=self.scram,
            kafka_ca=self.secrets.authority,
            kafka_user=str(component),
            kafka_password=self.secrets.password(component),
        )

    def by_certificate(self, name: str = ADMIN) -> Settings:
        """The settings of whoever has the certificate of this name."""
        return self._with(kafka=self.mtls, **self.secrets.files(name))

    def environment(self, component: Component) -> dict[str, str]:
        """What a process of this component is told of Kafka: its user and password stand in files."""
        return self.secrets.environment(self.scram, component)

    def _with(self, **changed: object) -> Settings:
        return load_settings(**(self.base.model_dump(exclude_defaults=True) | changed))


@pytest.fixture(scope="session")
def secured_stack(tmp_path_factory: pytest.TempPathFactory, _only_the_settings_of_a_test: None) -> Iterator[Secured]:
    folder = tmp_path_factory.mktemp("secured")
    parts = LocalSettings(data_dir=folder, kafka_port=0, clickhouse_port=0, gateway_port=0, ui_port=0, secure=True)
    try:
        endpoints = local.up(parts, parts=("kafka", "clickhouse"))
        assert endpoints.kafka is not None
        assert endpoints.clickhouse is not None
        base = load_settings(
            clickhouse_host=endpoints.clickhouse.host,
            clickhouse_port=endpoints.clickhouse.port,
            clickhouse_user="default",
        )
        yield Secured(base, endpoints.kafka, endpoints.admin["SCORELINE_KAFKA"], Secrets(data_dir(folder).secure))
    finally:
        local.down(folder)


@pytest.fixture(scope="module")
def secured(secured_stack: Secured, tmp_path_factory: pytest.TempPathFactory) -> Secured:
    """Topics, made by the user whose task that is, tables, and every component's rights to these topics alone."""
    unique = f"t{uuid.uuid4().hex[:10]}"
    base = secured_stack.base.model_copy(
        update={
            "topic_prefix": f"{unique}.",
            "clickhouse_database": unique,
            "state_dir": tmp_path_factory.mktemp("state"),
        }
    )
    secured = Secured(base, secured_stack.scram, secured_stack.mtls, secured_stack.secrets)
    let_in(secured.by_certificate(), secured.secrets)
    ensure_topics(secured.by_password(Component.TOPICS))
    migrate(base, threading.Event())
    return secured
