"""From the bytes of a record to the bytes of a row: pure, and the same whenever a record is read again.

An enriched score is one line of JSONEachRow: its own JSON, with its coordinates spliced in front. A rejected record is
one row of RowBinary, which takes any bytes as they are.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, cast

import orjson

from scoreline.rejections import PREFIX

RecordHeaders = list[tuple[str, bytes | None]]

TIMESTAMP_MAX_MS = 4_102_444_800_000
"""2100-01-01, Unix milliseconds: what a timestamp is cut to, so that none makes a stray table partition."""
NAME_CHARS_MAX = 200
_SECOND_OBJECT = re.compile(rb"\}[\s,;]*\{")
"""Where a second object could begin, as ClickHouse separates rows; also inside of text or between nested objects."""
_OURS = PREFIX + "reason"
_KEY = re.compile(r"([a-z0-9][a-z0-9_-]{0,62})/(.{1,200})", re.DOTALL)
_UINT16_MAX, _UINT64_MAX = 2**16 - 1, 2**64 - 1

REJECTED_COLUMNS = (
    "rejected_at",
    "reason",
    "detail",
    "stage",
    "project",
    "score_id",
    "name",
    "service",
    "key",
    "value",
    "headers",
    "raw_topic",
    "raw_partition",
    "raw_offset",
    "raw_timestamp",
    "src_partition",
    "src_offset",
)
"""Columns of `rejected_row`, in its order."""


def score_row(partition: int, offset: int, value: bytes | None) -> bytes | None:
    """Row of `scores`, from the value of an enriched record; None for what can be seen to be no compact JSON object.

    What passes may still be broken inside, but ClickHouse reads it as one row or refuses it: it cannot be two rows,
    nor end inside the next one.
    """
    if value is None or not (value.startswith(b'{"') and value.endswith(b"}")):
        return None
    if _SECOND_OBJECT.search(value) is not None and not is_one_object(value):
        return None
    return b'{"src_partition":%d,"src_offset":%d,%b' % (partition, offset, value[1:])


class Times(NamedTuple):
    """Of a record, in Unix seconds."""

    emitted: float | None
    """When its score was judged; None of no score, or where that was long before it was received."""
    received: float | None
    """When Kafka took the raw record of a score; None of no score."""
    appended: float
    """When the record was put on its topic, or little before that."""


LATE_S = 3600.0
"""A score that was judged longer ago than this when it was received is no measure of anybody's speed."""


def score_times(row: bytes) -> Times | None:
    """The times in a row of `score_row`. Parses it: not for every row."""
    try:
        fields = orjson.loads(row)
        emitted, received = (datetime.fromisoformat(fields[name]).timestamp() for name in ("timestamp", "received_at"))
    except (ValueError, KeyError, TypeError, OverflowError):
        return None
    return Times(emitted if received - emitted <= LATE_S else None, received, received)


def rejected_times(row: bytes) -> Times:
    """The time in a row of `rejected_row`."""
    return Times(None, None, int.from_bytes(row[:8], "little") / 1000)


def is_one_object(row: bytes) -> bool:
    """Whether these bytes are one JSON object and nothing else. Parses them: not for every row."""
    try:
        return isinstance(orjson.loads(row), dict)
    except orjson.JSONDecodeError:
        return False


@dataclass(frozen=True, slots=True)
class RejectedRecord:
    """A record of `scores.rejected` as it was consumed."""

    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: RecordHeaders


def rejected_row(record: RejectedRecord) -> bytes:
    """Row of `rejected_scores`, columns `REJECTED_COLUMNS`. Never fails: what cannot be read is empty or 0."""
    original, verdict = split_headers(record.headers)
    project, score_id, name, service = identify(record.key, record.value)
    return b"".join(
        (
            _timestamp(record.timestamp_ms),
            _string(verdict.get("reason", b"")),
            _string(verdict.get("detail", b"")),
            _string(verdict.get("stage", b"")),
            _string(project.encode()),
            _string(score_id.encode()),
            _string(name.encode()),
            _string(service.encode()),
            _nullable(record.key),
            _nullable(record.value),
            _headers(original),
            _string(verdict.get("topic", b"")),
            _number(verdict.get("partition"), _UINT16_MAX).to_bytes(2, "little"),
            _number(verdict.get("offset"), _UINT64_MAX).to_bytes(8, "little"),
            _timestamp(_number(verdict.get("timestamp"), TIMESTAMP_MAX_MS)),
            record.partition.to_bytes(2, "little"),
            record.offset.to_bytes(8, "little"),
        )
    )


def split_headers(headers: RecordHeaders) -> tuple[RecordHeaders, dict[str, bytes]]:
    """The record's own headers, and the verdict that the worker appended behind them, without the prefix.

    The last `scoreline.reason` begins the verdict: a record that came with such headers of its own keeps them.
    """
    begin = next((i for i in reversed(range(len(headers))) if headers[i][0] == _OURS), len(headers))
    verdict = {name.removeprefix(PREFIX): value or b"" for name, value in headers[begin:]}
    return headers[:begin], verdict


def identify(key: bytes | None, value: bytes | None) -> tuple[str, str, str, str]:
    """Project, score id, name and service of a rejected record as far as they can be read; empty where not."""
    fields = _fields(value)
    name, service = _text(fields, "name"), _text(fields, "service")
    match = _KEY.fullmatch((key or b"").decode("utf-8", "replace"))
    if match is not None and "\ufffd" not in match[2]:
        return match[1], match[2], name, service
    return _text(fields, "project"), _text(fields, "score_id"), name, service


def _fields(value: bytes | None) -> dict[str, Any]:
    try:
        parsed = orjson.loads(value or b"")
    except orjson.JSONDecodeError:
        return {}
    return cast("dict[str, Any]", parsed) if isinstance(parsed, dict) else {}


def _text(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name)
    return value if isinstance(value, str) and len(value) <= NAME_CHARS_MAX else ""


def _number(text: bytes | None, limit: int) -> int:
    if text is None or not text.isdigit() or len(text) > 20:
        return 0
    return min(int(text), limit)


def _timestamp(milliseconds: int) -> bytes:
    return min(max(milliseconds, 0), TIMESTAMP_MAX_MS).to_bytes(8, "little")


def _headers(headers: RecordHeaders) -> bytes:
    return _length(len(headers)) + b"".join(
        _string(name.encode("utf-8", "surrogateescape")) + _nullable(value) for name, value in headers
    )


def _nullable(value: bytes | None) -> bytes:
    return b"\x01" if value is None else b"\x00" + _string(value)


def _string(value: bytes) -> bytes:
    return _length(len(value)) + value


def _length(number: int) -> bytes:
    """RowBinary's LEB128."""
    encoded = bytearray()
    while number >= 0x80:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
