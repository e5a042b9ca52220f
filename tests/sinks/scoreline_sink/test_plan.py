"""The plan of an insert and its text in the commit metadata."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoreline.errors import PlanError
from scoreline_sink.plan import (
    METADATA_CHARS_MAX,
    OPEN_PLANS_MAX,
    PLAN_CHARS_MAX,
    PartitionRows,
    Plan,
    Range,
    decode,
    decode_all,
    encode,
    encode_all,
    seal,
    seal_to_fit,
)

OFFSET_MAX = 2**63 - 1

ranges = st.builds(
    lambda partition, first, span, count: Range(partition, first, first + span, 1 + count % (span + 1)),
    st.integers(0, 65534),
    st.integers(0, OFFSET_MAX - 10_000_000),
    st.integers(0, 10_000_000),
    st.integers(0, 10_000_000),
)
plans = st.builds(
    lambda found, crc: Plan(tuple(sorted(found, key=lambda r: r.partition)), crc),
    st.lists(ranges, min_size=1, max_size=20, unique_by=lambda r: r.partition),
    st.integers(0, 2**32 - 1),
)


def partition_rows(partition: int, first: int, count: int) -> PartitionRows:
    rows = PartitionRows(partition)
    for offset in range(first, first + count):
        rows.add(offset, b"row %d" % offset, b"value %d" % offset)
    return rows


@given(plans)
def test_a_plan_is_read_as_it_was_written(plan: Plan) -> None:
    """What a killed sink planned is what its successor replays."""
    assert decode(encode(plan)) == plan


@given(st.lists(plans, max_size=OPEN_PLANS_MAX))
def test_the_plans_that_a_partition_carries_are_read_in_their_order(carried: list[Plan]) -> None:
    """Reading goes on behind the last of them; none is the empty text."""
    assert decode_all(encode_all(carried)) == tuple(carried)


@given(plans, plans)
def test_two_plans_have_one_token_only_if_they_are_the_same(one: Plan, other: Plan) -> None:
    """ClickHouse drops the rows of a known token, so no other plan may have it."""
    assert (one.token("topic") == other.token("topic")) == (one == other)


@pytest.mark.parametrize(
    "metadata",
    [
        "garbage",
        "1;5",
        "|",
        "1;5;0.0.0.1|",
        "2;5;0.0.0.1",
        "1;5;0.0.0",
        "1;5;0.0.0.1;",
        "1;5;0.0.0.1.0",
        "1;!;0.0.0.1",
        "1; 5;0.0.0.1",
    ],
)
def test_what_is_no_plan_is_an_error(metadata: str) -> None:
    """Guessing what a plan says would lose or double rows."""
    with pytest.raises(PlanError, match="no plan that this release reads"):
        decode_all(metadata)


def test_the_checksum_sees_a_changed_value_and_a_moved_one() -> None:
    """A replay is only the same if every value is, in its partition."""
    same, changed, moved = (partition_rows(0, 5, 3) for _ in range(3))
    changed.add(8, b"row", b"value 8")
    same.add(8, b"other row", b"value 8")
    assert seal([changed]).plan == seal([same]).plan
    moved.add(8, b"row", b"value 9")
    assert seal([changed]).plan != seal([moved]).plan
    assert seal([partition_rows(0, 5, 1), partition_rows(1, 6, 1)]).plan.crc != (
        seal([partition_rows(0, 6, 1), partition_rows(1, 5, 1)]).plan.crc
    )


def test_rows_and_coordinates_go_together() -> None:
    """An error at row N of the body names the record it was made of."""
    sealed = seal([partition_rows(3, 7, 2), partition_rows(1, 4, 1)])
    assert list(sealed.records()) == [((1, 4), b"row 4"), ((3, 7), b"row 7"), ((3, 8), b"row 8")]
    assert sealed.rows == [b"row 4", b"row 7", b"row 8"]
    assert sealed.is_whole
    assert sealed.plan.ends == {1: 5, 3: 9}


def test_a_record_that_is_no_row_is_planned_and_not_inserted() -> None:
    """It counts in range, number and checksum, so that whoever replays the plan reads the same."""
    rows = partition_rows(1, 4, 2)
    rows.add(6, None, b"null")
    sealed = seal([rows])
    assert sealed.plan.ranges == (Range(1, 4, 6, 3),)
    assert (sealed.rows, sealed.is_whole) == ([b"row 4", b"row 5"], False)
    assert sealed.plan.crc != seal([partition_rows(1, 4, 2)]).plan.crc


def test_a_plan_too_long_for_commit_metadata_is_split() -> None:
    """The broker would take the other partitions' offsets and refuse the long one: half a commit."""
    partitions = [partition_rows(p, OFFSET_MAX - 100, 3) for p in range(1024)]
    parts = seal_to_fit(partitions)
    assert len(parts) > 1
    longest = max(parts, key=lambda part: len(encode(part.plan))).plan
    assert len(encode_all([longest] * OPEN_PLANS_MAX)) <= METADATA_CHARS_MAX
    assert [r.partition for part in parts for r in part.plan.ranges] == list(range(1024))


def test_a_plan_of_just_the_longest_text_is_not_split() -> None:
    """One character more is."""
    partitions, length = [], 0
    while length <= PLAN_CHARS_MAX:
        partitions.append(partition_rows(36**2 + len(partitions), 36**9, 1))
        length = len(encode(seal(partitions).plan))
    assert len(seal_to_fit(partitions[:-1])) == 1
    assert len(seal_to_fit(partitions)) == 2
