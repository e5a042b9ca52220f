"""What each component may do in Kafka, as data: nothing that it does not need, under one topic prefix.

A broker that denies by default (StandardAuthorizer) takes these as its ACLs. Describe stands where nothing implies it:
Read, Write, Alter and Delete do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from scoreline.topics import Topic, declare_groups, declare_topics

if TYPE_CHECKING:
    from scoreline.settings import Settings


class Component(StrEnum):
    """A process, a command or a team with a user of its own."""

    CLIENT = "client"
    """A service that emits scores, `scoreline emit` and `import`."""
    GATEWAY = "gateway"
    """`scoreline gateway`; it writes score configs too, for SDKs that make them over HTTP."""
    WORKER = "worker"
    SINK = "sink"
    UI = "ui"
    """`scoreline ui`: keys only, everything else is in ClickHouse."""
    CONSUMER = "consumer"
    """A team that reads enriched scores: `scoreline.consume` in groups that are named for it, `scoreline tail`."""
    TOPICS = "topics"
    """`scoreline topics`, which creates and checks them."""
    CONFIGS = "configs"
    """`scoreline configs`."""
    LOOKUPS = "lookups"
    """`scoreline lookups`."""
    KEYS = "keys"
    """`scoreline keys`."""
    DLQ = "dlq"
    """`scoreline dlq replay`, and `tail --rejected`."""
    RECONCILE = "reconcile"
    """`scoreline reconcile`."""
    LAG = "lag"
    """Whatever watches the lag, KEDA or `scoreline status`; it reads no group's place."""
    REPARTITION = "repartition"
    """`scoreline topics repartition`, which no user needs on other days."""


class Resource(StrEnum):
    """Kind of what an ACL is for."""

    TOPIC = "topic"
    GROUP = "group"
    TRANSACTIONAL_ID = "transactional-id"


class Pattern(StrEnum):
    """Whether an ACL's name is one resource's, or what the names of several begin with."""

    LITERAL = "literal"
    PREFIXED = "prefixed"


class Operation(StrEnum):
    """What is allowed, as Kafka names it."""

    READ = "Read"
    WRITE = "Write"
    CREATE = "Create"
    DELETE = "Delete"
    ALTER = "Alter"
    ALTER_CONFIGS = "AlterConfigs"
    DESCRIBE = "Describe"
    DESCRIBE_CONFIGS = "DescribeConfigs"


@dataclass(frozen=True, slots=True, order=True)
class Acl:
    """One thing that a component may do, from any host."""

    resource: Resource
    name: str
    pattern: Pattern
    operation: Operation


_READ, _WRITE, _CHECK = (Operation.READ,), (Operation.WRITE,), (Operation.DESCRIBE_CONFIGS,)


def acls(settings: Settings, groups: Sequence[str] = ()) -> Mapping[Component, tuple[Acl, ...]]:
    """Component → all that it needs, sorted; `groups` are those of CONSUMER, without the prefix."""
    return {component: tuple(sorted(_needs(component, settings, groups))) for component in Component}


def known_topics(component: Component, settings: Settings) -> tuple[Topic, ...]:
    """The topics that a component works with, and so is shown by a broker that denies by default."""
    named = {acl.name for acl in acls(settings)[component] if acl.resource is Resource.TOPIC}
    return tuple(topic for topic in declare_topics(settings).all() if topic.name in named)


def may_check(component: Component, settings: Settings) -> frozenset[str]:
    """The topics whose settings it may ask for."""
    granted = acls(settings)[component]
    return frozenset(acl.name for acl in granted if acl.operation is Operation.DESCRIBE_CONFIGS)


def _needs(component: Component, settings: Settings, groups: Sequence[str]) -> Iterator[Acl]:
    own = list(_own(component, settings, groups))
    yield from own
    if any(acl.resource is Resource.TOPIC and acl.operation is Operation.READ for acl in own):
        yield from _group(declare_groups(settings).reader, (Operation.DESCRIBE,))


def _own(component: Component, settings: Settings, groups: Sequence[str]) -> Iterator[Acl]:
    topics, group = declare_topics(settings), declare_groups(settings)
    followed = (*_READ, *_CHECK)
    match component:
        case Component.CLIENT:
            yield from _topic(topics.raw, _WRITE)
        case Component.GATEWAY:
            yield from _topic(topics.raw, _WRITE)
            yield from _topic(topics.keys, followed)
            yield from _changes(topics.configs)
        case Component.WORKER:
            yield from _topic(topics.raw, followed)
            for written in (topics.enriched, topics.rejected):
                yield from _topic(written, (*_WRITE, *_CHECK))
            yield from _topic(topics.changelog, (*followed, *_WRITE))
            for read in (topics.configs, topics.lookups):
                yield from _topic(read, followed)
            yield from _group(group.worker, _READ)
            yield Acl(Resource.TRANSACTIONAL_ID, f"{group.worker}.", Pattern.PREFIXED, Operation.WRITE)
        case Component.SINK:
            yield from _topic(topics.enriched, followed)
            yield from _topic(topics.rejected, (*followed, *_WRITE))
            yield from _topic(topics.raw, _READ)
            for lane in (group.sink_enriched, group.sink_rejected):
                yield from _group(lane, _READ)
            yield Acl(Resource.TRANSACTIONAL_ID, f"{group.sink_enriched}.", Pattern.PREFIXED, Operation.WRITE)
        case Component.UI:
            yield from _topic(topics.keys, followed)
        case Component.CONSUMER:
            yield from _topic(topics.enriched, _READ)
            for name in groups:
                yield from _group(settings.topic_prefix + name, _READ)
        case Component.TOPICS:
            for topic in topics.all():
                yield from _topic(topic, (Operation.CREATE, Operation.DESCRIBE, *_CHECK))
        case Component.CONFIGS:
            yield from _changes(topics.configs)
        case Component.LOOKUPS:
            yield from _changes(topics.lookups)
        case Component.KEYS:
            yield from _changes(topics.keys)
        case Component.DLQ:
            yield from _topic(topics.raw, _WRITE)
            for read in (topics.configs, topics.rejected):
                yield from _topic(read, _READ)
        case Component.RECONCILE | Component.LAG:
            for read in (topics.raw, topics.enriched, topics.rejected):
                yield from _topic(read, _READ)
            for watched in (group.worker, group.sink_enriched, group.sink_rejected):
                yield from _group(watched, (Operation.DESCRIBE,))
        case Component.REPARTITION:
            for grown in (topics.raw, topics.enriched, topics.rejected, topics.changelog):
                yield from _topic(grown, (Operation.ALTER,))
            for seeded in (topics.raw, topics.changelog):
                yield from _topic(seeded, (*_READ, *_WRITE, Operation.DELETE))
            # It begins the state of the new partitions in the worker's place.
            yield from _group(group.worker, _READ)
            yield Acl(Resource.TRANSACTIONAL_ID, f"{group.worker}.", Pattern.PREFIXED, Operation.WRITE)
            for stopped in (group.sink_enriched, group.sink_rejected):
                yield from _group(stopped, (Operation.DESCRIBE,))


def _topic(topic: Topic, operations: Sequence[Operation]) -> Iterator[Acl]:
    return (Acl(Resource.TOPIC, topic.name, Pattern.LITERAL, operation) for operation in operations)


def _group(name: str, operations: Sequence[Operation]) -> Iterator[Acl]:
    return (Acl(Resource.GROUP, name, Pattern.LITERAL, operation) for operation in operations)


def _changes(topic: Topic) -> Iterator[Acl]:
    """What `scoreline.compacted` needs to change a topic under its fence."""
    yield from _topic(topic, (*_READ, *_WRITE, *_CHECK))
    yield Acl(Resource.TRANSACTIONAL_ID, f"{topic.name}.writer", Pattern.LITERAL, Operation.WRITE)
