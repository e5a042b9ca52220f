"""What every Kafka client of ours shares: options, waiting for a broker, creating and checking topics."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, cast

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType, TopicDescription

from scoreline.access import Component, known_topics, may_check
from scoreline.errors import KafkaUnavailable, SettingsError, TopicError
from scoreline.security import protocol_of, security_options
from scoreline.topics import RAW_BYTES_MAX, Topic, declare_topics

if TYPE_CHECKING:
    from scoreline.settings import Settings

log = logging.getLogger(__name__)

CALL_TIMEOUT_S = 10.0
"""Bound of every single call to a broker."""
SHOWN_S = 30.0
"""How long a topic may take from its creation until the broker that we ask knows it."""

Options = dict[str, Any]

_DENIED = frozenset({KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED})
_NOT_LET_IN = frozenset({KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED})  # pyright: ignore[reportPrivateUsage]


def client_options(settings: Settings, **own: str | int | float | bool) -> Options:
    """librdkafka options of one client: ours, then `kafka_options`, which win. In `own` an underscore
    stands for a dot, as librdkafka's names have one, but for `log_level`."""
    return {
        "bootstrap.servers": settings.kafka,
        "client.id": "scoreline",
        "logger": logging.getLogger("scoreline.librdkafka"),
        **{name if name == "log_level" else name.replace("_", "."): value for name, value in own.items()},
        **security_options(settings),
        **settings.kafka_options,
    }


def raw_producer_options(settings: Settings, *, linger_ms: int = 20, **own: str | int | float | bool) -> Options:
    """`client_options` of whatever writes to the raw topic: idempotent, acknowledged by all, and of one partitioner,
    so that an id stays in its partition whoever sends it."""
    return client_options(
        settings,
        acks="all",
        enable_idempotence=True,
        partitioner="murmur2",
        compression_type="lz4",
        linger_ms=linger_ms,
        message_max_bytes=RAW_BYTES_MAX,
        **own,
    )


def error_of(error: KafkaException) -> KafkaError:
    """The KafkaError that a KafkaException carries."""
    return error.args[0]


def await_broker(settings: Settings, stopped: Callable[[], bool] = lambda: False) -> None:
    """Return once a broker answers; say every few seconds what is waited for. Ends early when `stopped()`.

    Raises SettingsError when a broker does not let our user in: waiting would not help.
    """
    told: list[KafkaError] = []
    options = client_options(settings, log_level=0, socket_connection_setup_timeout_ms=5000)
    options["error_cb"] = told.append
    admin = AdminClient(options)
    waits = 0
    while not stopped():
        told.clear()
        try:
            admin.list_topics(timeout=2.0)
        except KafkaException as error:
            # What failed is told beside the call, whose own error is that it got no answer.
            admin.poll(0)
            if refused := [each for each in told if each.code() in _NOT_LET_IN]:
                raise SettingsError(_not_let_in(settings, refused[-1])) from error
            if waits % 3 == 0:
                reason = (told or [error_of(error)])[0].str()
                log.warning("waiting for Kafka at %s (SCORELINE_KAFKA): %s", settings.kafka, reason)
            waits += 1
            time.sleep(0.2)
            continue
        if waits:
            log.info("Kafka at %s answers", settings.kafka)
        return


def _not_let_in(settings: Settings, error: KafkaError) -> str:
    who = f"user {settings.kafka_user}" if settings.kafka_user else "us"
    return (
        f"Kafka at {settings.kafka} (SCORELINE_KAFKA) does not let {who} in: {error.str()}; correct "
        "SCORELINE_KAFKA_USER and SCORELINE_KAFKA_PASSWORD, or SCORELINE_KAFKA_CERTIFICATE and SCORELINE_KAFKA_KEY"
    )


@dataclass(frozen=True, slots=True)
class TopicReport:
    """What `ensure_topics` did about one topic."""

    name: str
    created: bool
    partitions: int


def ensure_topics(settings: Settings) -> list[TopicReport]:
    """Create what is missing and check what exists.

    Returns when the broker shows what was created: right after an outage that takes it some seconds.

    Raises TopicError when a topic exists with other settings than declared, KafkaUnavailable when no broker answers.
    """
    admin = AdminClient(client_options(settings))
    declared = declare_topics(settings).all()
    existing = partition_counts(admin, settings)
    missing = [topic for topic in declared if topic.name not in existing]
    new = [
        NewTopic(topic.name, topic.partitions, settings.replication_factor, config=topic.config) for topic in missing
    ]
    futures = cast("dict[str, Future[None]]", admin.create_topics(new) if new else {})  # pyright: ignore[reportUnknownMemberType]
    created: set[str] = set()
    for name, future in futures.items():
        try:
            future.result(CALL_TIMEOUT_S * 3)
            created.add(name)
        except KafkaException as error:
            if error_of(error).code() == KafkaError.TOPIC_ALREADY_EXISTS:
                continue
            denied = error_of(error).code() in _DENIED
            remedy = f"; {_grant(Component.TOPICS)}" if denied else ""
            raise TopicError(f"topic {name} cannot be created: {error_of(error).str()}{remedy}") from error
    existing = _await_shown(admin, settings, {topic.name for topic in declared})
    _check_partitions(declared, existing)
    _check(admin, settings, [topic for topic in declared if topic.name not in created], Component.TOPICS)
    return [TopicReport(topic.name, topic.name in created, topic.partitions) for topic in declared]


def _await_shown(admin: AdminClient, settings: Settings, wanted: set[str]) -> dict[str, int]:
    deadline = time.monotonic() + SHOWN_S
    while unseen := wanted - (shown := partition_counts(admin, settings)).keys():
        if time.monotonic() > deadline:
            raise KafkaUnavailable(
                f"{settings.kafka} (SCORELINE_KAFKA) does not show what it created {SHOWN_S:.0f} s ago: "
                f"{', '.join(sorted(unseen))}; look into its log"
            )
        time.sleep(0.05)
    return shown


def require_topics(settings: Settings, component: Component) -> None:
    """Return when every topic that the component works with exists, and all that it may look at are as declared.

    Raises TopicError: a topic is missing, other than declared, or hidden from our user; KafkaUnavailable when no broker
    answers.
    """
    admin = AdminClient(client_options(settings))
    declared = known_topics(component, settings)
    existing = partition_counts(admin, settings)
    missing = [topic.name for topic in declared if topic.name not in existing]
    if missing:
        hidden = "" if protocol_of(settings) == "PLAINTEXT" else f", or hidden from its user: {_grant(component)}"
        raise TopicError(
            f"missing at {settings.kafka}: {', '.join(missing)}; create them with: scoreline topics{hidden}"
        )
    _check_partitions(declare_topics(settings).all(), existing)
    checked = may_check(component, settings)
    _check(admin, settings, [topic for topic in declared if topic.name in checked], component)


def _grant(component: Component) -> str:
    return f"what it needs is told by `scoreline acls {component}`"


def topic_id(settings: Settings, topic: str) -> str:
    """The id Kafka gave this topic when it was created: another after it was deleted and made again.

    Raises KafkaUnavailable.
    """
    admin = AdminClient(client_options(settings))
    described = cast(
        "dict[str, Future[TopicDescription]]",
        admin.describe_topics(TopicCollection([topic]), request_timeout=CALL_TIMEOUT_S),  # pyright: ignore[reportUnknownMemberType]
    )
    try:
        return str(described[topic].result(CALL_TIMEOUT_S).topic_id)
    except KafkaException as error:
        raise KafkaUnavailable(f"{topic}: {error_of(error).str()}") from error


Start = datetime | Literal["beginning", "end"]
"""Where to begin in a partition: with its oldest record, with those since a time, or behind its newest."""


def offset_at(consumer: Consumer, topic: str, partition: int, start: Start) -> int:
    """The offset where `start` is now. Raises KafkaException."""
    low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), CALL_TIMEOUT_S)
    if not isinstance(start, datetime):
        return low if start == "beginning" else high
    asked = TopicPartition(topic, partition, int(start.timestamp() * 1000))
    [found] = consumer.offsets_for_times([asked], CALL_TIMEOUT_S)
    return found.offset if found.offset >= 0 else high


def partition_counts(admin: AdminClient, settings: Settings) -> dict[str, int]:
    """Partitions of every topic that the broker shows. Raises KafkaUnavailable."""
    try:
        metadata = admin.list_topics(timeout=CALL_TIMEOUT_S)
    except KafkaException as error:
        raise KafkaUnavailable(f"{settings.kafka} (SCORELINE_KAFKA): {error_of(error).str()}") from error
    return {name: len(topic.partitions) for name, topic in metadata.topics.items() if topic.error is None}


_CHECKED = ("cleanup.policy", "message.timestamp.type", "max.message.bytes")
"""Settings that the guarantees rest on; retention and replication are the operator's to change."""


def _other_partitions(topic: Topic, found: int) -> str:
    """What is wrong with a topic of `found` partitions, and the remedy."""
    if topic.partitions == 1:
        return f"topic {topic.name} has {found} partitions and must have one, as its order counts; create it anew"
    why = (
        f"topic {topic.name} has {found} partitions, SCORELINE_PARTITIONS says {topic.partitions}. An id decides the "
        "partition of its scores, and each partition remembers its own ids: with another number, known ids come to "
        "partitions that do not know them, and are stored twice"
    )
    if found < topic.partitions:
        return (
            f"{why}. To have more, stop the pipeline and run `scoreline topics repartition`, which takes the state "
            f"along; else set SCORELINE_PARTITIONS={found} (docs/partitions.md)"
        )
    return (
        f"{why}. If the pipeline was repartitioned, set SCORELINE_PARTITIONS={found}; if partitions were added by "
        f"hand, stop all emitters and run `scoreline topics repartition` with that setting (docs/partitions.md)"
    )


def _check_partitions(topics: Iterable[Topic], existing: Mapping[str, int]) -> None:
    """Raise TopicError for a topic that is shown to us with other partitions than declared."""
    for topic in topics:
        if existing.get(topic.name, topic.partitions) != topic.partitions:
            raise TopicError(_other_partitions(topic, existing[topic.name]))


def _check(admin: AdminClient, settings: Settings, topics: list[Topic], component: Component) -> None:
    if not topics:
        return
    resources = [ConfigResource(ResourceType.TOPIC, topic.name) for topic in topics]
    futures = cast("dict[ConfigResource, Future[dict[str, Any]]]", admin.describe_configs(resources))  # pyright: ignore[reportUnknownMemberType]
    declared = {topic.name: topic.config for topic in topics}
    for resource, future in futures.items():
        try:
            actual = future.result(CALL_TIMEOUT_S)
        except KafkaException as error:
            reason = error_of(error)
            if reason.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
                raise TopicError(
                    f"topic {resource.name}: its settings may not be looked at ({reason.str()}); {_grant(component)}"
                ) from error
            raise KafkaUnavailable(f"{settings.kafka} (SCORELINE_KAFKA): {reason.str()}") from error
        for setting in _CHECKED:
            expected = declared[resource.name].get(setting)
            if expected is not None and actual[setting].value != expected:
                raise TopicError(
                    f"topic {resource.name} has {setting}={actual[setting].value}, {expected} is declared; "
                    f"alter the topic or choose another SCORELINE_TOPIC_PREFIX"
                )
