"""Score configs: what a team declares about a score name, its bytes on `scores.configs`, and its versions. Pure.

The topic holds two records for a config: the newest version under `<project>/<id>`, which the worker follows, and each
version for ever under `@<version>/<project>/<id>`, so that `config_version` of a stored score can always be resolved.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from scoreline.changes import (
    HISTORY_MARK,
    Change,
    Record,
    Records,
    Writes,
    decode_entries,
    decode_model,
    describe,
    differences,
    newest,
    refuse_repeated,
)
from scoreline.errors import ConflictingChange, MalformedRecord
from scoreline.events import DataType, FiniteNumber, Identifier, Name, Project
from scoreline.topics import record_key

VERSION_MAX = 2**31 - 1


class ScoreConfig(BaseModel):
    """Rules for the scores that name this config. A change is a new version and affects later scores only."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    id: Identifier
    """What a score's `config_id` names; identity inside the project."""
    project: Project = "default"
    """Whose config it is."""
    name: Name
    """The one score name this config is for."""
    data_type: DataType = Field(strict=False)
    """How the scores' values are read."""
    min: FiniteNumber | None = None
    """Lower bound of a NUMERIC value, inclusive."""
    max: FiniteNumber | None = None
    """Upper bound, inclusive; with both bounds `normalized` is defined."""
    categories: dict[Name, FiniteNumber | None] | None = Field(None, max_length=1000)
    """Labels of a CATEGORICAL value and the number each counts as; None: any label."""
    lower_is_better: bool = False
    """Whether `normalized` is turned round."""
    unit: Name | None = None
    """What the value is measured in, e.g. `s`, `USD`, `tokens`; for people."""
    owner: Name | None = None
    """The team or person to ask about this score; for people."""
    description: str | None = Field(None, max_length=2000)
    """What is judged and how; for people."""
    archived: bool = False
    """An archived config takes no more scores."""
    version: int = Field(1, ge=1, le=VERSION_MAX)
    """1, and one more with every change; a score's `config_version`."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min} is above max {self.max}")
        if self.data_type is not DataType.NUMERIC and (self.min is not None or self.max is not None):
            raise ValueError(f"min and max are for NUMERIC, not {self.data_type}")
        if self.data_type is not DataType.CATEGORICAL and self.categories is not None:
            raise ValueError(f"categories are for CATEGORICAL, not {self.data_type}")
        numbers = [n for n in (self.min, self.max, *(self.categories or {}).values()) if n is not None]
        if numbers and not math.isfinite(max(numbers) - min(numbers)):
            raise ValueError(f"from {min(numbers)} to {max(numbers)} is wider than a double can hold")
        return self

    @property
    def key(self) -> bytes:
        """Key of its newest record on `scores.configs`."""
        return record_key(self.project, self.id)

    @property
    def version_key(self) -> bytes:
        """Key under which this version stays on `scores.configs`."""
        return _version_key(self.version, self.key)


def _version_key(version: int, key: bytes) -> bytes:
    return HISTORY_MARK + b"%d/" % version + key


def encode_config(config: ScoreConfig) -> bytes:
    """The value of its record on `scores.configs`: JSON, UTF-8."""
    return config.model_dump_json(exclude_none=True).encode()


def decode_config(value: bytes) -> ScoreConfig:
    """The config in a record's value. Raises MalformedRecord."""
    return decode_model(ScoreConfig, value, "config")


@dataclass(frozen=True, slots=True)
class ConfigVersion:
    """One version of a config, as it was put."""

    config: ScoreConfig
    put_at: datetime
    """Kafka timestamp of its record, UTC."""


@dataclass(frozen=True, slots=True)
class Catalog:
    """Every config of a topic, with all its versions."""

    configs: Mapping[bytes, ScoreConfig]
    """The newest version of each config that exists, by record key."""
    versions: Mapping[bytes, Sequence[ConfigVersion]]
    """All versions of each config, oldest first, by record key; also of configs that are deleted."""
    bare: frozenset[bytes]
    """Keys of configs whose newest version has no record of its own, as they were put by something that keeps none."""
    faults: Sequence[str]
    """What is wrong with each record that holds no config."""

    @classmethod
    def of(cls, records: Records) -> Catalog:
        """The catalog that a topic's records are; a record that holds no config is a fault and is left out."""
        now = newest(records)
        history = {key: record for key, record in records.items() if key not in now}
        configs, faults = decode_entries(now, decode_config)
        earlier, more_faults = decode_entries(history, decode_config, lambda config: config.version_key)
        versions: dict[bytes, dict[int, ConfigVersion]] = {}
        for key, config in earlier.items():
            versions.setdefault(config.key, {})[config.version] = _version(config, records[key])
        bare = frozenset(key for key, config in configs.items() if config.version not in versions.get(key, {}))
        for key in bare:
            versions.setdefault(key, {})[configs[key].version] = _version(configs[key], records[key])
        in_order = {key: [known[number] for number in sorted(known)] for key, known in versions.items()}
        return cls(configs, in_order, bare, [*faults, *more_faults])

    def newest_version(self, key: bytes) -> int:
        """The highest version that this config ever had, 0 if there never was one."""
        versions = self.versions.get(key)
        return versions[-1].config.version if versions else 0


def _version(config: ScoreConfig, record: Record) -> ConfigVersion:
    return ConfigVersion(config, datetime.fromtimestamp(record.timestamp_ms / 1000, UTC))


def plan_changes(
    catalog: Catalog, wanted: Sequence[ScoreConfig], prune: Collection[str] = ()
) -> list[Change[ScoreConfig]]:
    """What to do so that `wanted` holds, in its order; then, in the projects `prune`, every other config is archived.

    A config that sets no version gets the next one when it changes. One that sets a version says what it is based on:
    a version above all known ones is taken as it is (a catalog restored elsewhere), the newest one is followed by the
    next, and an older one is refused.

    Raises ConflictingChange when a config is based on an older version, MalformedRecord when one is given twice.
    """
    refuse_repeated(wanted)
    changes = [_plan(catalog, config) for config in wanted]
    kept = {config.key for config in wanted}
    for key, config in sorted(catalog.configs.items()):
        if config.project in prune and key not in kept and not config.archived:
            archived = config.model_copy(update={"archived": True})
            changes.append(_plan(catalog, archived))
    return changes


_NO_CONTENT = frozenset({"version"})


def _plan(catalog: Catalog, wanted: ScoreConfig) -> Change[ScoreConfig]:
    stored, newest = catalog.configs.get(wanted.key), catalog.newest_version(wanted.key)
    based_on = wanted.version if "version" in wanted.model_fields_set else None
    changed = {} if stored is None else differences(stored, wanted, _NO_CONTENT)
    restored = based_on is not None and based_on > newest
    if stored is not None and not changed and not restored:
        return Change(stored, "unchanged")
    if based_on is not None and not restored and (stored is None or based_on < newest):
        raise _stale(stored, wanted, newest)
    version = based_on if based_on is not None and restored else newest + 1
    if version > VERSION_MAX:
        raise MalformedRecord(f"{wanted.key.decode()} has had {VERSION_MAX} versions; give it another id")
    config = wanted.model_copy(update={"version": version})
    if stored is None:
        return Change(config, "created")
    return Change(config, "archived" if changed.keys() == {"archived"} and config.archived else "updated", changed)


def _stale(stored: ScoreConfig | None, wanted: ScoreConfig, newest: int) -> ConflictingChange:
    name = f"{wanted.key.decode()} is based on version {wanted.version}, but"
    remedy = "take it from there, or leave out its version to put it all the same; nothing was changed"
    if stored is None:
        return ConflictingChange(f"{name} it was deleted after version {newest}; {remedy}")
    mine = describe(differences(stored, wanted, _NO_CONTENT))
    return ConflictingChange(f"{name} version {newest} is stored (stored → yours: {mine}); {remedy}")


def writes_of(catalog: Catalog, changes: Iterable[Change[ScoreConfig]]) -> Writes:
    """The records that make `changes` so; a version that has no record of its own gets one before it is replaced."""
    writes: Writes = {}
    for change in changes:
        config = change.entry
        if change.action == "unchanged":
            continue
        if config.key in catalog.bare:
            stored = catalog.configs[config.key]
            writes[stored.version_key] = encode_config(stored)
        if change.action == "deleted":
            writes[config.key] = None
        else:
            writes[config.version_key] = writes[config.key] = encode_config(config)
    return writes
