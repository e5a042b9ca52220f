"""What a lane does with partitions it has just been given: finish the plans that their last owner may have left."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from threading import Event

from confluent_kafka import Consumer, KafkaError, TopicPartition

from scoreline.errors import ConflictingOwner, KafkaUnavailable, PlanError
from scoreline.settings import Settings
from scoreline.topics import declare_groups
from scoreline_sink.consuming import check, committed, reader_options, take
from scoreline_sink.patience import Patience, patiently
from scoreline_sink.plan import PartitionRows, Plan, Sealed, decode_all, encode, seal
from scoreline_sink.route import Route, ToRow
from scoreline_sink.settle import Refusals, settle

REREAD_ROWS = 5_000
REREAD_WAIT_S = 0.5
REREAD_END_S = 10.0
"""How long a topic may end before a planned offset: behind a new partition leader it can, for a moment."""


@dataclass(frozen=True, slots=True)
class Handover:
    """What the committed offsets of newly assigned partitions say."""

    committed: Mapping[int, tuple[int, str]]
    """Partition → (offset, metadata), as they were read."""
    starts: Mapping[int, int]
    """Partition → the offset to go on reading from."""
    carried: Mapping[int, tuple[Plan, ...]]
    """Partition → the plans that it carries; only partitions that carry any."""

    @property
    def plans(self) -> tuple[Plan, ...]:
        """Plans to finish first; each may name partitions that others own."""
        return tuple(dict.fromkeys(plan for plans in self.carried.values() for plan in plans))

    @property
    def ends(self) -> dict[int, int]:
        """Partition → the offset to commit when the plans are finished; only partitions that carry a plan."""
        return {partition: self.starts[partition] for partition in self.carried}


def read_handover(committed: Mapping[int, tuple[int, str]], beginning: Callable[[int], int]) -> Handover:
    """From (offset, metadata) by partition; one that was never committed starts at its beginning.

    Raises PlanError for metadata that is no plan of the partition.
    """
    starts: dict[int, int] = {}
    carried: dict[int, tuple[Plan, ...]] = {}
    for partition, (offset, metadata) in committed.items():
        plans = decode_all(metadata)
        if not all(partition in plan.ends for plan in plans):
            raise PlanError(f"partition {partition} carries a plan that does not name it: {metadata[:80]!r}")
        if plans:
            carried[partition] = plans
            starts[partition] = plans[-1].ends[partition]
        else:
            starts[partition] = offset if offset >= 0 else beginning(partition)
    return Handover(committed, starts, carried)


def recover(settings: Settings, route: Route, handover: Handover, cancelled: Event) -> Refusals:
    """Finish the plans of `handover`; returns what of them is refused and to be answered by this process.

    A plan can name partitions that do not carry it: others own them, or its end was committed there already. Their
    records are settled with the rest, their dead letters are not ours.

    Raises PlanError when the topic does not hold what a plan names, or the table holds what no plan names;
    ConflictingOwner when the partitions are another's by now; else as `settle`.
    """
    _refuse_unplanned_rows(settings, route, handover, cancelled)
    refusals: Refusals = {}
    for plan in handover.plans:
        sealed = reread(settings, route.topic, plan, route.to_row, cancelled)
        refused = settle(route.table, sealed, plan.token(route.topic), route.refused_max, cancelled)
        refusals |= {at: why for at, why in refused.items() if plan in handover.carried.get(at[0], ())}
    return refusals


def _refuse_unplanned_rows(settings: Settings, route: Route, handover: Handover, cancelled: Event) -> None:
    starts, table = handover.starts, route.table
    highest = patiently(lambda: table.highest(starts), cancelled)
    unplanned = {partition: offset for partition, offset in highest.items() if offset >= starts[partition]}
    if not unplanned:
        return
    # Rows are stored after their plan is committed: if another owner stored them, the committed offset has moved.
    with closing(Consumer(reader_options(settings, route.group))) as consumer:
        now = committed(consumer, route.topic, sorted(unplanned), cancelled)
    for partition, offset in unplanned.items():
        if now[partition] != handover.committed[partition]:
            raise ConflictingOwner(
                f"{route.topic} partition {partition}: another sink has gone on from where this one was to begin; "
                "Kafka did not hear from this one for SCORELINE_SESSION_TIMEOUT_S. Start it again"
            )
        raise PlanError(
            f"{table.clickhouse.database}.{table.name} already holds offset {offset} of {route.topic} partition "
            f"{partition}, but reading would go on at {starts[partition]} and store rows twice: the group's "
            f"offsets were reset or expired, or the topic was made anew. Set its offset of this partition to "
            f"{offset + 1}; a topic that was made anew needs a new SCORELINE_CLICKHOUSE_DATABASE"
        )


def reread(settings: Settings, topic: str, plan: Plan, to_row: ToRow, cancelled: Event) -> Sealed:
    """The rows of a plan, read again outside the group.

    Raises PlanError when they are not what was planned, KafkaUnavailable when cancelled while they cannot be read.
    """
    consumer = Consumer(reader_options(settings, declare_groups(settings).reader))
    try:
        consumer.assign([TopicPartition(topic, r.partition, r.first) for r in plan.ranges])
        partitions = _read_ranges(consumer, topic, plan, to_row, cancelled)
    finally:
        consumer.close()
    if all(p.offsets for p in partitions) and (sealed := seal(partitions)).plan == plan:
        return sealed
    raise PlanError(f"{topic} no longer holds what was planned: {encode(plan)}; it was changed under the sink")


def _read_ranges(consumer: Consumer, topic: str, plan: Plan, to_row: ToRow, cancelled: Event) -> list[PartitionRows]:
    rows = {r.partition: PartitionRows(r.partition) for r in plan.ranges}
    unread = {r.partition: r.last for r in plan.ranges}
    patience = Patience(cancelled)
    ended_at: dict[int, float] = {}
    while unread:
        messages = take(consumer, REREAD_ROWS, REREAD_WAIT_S)
        for message in messages:
            error, partition, offset = message.error(), message.partition(), message.offset()
            if error is not None and error.code() != KafkaError._PARTITION_EOF:
                check(error, topic)
            elif partition not in unread or offset is None:
                continue
            elif error is not None:
                ended_at[partition] = time.monotonic()
            else:
                ended_at.pop(partition, None)
                if offset <= unread[partition]:
                    rows[partition].add(offset, to_row(partition, offset, message), message.value() or b"")
                if offset >= unread[partition]:
                    del unread[partition]
        if any(time.monotonic() - at > REREAD_END_S for p, at in ended_at.items() if p in unread):
            raise PlanError(f"{topic} ends before what was planned: {encode(plan)}; it was changed under the sink")
        if not messages:
            patience.wait(KafkaUnavailable(f"{topic} cannot be read again yet, partitions {sorted(unread)}"))
    return list(rows.values())
