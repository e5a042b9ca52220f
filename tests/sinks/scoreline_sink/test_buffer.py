"""Rows on their way into a batch."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from scoreline_sink.buffer import Buffer


def add(buffer: Buffer, partition: int, offset: int, row: bytes = b"row", now: float = 0.0) -> None:
    buffer.add(partition, offset, row, b"value", now)


def drain(buffer: Buffer, now: float) -> list[list[tuple[int, int]]]:
    batches: list[list[tuple[int, int]]] = []
    while (sealed := buffer.due(now)) is not None:
        batches.append([at for at, _ in sealed.records()])
        buffer.pop()
    return batches


def test_a_batch_waits_for_more_until_it_lingered() -> None:
    """Few large inserts instead of many small ones, and never later than promised."""
    buffer = Buffer(rows_max=100, linger_s=0.2)
    assert buffer.wait_s(5.0) == float("inf")
    add(buffer, 0, 1, now=5.0)
    add(buffer, 0, 2, now=5.15)
    assert buffer.due(5.19) is None
    assert 0.0 < buffer.wait_s(5.19) < 0.02
    assert drain(buffer, 5.2) == [[(0, 1), (0, 2)]]
    assert buffer.rows == 0


def test_a_full_batch_does_not_wait() -> None:
    """A backlog is inserted as fast as the server takes it."""
    buffer = Buffer(rows_max=2, linger_s=60.0)
    for offset in range(3):
        add(buffer, 0, offset)
    assert drain(buffer, 0.0) == [[(0, 0), (0, 1)]]
    assert buffer.partitions() == {0}


def test_a_batch_is_bounded_by_bytes() -> None:
    """A few huge records must not make an insert that no server takes; one alone goes as it is."""
    buffer = Buffer(rows_max=100, linger_s=0.0, bytes_max=10)
    for offset, size in enumerate((4, 4, 4, 30, 1)):
        add(buffer, 0, offset, b"x" * size)
    assert drain(buffer, 1.0) == [[(0, 0), (0, 1)], [(0, 2)], [(0, 3)], [(0, 4)]]


def test_a_lane_stops_reading_when_a_batch_waits() -> None:
    """ClickHouse away for an hour costs a batch of memory, not an hour's records."""
    buffer = Buffer(rows_max=10, linger_s=0.0)
    for offset in range(10):
        assert buffer.room == 10 - offset
        add(buffer, 0, offset)
    assert buffer.room == 0
    assert buffer.due(0.0) is not None
    assert buffer.room == 0
    buffer.pop()
    assert buffer.room == 10


def test_a_lane_stops_reading_when_a_batch_waits_for_its_bytes() -> None:
    """Of huge records a batch is full long before its rows are."""
    buffer = Buffer(rows_max=100, linger_s=0.0, bytes_max=10)
    add(buffer, 0, 0, b"x" * 9)
    add(buffer, 0, 1, b"x" * 9)
    assert buffer.room == 0
    assert buffer.due(0.0) is not None
    buffer.pop()
    assert buffer.room == 99


def test_a_dropped_buffer_holds_nothing() -> None:
    """The partitions' next owner reads the same records; kept ones would be stored twice."""
    buffer = Buffer(rows_max=2, linger_s=0.0)
    for offset in range(5):
        add(buffer, offset % 2, offset)
    buffer.clear()
    assert (buffer.rows, buffer.partitions(), buffer.due(9.0), buffer.room) == (0, set(), None, 2)


@given(st.lists(st.floats(0.0, 0.5), max_size=200), st.integers(1, 20), st.floats(0.05, 2.0))
def test_inserts_are_bounded_by_time_and_rows(pauses: list[float], rows_max: int, linger_s: float) -> None:
    """However rows arrive: an insert has lingered, or is full. So parts cannot outrun the merges."""
    buffer, now, inserts = Buffer(rows_max, linger_s), 0.0, 0
    for offset, pause in enumerate(pauses):
        now += pause
        inserts += len(drain(buffer, now))
        add(buffer, 0, offset, now=now)
        inserts += len(drain(buffer, now))
    assert inserts <= now / linger_s + len(pauses) / rows_max


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 40)), max_size=60),
    st.integers(1, 10),
    st.integers(1, 100),
)
def test_every_row_is_in_one_batch_and_in_order(added: list[tuple[int, int]], rows_max: int, bytes_max: int) -> None:
    """Whatever the bounds: no row is lost, doubled or overtaken within its partition."""
    buffer = Buffer(rows_max, 0.0, bytes_max)
    for offset, (partition, size) in enumerate(added):
        add(buffer, partition, offset, b"x" * size)
    assert buffer.rows == len(added)
    batches = drain(buffer, 1.0)
    assert all(len(batch) <= rows_max for batch in batches)
    for partition in range(4):
        expected = [offset for offset, (p, _) in enumerate(added) if p == partition]
        assert [offset for batch in batches for p, offset in batch if p == partition] == expected
