"""Score configs, lookups and API keys in Kafka: what `scoreline configs`, `lookups` and `keys` read and change.

    store = ConfigStore()
    store.put([ScoreConfig(id="acc", name="accuracy", data_type=DataType.NUMERIC, min=0.0, max=1.0)])
    config = store.get("acc")
    store.put([config.model_copy(update={"max": 5.0})])    # refused if somebody changed it since `get`
    store.archive("acc")

Every call reads the topic as it is now, and every change is one Kafka transaction.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TypeVar

from scoreline.changes import Change, Records, Writes
from scoreline.compacted import change_records, read_records
from scoreline.configs import Catalog, ConfigVersion, ScoreConfig, plan_changes, writes_of
from scoreline.errors import QueryError
from scoreline.keys import ApiKey, encode_key, read_keys, writes_of_revocation
from scoreline.lookups import Lookup, LookupField, lookup_key, plan_lookups, read_lookups, writes_of_lookups
from scoreline.settings import Settings, load_settings
from scoreline.topics import declare_topics, record_key

log = logging.getLogger(__name__)

T = TypeVar("T")


class ConfigStore:
    """The score configs of a cluster. `project` is everywhere the settings' one (SCORELINE_PROJECT) where not given.

    Every method raises TopicError when the topic is missing and KafkaUnavailable when no broker answers; those that
    change something also ConflictingChange when somebody else changed the same config. Nothing is stored then.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self._settings = settings or load_settings()
        self._topic = declare_topics(self._settings).configs.name

    def catalog(self) -> Catalog:
        """Every config with all its versions, of all projects. A record that holds no config is logged and left out."""
        catalog = Catalog.of(read_records(self._settings, self._topic))
        _report(self._topic, catalog.faults)
        return catalog

    def all(self, project: str | None = None) -> list[ScoreConfig]:
        """The newest version of every config, archived or not, by project and id; of all projects if none is given."""
        configs = self.catalog().configs
        return [config for _, config in sorted(configs.items()) if project in (None, config.project)]

    def get(self, config_id: str, project: str | None = None) -> ScoreConfig | None:
        """The newest version of one config; None when there is none, or it was deleted."""
        return self.catalog().configs.get(self._key(config_id, project))

    def history(self, config_id: str, project: str | None = None) -> Sequence[ConfigVersion]:
        """Every version of one config, oldest first, also of a deleted one; empty when there never was one."""
        return self.catalog().versions.get(self._key(config_id, project), ())

    def plan(self, configs: Iterable[ScoreConfig], prune: Collection[str] = ()) -> list[Change[ScoreConfig]]:
        """What `put` would do now; stores nothing. Raises as `put`."""
        return plan_changes(self.catalog(), list(configs), prune)

    def put(self, configs: Iterable[ScoreConfig], prune: Collection[str] = ()) -> list[Change[ScoreConfig]]:
        """Store what is new or changed, each change as a new version; in the projects `prune`, archive all others.

        A config whose `version` is set (as in one that `get` returned) is refused when a newer one is stored.
        Raises MalformedRecord when a config is given twice or is too large.
        """
        wanted = list(configs)
        return self._change(lambda catalog: plan_changes(catalog, wanted, prune))

    def archive(self, config_id: str, project: str | None = None) -> Change[ScoreConfig]:
        """Let a config take no more scores. Raises QueryError when there is none."""
        return self._set_archived(self._key(config_id, project), {"archived": True})

    def unarchive(self, config_id: str, project: str | None = None) -> Change[ScoreConfig]:
        """Let an archived config take scores again. Raises QueryError when there is none."""
        return self._set_archived(self._key(config_id, project), {"archived": False})

    def delete(self, config_id: str, project: str | None = None) -> Change[ScoreConfig]:
        """Forget a config: scores that name it are rejected as `unknown_config`. Its versions stay in the history.

        Raises QueryError when there is none.
        """
        key = self._key(config_id, project)
        [change] = self._change(lambda catalog: [Change(_existing(catalog, key), "deleted")])
        return change

    def _set_archived(self, key: bytes, update: dict[str, bool]) -> Change[ScoreConfig]:
        [change] = self._change(
            lambda catalog: plan_changes(catalog, [_existing(catalog, key).model_copy(update=update)])
        )
        return change

    def _change(self, plan: Callable[[Catalog], list[Change[ScoreConfig]]]) -> list[Change[ScoreConfig]]:
        def writes(records: Records) -> tuple[Writes, list[Change[ScoreConfig]]]:
            catalog = Catalog.of(records)
            changes = plan(catalog)
            return writes_of(catalog, changes), changes

        return change_records(self._settings, self._topic, writes)

    def _key(self, config_id: str, project: str | None) -> bytes:
        return record_key(project or self._settings.project, config_id)


class LookupStore:
    """The lookups of a cluster; `project` and errors as in `ConfigStore`."""

    def __init__(self, settings: Settings | None = None) -> None:
        self._settings = settings or load_settings()
        self._topic = declare_topics(self._settings).lookups.name

    def all(self, project: str | None = None) -> list[Lookup]:
        """Every lookup, by project, field and value; of all projects if none is given."""
        lookups, faults = read_lookups(read_records(self._settings, self._topic))
        _report(self._topic, faults)
        return [lookup for _, lookup in sorted(lookups.items()) if project in (None, lookup.project)]

    def plan(self, lookups: Iterable[Lookup], prune: Collection[str] = ()) -> list[Change[Lookup]]:
        """What `put` would do now; stores nothing. Raises as `put`."""
        return plan_lookups(read_lookups(read_records(self._settings, self._topic))[0], list(lookups), prune)

    def put(self, lookups: Iterable[Lookup], prune: Collection[str] = ()) -> list[Change[Lookup]]:
        """Store what is new or changed; in the projects `prune`, delete all others.

        Raises MalformedRecord when a lookup is given twice.
        """
        wanted = list(lookups)

        def writes(records: Records) -> tuple[Writes, list[Change[Lookup]]]:
            changes = plan_lookups(read_lookups(records)[0], wanted, prune)
            return writes_of_lookups(changes), changes

        return change_records(self._settings, self._topic, writes)

    def delete(self, field: LookupField, value: str, project: str | None = None) -> Change[Lookup]:
        """Forget what is known of one value. Raises QueryError when nothing is."""
        key = lookup_key(project or self._settings.project, field, value)

        def writes(records: Records) -> tuple[Writes, Change[Lookup]]:
            lookups = read_lookups(records)[0]
            if key not in lookups:
                raise QueryError(f"no lookup {key.decode()}; {_known(lookups)}")
            change = Change(lookups[key], "deleted")
            return writes_of_lookups([change]), change

        return change_records(self._settings, self._topic, writes)


class KeyStore:
    """The API keys of a cluster's gateways; errors as in `ConfigStore`."""

    def __init__(self, settings: Settings | None = None) -> None:
        self._settings = settings or load_settings()
        self._topic = declare_topics(self._settings).keys.name

    def all(self, project: str | None = None) -> list[ApiKey]:
        """Every key that is not revoked, the oldest first; of all projects if none is given."""
        keys, faults = read_keys(read_records(self._settings, self._topic))
        _report(self._topic, faults)
        chosen = [entry for entry in keys.values() if project in (None, entry.project)]
        return sorted(chosen, key=lambda entry: (entry.created_at, entry.public_key))

    def add(self, entry: ApiKey) -> None:
        """Store a key; gateways take it within a second."""
        change_records(self._settings, self._topic, lambda _: ({entry.key: encode_key(entry)}, None))

    def revoke(self, public_key: str) -> ApiKey:
        """Forget a key; gateways refuse it within a second. Raises QueryError when there is none."""
        return change_records(
            self._settings, self._topic, lambda records: writes_of_revocation(read_keys(records)[0], public_key)
        )


_NAMES_MAX = 10


def _existing(catalog: Catalog, key: bytes) -> ScoreConfig:
    config = catalog.configs.get(key)
    if config is None:
        raise QueryError(f"no config {key.decode()}; {_known(catalog.configs)}")
    return config


def _known(keys: Iterable[bytes]) -> str:
    names = sorted(key.decode() for key in keys)
    more = f" and {len(names) - _NAMES_MAX} more" if len(names) > _NAMES_MAX else ""
    return f"there are {', '.join(names[:_NAMES_MAX])}{more}" if names else "there is none yet"


def _report(topic: str, faults: Iterable[str]) -> None:
    for fault in faults:
        log.warning("%s, unreadable, left out: %s", topic, fault)
