"""Score configs: what a team declares about a score name, and its bytes on `scores.configs`."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from scoreline.errors import MalformedRecord
from scoreline.events import DataType, FiniteNumber, Identifier, Name, Project
from scoreline.topics import record_key


class ScoreConfig(BaseModel):
    """Rules for the scores that name this config. A change is a new version and affects later scores only."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    id: Identifier
    project: Project = "default"
    name: Name
    """The one score name this config is for."""
    data_type: DataType
    min: FiniteNumber | None = None
    max: FiniteNumber | None = None
    """Bounds of a NUMERIC value, both inclusive; with both, `normalized` is defined."""
    categories: dict[Name, FiniteNumber | None] | None = None
    """Labels of a CATEGORICAL value and the number each counts as; None: any label."""
    lower_is_better: bool = False
    description: str | None = Field(None, max_length=2000)
    archived: bool = False
    """An archived config takes no more scores."""
    version: int = Field(1, ge=1, le=2**31 - 1)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min} is above max {self.max}")
        if self.data_type is not DataType.NUMERIC and (self.min is not None or self.max is not None):
            raise ValueError(f"min and max are for NUMERIC, not {self.data_type}")
        if self.data_type is not DataType.CATEGORICAL and self.categories is not None:
            raise ValueError(f"categories are for CATEGORICAL, not {self.data_type}")
        return self

    @property
    def key(self) -> bytes:
        """Key of its record on `scores.configs`."""
        return record_key(self.project, self.id)


def encode_config(config: ScoreConfig) -> bytes:
    """The value of its record on `scores.configs`: JSON, UTF-8."""
    return config.model_dump_json(exclude_none=True).encode()


def decode_config(value: bytes) -> ScoreConfig:
    """The config in a record's value. Raises MalformedRecord."""
    try:
        return ScoreConfig.model_validate_json(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "config"
        raise MalformedRecord(f"{field}: {first['msg']}") from error
