"""A consumer group as the sink's lanes see it: eager rebalances, generations, and members that fall silent.

The coordinator checks member and generation of a commit, not who owns the partition; a rebalance waits for every member
that is alive, and a killed or stopped one is removed when its session ends.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from tests.faults.model_kafka import Broker, GroupMetadata, Message, Reader
from tests.faults.world import Process

Callback = Callable[[Any, list[TopicPartition]], None]


@dataclass(eq=False)
class Membership:
    """A member that the coordinator knows."""

    process: Process
    has_joined: bool = False
    """In the rebalance that is under way."""


@dataclass
class Group:
    """The coordinator of one group over one topic."""

    broker: Broker
    topic: str
    partitions: int
    session_s: float
    unrest: float = 0.0
    """How often a read finds that a rebalance has begun."""
    members: list[Membership] = field(default_factory=list)
    generation: int = 0
    rebalancing: bool = False

    def join(self, process: Process) -> Membership:
        member = Membership(process)
        self.members.append(member)
        self.rebalance()
        return member

    def leave(self, member: Membership) -> None:
        if member in self.members:
            self.members.remove(member)
            self.rebalance()

    def rebalance(self) -> None:
        if not self.rebalancing:
            self.rebalancing = True
            for member in self.members:
                member.has_joined = False
        self.complete()

    def complete(self) -> None:
        """Begin a new generation once everybody has joined."""
        if self.rebalancing and self.members and all(member.has_joined for member in self.members):
            self.rebalancing = False
            self.generation += 1

    def expel_silent(self) -> None:
        """Remove whose session is over."""
        for member in list(self.members):
            if member.process.silent and self.broker.world.now - member.process.silent_since >= self.session_s:
                self.leave(member)

    def share(self, member: Membership) -> list[int]:
        """The partitions of one member: `range` assignment."""
        size, more = divmod(self.partitions, len(self.members))
        place = self.members.index(member)
        first = place * size + min(place, more)
        return list(range(first, first + size + (place < more)))

    def commit(self, member: Membership, generation: int, offsets: Mapping[int, tuple[int, str]], name: str) -> None:
        self.check(member, generation)
        self.broker.offsets |= {(name, self.topic, p): at for p, at in offsets.items()}

    def check(self, member: Membership, generation: int) -> None:
        """Raise unless this member of this generation may commit, by itself or in a transaction."""
        self.expel_silent()
        if member not in self.members:
            raise KafkaException(KafkaError(KafkaError.UNKNOWN_MEMBER_ID, "unknown member"))
        if generation != self.generation:
            raise KafkaException(KafkaError(KafkaError.ILLEGAL_GENERATION, "another generation"))


class Member(Reader):
    """A consumer that takes part in a group."""

    def __init__(self, group: Group, config: Mapping[str, Any]) -> None:
        super().__init__(group.broker, config)
        self._group = group
        self._membership: Membership | None = None
        self._generation = -1
        self._assigned: list[TopicPartition] | None = None

    def subscribe(self, _topics: list[str], on_assign: Callback, on_revoke: Callback, on_lost: Callback) -> None:
        self._on_assign, self._on_revoke, self._on_lost = on_assign, on_revoke, on_lost

    def consume(self, messages_max: int, timeout: float) -> list[Message]:
        self.broker.world.step()
        if self.broker.world.chance(self._group.unrest):
            self._group.rebalance()
        self._take_part()
        return super().consume(messages_max, timeout)

    def commit(self, offsets: list[TopicPartition], asynchronous: bool) -> list[TopicPartition]:  # noqa: ARG002
        member, generation = self._membership, self._generation
        assert member is not None
        wanted = {at.partition: (at.offset, at.metadata or "") for at in offsets}
        # one connection: a commit that comes late cannot overtake the next one of the same consumer
        self.broker.request(lambda: self._group.commit(member, generation, wanted, self.group), can_be_late=False)
        return offsets

    def consumer_group_metadata(self) -> GroupMetadata:
        member, generation = self._membership, self._generation
        assert member is not None
        return GroupMetadata(self.group, lambda: self._group.check(member, generation))

    def close(self) -> None:
        self.broker.world.step()
        self._give_up(self._on_revoke)
        if self._membership is not None:
            self._group.leave(self._membership)
        super().close()

    def _take_part(self) -> None:
        group, member = self._group, self._membership
        group.expel_silent()
        if member is None or member not in group.members:
            self._give_up(self._on_lost)
            self._membership = group.join(self.broker.world.process)
        elif group.rebalancing and not member.has_joined:
            self._give_up(self._on_revoke)
            member.has_joined = True
            group.complete()
        elif not group.rebalancing and self._generation != group.generation:
            self._generation = group.generation
            self._assigned = [TopicPartition(group.topic, partition) for partition in group.share(member)]
            self._on_assign(self, self._assigned)

    def _give_up(self, callback: Callback) -> None:
        assigned, self._assigned = self._assigned, None
        self._positions = {}
        if assigned is not None:
            callback(self, assigned)
