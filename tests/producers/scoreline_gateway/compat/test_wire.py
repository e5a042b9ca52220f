"""OTLP export requests read field by field, in bounded memory."""

from __future__ import annotations

import tracemalloc
from contextlib import suppress

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from scoreline.topics import RECORD_BYTES_MAX
from scoreline_gateway.compat.wire import FIELDS_MAX, logged_of, logged_of_wire
from tests.producers.scoreline_gateway.compat.gateways import varint


def field(number: int, payload: bytes) -> bytes:
    """A message in a field."""
    return bytes([number << 3 | 2]) + varint(len(payload)) + payload


TEXTS = st.sampled_from(["", "a", "größe"])


@st.composite
def requests(draw: st.DrawFn) -> ExportLogsServiceRequest:
    """Resources, scopes and records in any number, some of them empty."""
    request = ExportLogsServiceRequest()
    for _ in range(draw(st.integers(0, 3))):
        of_resource = request.resource_logs.add(schema_url=draw(TEXTS))
        of_resource.resource.dropped_attributes_count = draw(st.integers(0, 300))
        for _ in range(draw(st.integers(0, 3))):
            of_scope = of_resource.scope_logs.add()
            of_scope.scope.name = draw(TEXTS)
            for _ in range(draw(st.integers(0, 3))):
                of_scope.log_records.add(
                    time_unix_nano=draw(st.integers(0, 2**64 - 1)), trace_id=draw(st.binary(max_size=16))
                )
    return request


@given(requests())
def test_records_are_those_of_the_whole_request(request: ExportLogsServiceRequest) -> None:
    """Protobuf's own parser is the judge."""
    whole = [(logged.resource, logged.scope, logged.record) for logged in logged_of(request)]
    assert list(logged_of_wire(request.SerializeToString(), b"")) == whole


@given(st.binary(max_size=200))
def test_any_bytes_are_records_or_refused(body: bytes) -> None:
    """No other exception comes out."""
    with suppress(DecodeError):
        list(logged_of_wire(body, b""))


def test_fields_that_are_not_known_are_passed_over() -> None:
    """Of every kind that Protobuf has now."""
    unknown = b"\x98\x06\x01" + b"\x99\x06" + bytes(8) + b"\x9d\x06" + bytes(4) + b"\x9a\x06\x02ab"
    record = field(2, unknown + field(12, b"e"))
    body = unknown + field(1, unknown + field(2, unknown + record))
    [logged] = logged_of_wire(body, b"")
    assert logged.record is not None
    assert logged.record.event_name == "e"


@pytest.mark.parametrize(
    "body",
    [
        b"\x12\x00" * FIELDS_MAX * 2,
        field(1, field(2, b"\x12\x00" * FIELDS_MAX)),
        field(1, b"\x12\x00" * FIELDS_MAX),
        b"\x0a\x00" * (FIELDS_MAX + 1),
        field(1, field(1, bytes(RECORD_BYTES_MAX + 1))),
    ],
)
def test_bomb_is_refused_in_bounded_memory(body: bytes) -> None:
    """Millions of messages that are empty, at every level."""
    tracemalloc.start()
    try:
        with pytest.raises(DecodeError, match="more than"):
            for _ in logged_of_wire(body, b""):
                pass
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_record_that_is_too_long_is_not_parsed() -> None:
    """It is told apart from the others, which are taken."""
    long = field(2, field(3, bytes(RECORD_BYTES_MAX)))
    found = [logged.record is None for logged in logged_of_wire(field(1, field(2, long + field(2, b""))), b"")]
    assert found == [True, False]


def test_record_without_the_needle_is_passed_over() -> None:
    """Unparsed, so that it may even be broken or too long."""
    others = [field(12, b"other"), b"\xff", field(3, bytes(RECORD_BYTES_MAX))]
    body = field(1, field(2, b"".join(field(2, record) for record in (*others, field(12, b"a needle!")))))
    [logged] = logged_of_wire(body, b"needle")
    assert logged.record is not None
    assert logged.record.event_name == "a needle!"


def test_request_that_is_cut_short_is_refused() -> None:
    """Wherever it is cut."""
    whole = field(1, field(1, b"") + field(2, field(1, b"") + field(2, field(12, b"event") + b"\x08\x80\x01")))
    assert len(list(logged_of_wire(whole, b""))) == 1
    for end in range(1, len(whole)):
        with pytest.raises(DecodeError):
            list(logged_of_wire(whole[:end], b""))
