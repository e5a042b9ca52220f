"""Score configs as the SDKs of the Langfuse family read and write them, on top of ours. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from scoreline.configs import Catalog, ScoreConfig
from scoreline.events import DataType, FiniteNumber

PAGE_LIMIT_MAX = 100


class Category(BaseModel):
    """One label of a categorical config and the number it counts as."""

    model_config = ConfigDict(frozen=True)

    label: str
    value: FiniteNumber


class _Body(BaseModel):
    """Names in camel case, as the public API has them, or in snake case, as the platform API has them."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, validate_by_name=True, validate_by_alias=True)


Categories = Annotated[list[Category], Field(max_length=1000)]


class CreateScoreConfig(_Body):
    """A config to be made; the gateway gives the id."""

    name: str
    data_type: DataType
    categories: Categories | None = None
    min_value: FiniteNumber | None = None
    max_value: FiniteNumber | None = None
    description: str | None = None


class UpdateScoreConfig(_Body):
    """What is to change in a config; null and absent: nothing."""

    is_archived: bool | None = None
    name: str | None = None
    categories: Categories | None = None
    min_value: FiniteNumber | None = None
    max_value: FiniteNumber | None = None
    description: str | None = None


def created(body: CreateScoreConfig, config_id: str, project: str) -> ScoreConfig:
    """The config that a body asks for. Raises pydantic's ValidationError when it breaks a rule of ours."""
    return ScoreConfig.model_validate({"id": config_id, "project": project, **_ours(body)})


def updated(config: ScoreConfig, body: UpdateScoreConfig) -> ScoreConfig:
    """`config` as a body changes it, still based on its version. Raises pydantic's ValidationError."""
    changes = _ours(body)
    if body.is_archived is not None:
        changes["archived"] = body.is_archived
    return ScoreConfig.model_validate(config.model_dump() | changes)


def same_rules(one: ScoreConfig, other: ScoreConfig) -> bool:
    """Whether two configs differ in nothing but id and version."""
    return one.model_copy(update={"id": other.id, "version": other.version}) == other


def _ours(body: CreateScoreConfig | UpdateScoreConfig) -> dict[str, Any]:
    renamed = {
        "name": body.name,
        "min": body.min_value,
        "max": body.max_value,
        "description": body.description,
        "categories": None if body.categories is None else {one.label: one.value for one in body.categories},
    }
    if isinstance(body, CreateScoreConfig):
        renamed["data_type"] = body.data_type
    return {name: value for name, value in renamed.items() if value is not None}


def shown(catalog: Catalog, config: ScoreConfig) -> dict[str, Any]:
    """A config as the SDKs parse it. A label that has no number shows its place in the list: theirs must have one."""
    versions = catalog.versions[config.key]
    categories = None
    if config.categories is not None:
        categories = [
            {"label": label, "value": place if number is None else number}
            for place, (label, number) in enumerate(config.categories.items())
        ]
    return {
        "id": config.id,
        "name": config.name,
        "projectId": config.project,
        "dataType": config.data_type,
        "isArchived": config.archived,
        "minValue": config.min,
        "maxValue": config.max,
        "categories": categories,
        "description": config.description,
        "createdAt": versions[0].put_at.isoformat(),
        "updatedAt": versions[-1].put_at.isoformat(),
    }


@dataclass(frozen=True, slots=True)
class Page:
    """Some of a project's configs, by id."""

    configs: Sequence[dict[str, Any]]
    page: int
    """Counted from 1."""
    limit: int
    total_items: int

    @property
    def total_pages(self) -> int:
        return -(-self.total_items // self.limit)


def page_of(catalog: Catalog, project: str, page: int, limit: int) -> Page:
    """One page of a project's configs, archived ones too, as the SDKs parse them."""
    configs = [config for _, config in sorted(catalog.configs.items()) if config.project == project]
    first = (page - 1) * limit
    return Page([shown(catalog, config) for config in configs[first : first + limit]], page, limit, len(configs))
