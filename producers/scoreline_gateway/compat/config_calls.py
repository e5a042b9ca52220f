"""Score configs for the SDKs, read and changed in Kafka; every call blocks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import uuid_utils
from fastapi import Request
from pydantic import ValidationError

from scoreline.changes import Change
from scoreline.configs import Catalog, ScoreConfig
from scoreline.errors import ConflictingChange, MalformedRecord, RequestRefused
from scoreline.settings import Settings
from scoreline.stores import ConfigStore
from scoreline.topics import record_key
from scoreline_gateway.auth import Caller
from scoreline_gateway.compat.score_configs import (
    CreateScoreConfig,
    Page,
    UpdateScoreConfig,
    created,
    page_of,
    same_rules,
    shown,
    updated,
)

T = TypeVar("T")


class ConfigCalls:
    """What the SDKs can do with the configs of one project.

    Every method raises RequestRefused (400 for what breaks a rule, 404, 409 when somebody else was faster) and
    KafkaUnavailable.
    """

    def __init__(self, settings: Settings, project: str) -> None:
        self._store, self._project = ConfigStore(settings), project

    def page(self, page: int, limit: int) -> Page:
        """Some of the configs, counted from page 1."""
        return page_of(self._store.catalog(), self._project, page, limit)

    def get(self, config_id: str) -> dict[str, Any]:
        """One config."""
        catalog = self._store.catalog()
        return shown(catalog, self._existing(catalog, config_id))

    def create(self, body: dict[str, Any]) -> dict[str, Any]:
        """A new config under an id of ours; the one that is there already when it has the same rules.

        An SDK that did not see the answer sends the request again.
        """
        wanted = _valid(lambda: created(CreateScoreConfig.model_validate(body), str(uuid_utils.uuid7()), self._project))
        catalog = self._store.catalog()
        for config in catalog.configs.values():
            if config.project == self._project and same_rules(wanted, config):
                return shown(catalog, config)
        return self._put(wanted)

    def update(self, config_id: str, body: dict[str, Any]) -> dict[str, Any]:
        """Change what the body names, as a new version."""
        config = self._existing(self._store.catalog(), config_id)
        return self._put(_valid(lambda: updated(config, UpdateScoreConfig.model_validate(body))))

    def _put(self, config: ScoreConfig) -> dict[str, Any]:
        try:
            [change] = self._store.put([config])
        except ConflictingChange as error:
            raise RequestRefused(409, "conflict", str(error), "Send the request again.") from error
        except MalformedRecord as error:
            raise RequestRefused(400, "invalid_config", str(error)) from error
        return self._shown_after(change)

    def _shown_after(self, change: Change[ScoreConfig]) -> dict[str, Any]:
        return shown(self._store.catalog(), change.entry)

    def _existing(self, catalog: Catalog, config_id: str) -> ScoreConfig:
        config = catalog.configs.get(record_key(self._project, config_id))
        if config is None:
            raise RequestRefused(404, "unknown_config", f"no config {config_id!r} in project {self._project}")
        return config


def configs_of(request: Request, caller: Caller) -> ConfigCalls:
    """The configs of the caller's project."""
    return ConfigCalls(request.app.state.settings, caller.project)


def _valid(make: Callable[[], T]) -> T:
    try:
        return make()
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, fault['loc'])) or 'config'}: {fault['msg']}" for fault in error.errors()]
        raise RequestRefused(400, "invalid_config", "; ".join(faults)[:1000]) from error
