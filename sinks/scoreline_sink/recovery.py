"""What a lane does with partitions it has just been given: finish the plan that their last owner may have left."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Event

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from scoreline.errors import KafkaUnavailable, PlanError
from scoreline.settings import Settings
from scoreline_sink.clickhouse import Table
from scoreline_sink.consuming import check, reader_options, take
from scoreline_sink.patience import Patience, patiently
from scoreline_sink.plan import PartitionRows, Plan, Sealed, decode, encode, seal
from scoreline_sink.settle import settle

REREAD_ROWS = 5_000
REREAD_WAIT_S = 0.5
REREAD_END_S = 10.0
"""How long a topic may end before a planned offset: behind a new partition leader it can, for a moment."""

ToRow = Callable[[int, int, Message], bytes]
"""(partition, offset, message) → row."""


@dataclass(frozen=True, slots=True)
class Handover:
    """What the committed offsets of newly assigned partitions say."""

    starts: Mapping[int, int]
    """Partition → the offset to go on reading from."""
    plans: tuple[Plan, ...]
    """Plans to finish first; each may name partitions that others own."""
    ends: Mapping[int, int]
    """Partition → the offset to commit when the plans are finished; only partitions that carry a plan."""


def read_handover(committed: Mapping[int, tuple[int, str]], beginning: Callable[[int], int]) -> Handover:
    """From (offset, metadata) by partition; one that was never committed starts at its beginning.

    Raises PlanError for metadata that is no plan of the partition.
    """
    starts: dict[int, int] = {}
    ends: dict[int, int] = {}
    plans: dict[str, Plan] = {}
    for partition, (offset, metadata) in committed.items():
        if not metadata:
            starts[partition] = offset if offset >= 0 else beginning(partition)
            continue
        plan = plans.setdefault(metadata, decode(metadata))
        if partition not in plan.ends:
            raise PlanError(f"partition {partition} carries a plan that does not name it: {metadata[:80]!r}")
        ends[partition] = starts[partition] = plan.ends[partition]
    return Handover(starts, tuple(plans.values()), ends)


def recover(settings: Settings, topic: str, table: Table, to_row: ToRow, handover: Handover, cancelled: Event) -> None:
    """Finish the plans of `handover`.

    Raises PlanError when the topic does not hold what a plan names, or the table holds what no plan names; else as
    `settle`.
    """
    _refuse_unplanned_rows(topic, table, handover.starts, cancelled)
    for plan in handover.plans:
        settle(table, reread(settings, topic, plan, to_row, cancelled), plan.token(topic), cancelled)


def _refuse_unplanned_rows(topic: str, table: Table, starts: Mapping[int, int], cancelled: Event) -> None:
    for partition, offset in patiently(lambda: table.highest(starts), cancelled).items():
        if offset >= starts[partition]:
            raise PlanError(
                f"{table.clickhouse.database}.{table.name} already holds offset {offset} of {topic} partition "
                f"{partition}, but reading would go on at {starts[partition]} and store rows twice: the group's "
                f"offsets were reset or expired, or the topic was made anew. Set its offset of this partition to "
                f"{offset + 1}; a topic that was made anew needs a new SCORELINE_CLICKHOUSE_DATABASE"
            )


def reread(settings: Settings, topic: str, plan: Plan, to_row: ToRow, cancelled: Event) -> Sealed:
    """The rows of a plan, read again outside the group.

    Raises PlanError when they are not what was planned, KafkaUnavailable when cancelled while they cannot be read.
    """
    consumer = Consumer(reader_options(settings, f"{topic}.reread"))
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
