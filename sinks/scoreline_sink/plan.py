"""The plan of one insert: which offsets it covers. Written into Kafka's commit metadata before the insert is sent.

Every partition of a batch carries the whole plan, so that whoever owns one of them after a crash can replay all of it.
Text form: `1;<crc>;<partition>.<first>.<span>.<count>;…`, numbers in base 36, partitions ascending. A partition carries
every open plan that names it, in the order of its offsets, with `|` between two.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from scoreline.errors import PlanError

METADATA_CHARS_MAX = 4095
"""Longest commit metadata that a broker takes by default (`offset.metadata.max.bytes` 4096)."""
OPEN_PLANS_MAX = 2
"""Plans that are announced and not ended: ClickHouse reads an insert with one thread, so one leaves its others idle."""
PLAN_CHARS_MAX = (METADATA_CHARS_MAX + 1) // OPEN_PLANS_MAX - 1
"""Longest text of one plan."""
Coordinates = tuple[int, int]
"""Partition and offset of a record."""
_VERSION, _BETWEEN = "1", "|"
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Range:
    """The offsets of one partition in a plan: `count` records from `first` to `last`; the gaps are control records."""

    partition: int
    first: int
    last: int
    count: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What one insert holds: its ranges, and a checksum of the records' values."""

    ranges: tuple[Range, ...]
    crc: int

    @property
    def rows(self) -> int:
        return sum(r.count for r in self.ranges)

    @property
    def ends(self) -> dict[int, int]:
        """Partition → the offset behind its last record."""
        return {r.partition: r.last + 1 for r in self.ranges}

    def token(self, topic: str) -> str:
        """Deduplication token of the insert: the same for the same plan, whoever replays it."""
        return f"{topic}:{hashlib.sha256(encode(self).encode()).hexdigest()[:32]}"


@dataclass(slots=True)
class PartitionRows:
    """Rows of one partition in offset order, and the running checksum of the records they were made of."""

    partition: int
    offsets: list[int] = field(default_factory=list[int])
    rows: list[bytes | None] = field(default_factory=list["bytes | None"])
    """One for each offset; None where the record is no row: it is planned, but not inserted."""
    crc: int = 0

    def add(self, offset: int, row: bytes | None, value: bytes) -> None:
        self.offsets.append(offset)
        self.rows.append(row)
        self.crc = zlib.crc32(value, self.crc)


@dataclass(frozen=True, slots=True)
class Sealed:
    """A batch that will not change any more, and its plan."""

    plan: Plan
    partitions: tuple[PartitionRows, ...]

    @property
    def rows(self) -> list[bytes]:
        """What is inserted, in the order of the records."""
        return [row for partition in self.partitions for row in partition.rows if row is not None]

    @property
    def is_whole(self) -> bool:
        """Whether every record is a row."""
        return all(row is not None for partition in self.partitions for row in partition.rows)

    def records(self) -> Iterator[tuple[Coordinates, bytes | None]]:
        """Every record in order: where it stands, and its row."""
        return (
            ((p.partition, offset), row) for p in self.partitions for offset, row in zip(p.offsets, p.rows, strict=True)
        )


def seal(partitions: Sequence[PartitionRows]) -> Sealed:
    """The batch of these partitions, none of them empty, and its plan."""
    ordered = tuple(sorted(partitions, key=lambda rows: rows.partition))
    ranges = tuple(Range(p.partition, p.offsets[0], p.offsets[-1], len(p.offsets)) for p in ordered)
    crc = zlib.crc32(b"".join(p.crc.to_bytes(4, "big") for p in ordered))
    return Sealed(Plan(ranges, crc), ordered)


def seal_to_fit(partitions: Sequence[PartitionRows]) -> list[Sealed]:
    """As `seal`, in as many batches as commit metadata needs; each partition is in exactly one of them."""
    sealed = seal(partitions)
    if len(encode(sealed.plan)) <= PLAN_CHARS_MAX:
        return [sealed]
    half = len(sealed.partitions) // 2
    return seal_to_fit(sealed.partitions[:half]) + seal_to_fit(sealed.partitions[half:])


def encode_all(plans: Sequence[Plan]) -> str:
    """The open plans that a partition carries as its commit metadata."""
    return _BETWEEN.join(encode(plan) for plan in plans)


def decode_all(metadata: str) -> tuple[Plan, ...]:
    """The plans in commit metadata. Raises PlanError for anything that `encode_all` did not write."""
    return tuple(decode(text) for text in metadata.split(_BETWEEN)) if metadata else ()


def encode(plan: Plan) -> str:
    """The plan as text."""
    ranges = (".".join(_base36(n) for n in (r.partition, r.first, r.last - r.first, r.count)) for r in plan.ranges)
    return ";".join((_VERSION, _base36(plan.crc), *ranges))


def decode(text: str) -> Plan:
    """The plan of a text. Raises PlanError for anything that `encode` did not write."""
    try:
        version, crc, *ranges = text.split(";")
        plan = Plan(tuple(_range(part) for part in ranges), int(crc, 36))
    except ValueError as error:
        raise PlanError(_unreadable(text)) from error
    if version != _VERSION or not ranges or encode(plan) != text:
        raise PlanError(_unreadable(text))
    return plan


def _unreadable(text: str) -> str:
    return (
        f"commit metadata {text[:80]!r} is no plan that this release reads; "
        "run the release that wrote it once more until its lag is 0, then upgrade"
    )


def _range(text: str) -> Range:
    partition, first, span, count = (int(n, 36) for n in text.split("."))
    return Range(partition, first, first + span, count)


def _base36(number: int) -> str:
    text = ""
    while number >= 36:
        number, digit = divmod(number, 36)
        text = _DIGITS[digit] + text
    return _DIGITS[number] + text
