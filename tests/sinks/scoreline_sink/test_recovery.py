"""Partitions that come with a plan of their last owner."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
from confluent_kafka import Message

from scoreline.errors import ConflictingOwner, KafkaUnavailable, PlanError
from scoreline.settings import Settings
from scoreline.topics import declare_groups, declare_topics
from scoreline_sink import recovery
from scoreline_sink.clickhouse import ClickHouse, scores_table
from scoreline_sink.plan import PartitionRows, Plan, Range, Sealed, encode, encode_all, seal
from scoreline_sink.recovery import Handover, read_handover, recover, reread
from scoreline_sink.route import Route
from scoreline_sink.rows import score_row
from tests.sinks.scoreline_sink.records import Writer, stored, values
from tests.support import read_topic

NEVER = threading.Event()
PLAN = Plan((Range(0, 10, 19, 8), Range(2, 5, 5, 1)), 7)
NEXT = Plan((Range(0, 21, 30, 9), Range(1, 0, 2, 3)), 9)
OTHER = Plan((Range(1, 0, 3, 4),), 8)


def to_row(partition: int, offset: int, message: Message) -> bytes | None:
    return score_row(partition, offset, message.value())


def test_reading_goes_on_behind_what_was_planned() -> None:
    """Each plan once, though every partition of it carries it."""
    committed = {0: (10, encode(PLAN)), 1: (0, encode(OTHER)), 2: (5, encode(PLAN)), 3: (44, ""), 4: (-1001, "")}
    handover = read_handover(committed, lambda partition: 100 + partition)
    assert handover.starts == {0: 20, 1: 4, 2: 6, 3: 44, 4: 104}
    assert handover.ends == {0: 20, 1: 4, 2: 6}
    assert handover.plans == (PLAN, OTHER)


def test_of_two_open_plans_both_are_finished() -> None:
    """Reading goes on behind the second; a partition that only one of them names carries only that."""
    committed = {0: (10, encode_all([PLAN, NEXT])), 1: (0, encode(NEXT)), 2: (5, encode(PLAN))}
    handover = read_handover(committed, lambda _: 0)
    assert handover.starts == handover.ends == {0: 31, 1: 3, 2: 6}
    assert handover.plans == (PLAN, NEXT)
    assert handover.carried == {0: (PLAN, NEXT), 1: (NEXT,), 2: (PLAN,)}


def test_a_plan_may_name_partitions_of_others() -> None:
    """It is settled as a whole, but only own partitions are committed."""
    handover = read_handover({2: (5, encode(PLAN))}, lambda _: 0)
    assert (handover.starts, handover.ends, handover.plans) == ({2: 6}, {2: 6}, (PLAN,))


def test_a_plan_on_a_partition_that_it_does_not_name_is_an_error() -> None:
    """Something else wrote this group's offsets."""
    for plans in ([PLAN], [PLAN, NEXT]):
        with pytest.raises(PlanError, match="does not name it"):
            read_handover({1: (0, encode_all(plans))}, lambda _: 0)


@pytest.fixture
def planned(settings: Settings, pipeline: ClickHouse) -> Sealed:
    """Two committed transactions and an aborted one on the topic, and the batch that they make."""
    writer = Writer(settings)
    for write, first in ((writer.commit, 0), (writer.abort, 100), (writer.commit, 200)):
        write(list(values(first, first + 49)))
    partitions: dict[int, PartitionRows] = {}
    for message in read_topic(settings, declare_topics(settings).enriched.name):
        partition, offset, value = message.partition(), message.offset(), message.value()
        assert partition is not None
        assert offset is not None
        assert value is not None
        rows = partitions.setdefault(partition, PartitionRows(partition))
        rows.add(offset, score_row(partition, offset, value), value)
    return seal(list(partitions.values()))


def test_a_plan_is_read_again_as_it_was(settings: Settings, planned: Sealed) -> None:
    """The same rows, so that the same token stands for the same thing."""
    again = reread(settings, declare_topics(settings).enriched.name, planned.plan, to_row, NEVER)
    assert (again.plan, again.rows) == (planned.plan, planned.rows)
    assert again.plan.rows == 100


def test_a_topic_that_holds_something_else_is_an_error(settings: Settings, planned: Sealed) -> None:
    """A topic that was made anew has the same offsets and other records."""
    topic = declare_topics(settings).enriched.name
    with pytest.raises(PlanError, match="no longer holds what was planned"):
        reread(settings, topic, replace(planned.plan, crc=planned.plan.crc ^ 1), to_row, NEVER)
    first, *others = planned.plan.ranges
    fewer = replace(planned.plan, ranges=(replace(first, count=first.count - 1), *others))
    with pytest.raises(PlanError, match="no longer holds what was planned"):
        reread(settings, topic, fewer, to_row, NEVER)


def test_a_topic_that_ends_before_the_plan_is_an_error(
    settings: Settings, planned: Sealed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Waiting for records that were taken away would be for ever."""
    monkeypatch.setattr(recovery, "REREAD_END_S", 0.3)
    first, *others = planned.plan.ranges
    longer = replace(planned.plan, ranges=(replace(first, last=first.last + 1000), *others))
    with pytest.raises(PlanError, match="ends before what was planned"):
        reread(settings, declare_topics(settings).enriched.name, longer, to_row, NEVER)


def test_reading_again_ends_when_cancelled(settings: Settings, planned: Sealed) -> None:
    """Also while no broker answers."""
    cancelled = threading.Event()
    cancelled.set()
    away = settings.model_copy(update={"kafka": "127.0.0.1:1"})
    with pytest.raises(KafkaUnavailable, match="cannot be read again yet"):
        reread(away, declare_topics(settings).enriched.name, planned.plan, to_row, cancelled)


def route_of(settings: Settings, clickhouse: ClickHouse) -> Route:
    """The lane of enriched."""
    topic, group = declare_topics(settings).enriched.name, declare_groups(settings).sink_enriched
    return Route(topic, group, scores_table(clickhouse), to_row, 100)


def test_rows_that_no_plan_announced_stop_the_sink(settings: Settings, pipeline: ClickHouse, planned: Sealed) -> None:
    """Offsets that were reset, or a topic made anew, would store everything a second time."""
    route, ends, never = route_of(settings, pipeline), planned.plan.ends, dict.fromkeys(range(4), (-1001, ""))
    recover(settings, route, Handover(never, ends, dict.fromkeys(ends, (planned.plan,))), NEVER)
    assert stored(pipeline)[0] == 100
    recover(settings, route, Handover(never, ends, {}), NEVER)
    with pytest.raises(PlanError, match=f"already holds offset {ends[1] - 1} of .* partition 1"):
        recover(settings, route, Handover(never, {1: 5}, {}), NEVER)


def test_rows_of_a_successor_are_not_taken_for_rows_without_a_plan(
    settings: Settings, pipeline: ClickHouse, planned: Sealed
) -> None:
    """Who slept between its assignment and its first question is told that others have its partitions."""
    route, ends = route_of(settings, pipeline), planned.plan.ends
    recover(settings, route, Handover({}, ends, dict.fromkeys(ends, (planned.plan,))), NEVER)
    with pytest.raises(ConflictingOwner, match="partition 1: another sink has gone on"):
        recover(settings, route, Handover({1: (5, "")}, {1: 5}, {}), NEVER)


def test_only_partitions_that_carry_a_plan_answer_for_its_refused_records(
    settings: Settings, pipeline: ClickHouse
) -> None:
    """Others own the rest, or have ended it: theirs are the dead letters."""
    bad = [b"[]", b"null", b"{}", b"1"]
    Writer(settings).commit([*values(0, 3), *bad])
    sealed = {p: PartitionRows(p) for p in range(4)}
    for message in read_topic(settings, declare_topics(settings).enriched.name):
        partition, offset, value = message.partition() or 0, message.offset() or 0, message.value() or b""
        sealed[partition].add(offset, score_row(partition, offset, value), value)
    plan, route = seal(list(sealed.values())).plan, route_of(settings, pipeline)
    refusals = [
        recover(settings, route, read_handover(committed, lambda _: 0), NEVER)
        for committed in (
            {0: (0, encode(plan)), 1: (0, encode(plan))},
            {2: (2, ""), 3: (0, encode(plan))},
            {2: (2, "")},
        )
    ]
    assert [sorted(found) for found in refusals] == [[(0, 1), (1, 1)], [(3, 1)], []]
    assert stored(pipeline)[0] == 4
