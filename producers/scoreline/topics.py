"""Every topic, declared once: name, key, partitions, retention, who writes and who reads it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scoreline.settings import Settings


RECORD_BYTES_MAX = 256 * 1024
"""Longest value of a raw record that is a score; a longer one is rejected with `too_large`."""
RAW_BYTES_MAX = 1024 * 1024
"""Longest record the raw topic takes at all, so that an oversized score can still be rejected with its bytes."""
REJECTED_BYTES_MAX = 2 * RAW_BYTES_MAX
"""A rejected record is the raw one and more headers."""

DAY_MS = 24 * 60 * 60 * 1000
UNLIMITED = -1


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic as it must exist."""

    name: str
    key: str
    """What a record's key is, for people."""
    partitions: int
    config: dict[str, str]
    """Topic settings as Kafka names them."""
    writers: tuple[str, ...]
    readers: tuple[str, ...]
    description: str


@dataclass(frozen=True, slots=True)
class Topics:
    """The pipeline's topics under one prefix."""

    raw: Topic
    enriched: Topic
    rejected: Topic
    configs: Topic
    lookups: Topic
    keys: Topic
    changelog: Topic

    def all(self) -> tuple[Topic, ...]:
        return self.raw, self.enriched, self.rejected, self.configs, self.lookups, self.keys, self.changelog


@dataclass(frozen=True, slots=True)
class Groups:
    """The pipeline's consumer groups under one prefix."""

    worker: str
    sink_enriched: str
    sink_rejected: str
    reader: str
    """Of whoever reads given offsets, and neither joins nor commits: librdkafka wants a name all the same."""


def declare_groups(settings: Settings) -> Groups:
    """Consumer groups of the worker, of the sink's two lanes, and the one that nobody joins."""
    prefix = settings.topic_prefix
    return Groups(
        f"{prefix}scoreline.worker",
        f"{prefix}scoreline.sink.enriched",
        f"{prefix}scoreline.sink.rejected",
        f"{prefix}scoreline.reader",
    )


def declare_topics(settings: Settings) -> Topics:
    """The topics of the pipeline that `settings` names.

    raw, enriched, rejected and changelog have the same number of partitions, and a record stays in its partition.
    """
    horizon = settings.state_horizon_days
    horizon_ms = UNLIMITED if horizon is None else horizon * DAY_MS

    def topic(
        name: str,
        key: str,
        partitions: int,
        description: str,
        writers: tuple[str, ...],
        readers: tuple[str, ...],
        **config: object,
    ) -> Topic:
        merged = {"min.insync.replicas": str(2 if settings.replication_factor >= 3 else 1)} | {
            setting.replace("_", "."): str(value) for setting, value in config.items()
        }
        return Topic(settings.topic_prefix + name, key, partitions, merged, writers, readers, description)

    return Topics(
        raw=topic(
            "scores.raw",
            "<project>/<score_id>",
            settings.partitions,
            "Score events as services emit them, not yet validated.",
            ("client", "gateway", "import", "any language"),
            ("worker",),
            cleanup_policy="delete",
            retention_ms=7 * DAY_MS,
            message_timestamp_type="LogAppendTime",
            max_message_bytes=RAW_BYTES_MAX,
        ),
        enriched=topic(
            "scores.enriched",
            "<project>/<score_id>",
            settings.partitions,
            "Valid scores, once per id, canonical and enriched.",
            ("worker",),
            ("sink", "any consumer, read_committed"),
            cleanup_policy="delete",
            retention_ms=7 * DAY_MS,
            max_message_bytes=RAW_BYTES_MAX,
        ),
        rejected=topic(
            "scores.rejected",
            "as the raw record's",
            settings.partitions,
            "Dead letters: original key, value and headers, and why they were rejected.",
            ("worker", "sink"),
            ("sink", "operators"),
            cleanup_policy="delete",
            retention_ms=30 * DAY_MS,
            max_message_bytes=REJECTED_BYTES_MAX,
        ),
        configs=topic(
            "scores.configs",
            "<project>/<config_id>; older and present versions: @<version>/<project>/<config_id>",
            1,
            "Score configs: the newest of each, and every version.",
            ("scoreline configs",),
            ("worker",),
            cleanup_policy="compact",
        ),
        lookups=topic(
            "scores.lookups",
            "<project>/<field>/<value>",
            1,
            "What is known of a field's value, joined to the scores that carry it.",
            ("scoreline lookups",),
            ("worker",),
            cleanup_policy="compact",
        ),
        keys=topic(
            "scores.keys",
            "<public_key>",
            1,
            "API keys of the gateway: project, scopes, and a hash of the secret.",
            ("scoreline keys",),
            ("gateway",),
            cleanup_policy="compact",
        ),
        changelog=topic(
            "scores.dedup-changelog",
            "format of the value",
            settings.partitions,
            "The worker's deduplication state, packed; restores a lost state directory.",
            ("worker",),
            ("worker",),
            cleanup_policy="delete",
            retention_ms=horizon_ms,
            max_message_bytes=RAW_BYTES_MAX,
        ),
    )


def record_key(project: str, entity_id: str) -> bytes:
    """Key of a score or a config: `<project>/<id>`, UTF-8. Unambiguous, as a project holds no slash."""
    return f"{project}/{entity_id}".encode()
