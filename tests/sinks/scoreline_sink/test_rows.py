"""Records to rows, byte for byte."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoreline.rejections import Origin, Reason, Rejection, rejection_headers
from scoreline_sink.clickhouse import ClickHouse, rejected_scores_table
from scoreline_sink.plan import Range
from scoreline_sink.rows import (
    REJECTED_COLUMNS,
    RecordHeaders,
    RejectedRecord,
    identify,
    rejected_row,
    score_row,
    split_headers,
)
from tests.sinks.scoreline_sink.records import encoded, enriched

ORIGIN = Origin("scores.raw", 2, 77, 1_780_000_000_123)
VERDICT = rejection_headers(Rejection(Reason.OUT_OF_RANGE, "value: 7 is outside 0..1"), ORIGIN)


@given(st.integers(0, 65534), st.integers(0, 2**63 - 1), st.text(), st.dictionaries(st.text(), st.text()))
def test_a_score_keeps_its_json_and_gains_its_coordinates(
    partition: int, offset: int, comment: str, metadata: dict[str, str]
) -> None:
    """The record's own bytes are in the row as they are; only the coordinates stand before them."""
    value = encoded(enriched(1, comment=comment, metadata=metadata))
    row = score_row(partition, offset, value)
    assert row is not None
    assert row.endswith(value[1:])
    assert orjson.loads(row) == {"src_partition": partition, "src_offset": offset} | orjson.loads(value)


@pytest.mark.parametrize("value", [None, b"", b"null", b"[]", b'[{"score_id":"a"}]', b"{}", b' {"a":1}', b"\xff"])
def test_what_is_no_object_makes_no_score(value: bytes | None) -> None:
    """An array would become several rows, an empty object a row of defaults."""
    assert score_row(3, 9, value) is None


@pytest.mark.parametrize("between", [b"", b"\n", b" \t\r\n", b",", b" , ", b";"])
def test_two_objects_make_no_score(between: bytes) -> None:
    """The second could name coordinates of its own, and would then be a row that nobody planned."""
    assert score_row(3, 9, b'{"a":1}' + between + b'{"src_partition":0,"src_offset":5}') is None
    assert score_row(3, 9, b'{"a":{"b":1}}' + between + b'{"a":{}}') is None


@pytest.mark.parametrize("open_end", [b'{"a":[1', b'{"a":"x', b'{"a":1}]', b'{"a":1}\n', b'{"a":1},'])
def test_a_value_that_ends_open_makes_no_score(open_end: bytes) -> None:
    """It could swallow the row behind it."""
    assert score_row(3, 9, open_end) is None


def test_braces_inside_of_text_and_of_nested_values_are_no_second_object() -> None:
    """What looks like a second object is read before it is refused."""
    for value in (b'{"comment":"}{"}', b'{"comment":"} \\n, {"}', b'{"metadata":{"a":[{"b":1},{"b":2}]}}'):
        assert (score_row(3, 9, value) or b"").endswith(value[1:])


def test_the_verdict_is_what_the_worker_appended() -> None:
    """A record that came with headers like ours keeps them as its own; the last verdict counts."""
    own: RecordHeaders = [("scoreline.reason", b"forged"), ("x", None), ("x", b"\xff\x00"), ("scoreline.detail", b"")]
    original, verdict = split_headers([*own, *VERDICT])
    assert original == own
    assert (verdict["reason"], verdict["topic"], verdict["offset"]) == (b"out_of_range", b"scores.raw", b"77")
    assert split_headers([("a", b"b")]) == ([("a", b"b")], {})


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        (b"team/id/1", b'{"name":"n","service":"svc"}', ("team", "id/1", "n", "svc")),
        (b"team/id", b'{"project":"other","score_id":"x","name":7,"service":[]}', ("team", "id", "", "")),
        (None, b'{"project":"p","score_id":"s","name":"n"}', ("p", "s", "n", "")),
        (b"no slash", b'{"score_id":"s"}', ("", "s", "", "")),
        (b"Team/id", b"[]", ("", "", "", "")),
        (b"team/\xff", b"{", ("", "", "", "")),
        (b"team/id", None, ("team", "id", "", "")),
        (b"team/id", b'{"name":"' + b"x" * 201 + b'"}', ("team", "id", "", "")),
        (b"t/i", b"[" * 2000, ("t", "i", "", "")),
    ],
)
def test_a_rejected_record_is_named_as_far_as_it_can_be_read(
    key: bytes | None, value: bytes | None, expected: tuple[str, str, str, str]
) -> None:
    """The key first, as everything else goes by it; then the value; nothing is guessed."""
    assert identify(key, value) == expected


@given(
    st.binary(max_size=300) | st.none(),
    st.binary(max_size=300) | st.none(),
    st.lists(st.tuples(st.text(max_size=20), st.binary(max_size=200) | st.none()), max_size=5),
    st.integers(-1, 2**62),
)
def test_no_rejected_record_is_too_strange_for_a_row(
    key: bytes | None, value: bytes | None, headers: RecordHeaders, timestamp_ms: int
) -> None:
    """A dead letter that stopped the sink would be worse than the record it was."""
    assert rejected_row(RejectedRecord(1, 2, timestamp_ms, key, value, headers))


HOSTILE = bytes(range(256)) + "\u2028\U0001f600'\\\"\n\t`--".encode() + b"\xed\xa0\x80" + b"\x00" * 300
HOSTILE_RECORDS = [
    RejectedRecord(
        1, 0, 1_790_000_000_123, b"team/\xff\x00'", HOSTILE, [("h", HOSTILE), ("h", None), ("", b""), *VERDICT]
    ),
    RejectedRecord(1, 1, -1, None, None, []),
    RejectedRecord(1, 2, 2**60, b"", b"", [("scoreline.reason", b"r"), ("scoreline.partition", b"99999999"), *[]]),
    RejectedRecord(1, 3, 1_790_000_000_123, b"t/i", b"x" * 1_000_000, [("scoreline.offset", b"-4"), *VERDICT]),
]


def test_clickhouse_gives_hostile_bytes_back_as_they_were(clickhouse: ClickHouse) -> None:
    """Key, value and headers of a dead letter can be sent again exactly as they came."""
    table = rejected_scores_table(clickhouse, REJECTED_COLUMNS)
    table.insert([rejected_row(record) for record in HOSTILE_RECORDS], "token")
    assert sorted(table.present([Range(1, 0, 9, 4)])) == [(1, 0), (1, 1), (1, 2), (1, 3)]
    rows = clickhouse.query(
        "SELECT hex(key), hex(value), arrayMap(h -> (h.1, hex(h.2)), headers), reason, project, score_id, "
        "toUnixTimestamp64Milli(rejected_at), raw_topic, raw_partition, raw_offset, "
        "toUnixTimestamp64Milli(raw_timestamp) "
        f"FROM {clickhouse.database}.rejected_scores ORDER BY src_offset"
    )

    def hexed(value: bytes | None) -> str | None:
        return None if value is None else value.hex().upper()

    for record, (key, value, headers, *_) in zip(HOSTILE_RECORDS, rows, strict=True):
        original, _ = split_headers(record.headers)
        assert (key, value) == (hexed(record.key), hexed(record.value))
        assert [tuple(header) for header in headers] == [(name, hexed(content)) for name, content in original]
    assert rows[0][3:] == (
        "out_of_range", "", "", 1_790_000_000_123, "scores.raw", 2, 77, 1_780_000_000_123,
    )  # fmt: skip
    assert rows[1][3:] == ("", "", "", 0, "", 0, 0, 0)
    assert rows[2][6] == 4_102_444_800_000
    assert rows[3][3:6] == ("out_of_range", "t", "i")
