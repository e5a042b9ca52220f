"""What a dead letter carries of its record."""

from __future__ import annotations

from scoreline.dead_letters import TRUNCATED_HEADER, carry
from scoreline.rejections import DETAIL_CHARS_MAX, Origin, Reason, Rejection, rejection_headers
from scoreline.topics import RAW_BYTES_MAX


def test_record_is_carried_byte_for_byte() -> None:
    """Key, value and headers as they came, repeated and empty headers too."""
    headers = [("a", b"\x00\xff"), ("a", b""), ("traceparent", b"00-1-2-01")]
    assert carry(b"\xff\x00", b'{"broken', headers) == (b"\xff\x00", b'{"broken', headers)
    assert carry(None, None, ()) == (None, None, [])


def test_record_that_no_topic_takes_is_cut_and_says_so() -> None:
    """A compressed bomb must not stop its partition."""
    key, value, headers = carry(b"k", b"x" * (RAW_BYTES_MAX + 1), [("a", b"1")])
    assert (key, len(value or b"")) == (b"k", RAW_BYTES_MAX // 2)
    assert headers == [("a", b"1"), (TRUNCATED_HEADER, f"1,{RAW_BYTES_MAX + 1},2".encode())]
    _, _, cut = carry(b"k", b"", [("a", b"x" * RAW_BYTES_MAX)])
    assert [name for name, _ in cut] == [TRUNCATED_HEADER]


def test_added_headers_name_reason_and_origin() -> None:
    """Seven headers, the detail bounded."""
    rejection = Rejection(Reason.OUT_OF_RANGE, "ü" * 1000)
    added = dict(rejection_headers(rejection, Origin("scores.raw", 2, 77, 1234)))
    assert added["scoreline.reason"] == b"out_of_range"
    assert (added["scoreline.partition"], added["scoreline.offset"]) == (b"2", b"77")
    assert added["scoreline.timestamp"] == b"1234"
    assert len(added["scoreline.detail"].decode()) == DETAIL_CHARS_MAX
