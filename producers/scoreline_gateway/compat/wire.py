"""OTLP log records out of the bytes of an export request, one at a time. Pure.

Parsed as a whole, a request of empty messages takes 64 times its size in memory; so only what is asked for is parsed,
and what is asked for is bounded.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from scoreline.topics import RECORD_BYTES_MAX

FIELDS_MAX = 100_000
"""Fields that are looked at in one request, each record twice: once for its scope's name."""

_VARINT_BYTES_MAX = 10
_FIXED = {1: 8, 5: 4}
_OUTER, _INNER = 1, 2
"""Numbers of the fields that count: in a request 1 are the resources' logs; in those 1 is the resource, 2 are the
scopes' logs; in those 1 is the scope, 2 are the records."""


class Logged(NamedTuple):
    """A log record and where it comes from."""

    resource: Resource
    scope: InstrumentationScope
    record: LogRecord | None
    """None: longer than a raw record may be, so that no score can come of it."""


def logged_of(request: ExportLogsServiceRequest) -> Iterator[Logged]:
    """The records of a request that is parsed already."""
    for of_resource in request.resource_logs:
        for of_scope in of_resource.scope_logs:
            for record in of_scope.log_records:
                yield Logged(of_resource.resource, of_scope.scope, record)


def logged_of_wire(body: bytes, needle: bytes) -> Iterator[Logged]:
    """The records of a request as it comes that hold the bytes `needle`; the others are not even parsed.

    Raises google.protobuf.message.DecodeError, also for a request of more than `FIELDS_MAX` messages.
    """
    wire = _Wire()
    for of_resource in wire.messages(memoryview(body), _OUTER):
        resource = Resource.FromString(wire.last(of_resource, _OUTER))
        for of_scope in wire.messages(of_resource, _INNER):
            scope = InstrumentationScope.FromString(wire.last(of_scope, _OUTER))
            for field in wire.messages(of_scope, _INNER):
                record = bytes(field)
                if needle in record:
                    short = len(record) <= RECORD_BYTES_MAX
                    yield Logged(resource, scope, LogRecord.FromString(record) if short else None)


class _Wire:
    """Reads Protobuf's wire format, and no more than `FIELDS_MAX` fields of it."""

    def __init__(self) -> None:
        self._left = FIELDS_MAX

    def last(self, message: memoryview, number: int) -> bytes:
        """The bytes of a field that stands once; empty where it does not."""
        found = b""
        for field in self.messages(message, number):
            if len(field) > RECORD_BYTES_MAX:
                raise DecodeError(f"a resource or scope of more than {RECORD_BYTES_MAX} bytes")
            found = bytes(field)
        return found

    def messages(self, message: memoryview, number: int) -> Iterator[memoryview]:
        """The bytes of each field of this number that holds a message or a string."""
        at = 0
        while at < len(message):
            self._left -= 1
            if self._left < 0:
                raise DecodeError(f"more than {FIELDS_MAX} messages in one request; export smaller batches")
            tag, at = _varint(message, at)
            kind = tag & 7
            if kind == 0:
                _, at = _varint(message, at)
                continue
            size = _FIXED.get(kind)
            if kind == 2:
                size, at = _varint(message, at)
            if size is None or at + size > len(message):
                raise DecodeError("a field is cut short, or of a kind that is not known")
            if kind == 2 and tag >> 3 == number:
                yield message[at : at + size]
            at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """A number, and where it ends."""
    number = 0
    for place in range(_VARINT_BYTES_MAX):
        if at + place >= len(message):
            break
        byte = message[at + place]
        number |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return number, at + place + 1
    raise DecodeError("a number is cut short or too long")
