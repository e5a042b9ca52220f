"""Which raw records the tables hold, and which they should not: sets of offsets, pure.

A record that neither table holds claims to be a duplicate; `claims` judges that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import StrEnum


class Fault(StrEnum):
    """What can be wrong with a raw record or a row."""

    LOST = "lost"
    """In no table, and no duplicate of an earlier stored record."""
    OTHER_CONTENT = "dropped with other content"
    """Dropped as a duplicate, but the stored record of its id says something else."""
    STORED_AND_REJECTED = "stored and rejected"
    STORED_TWICE = "stored twice"
    REJECTED_TWICE = "rejected twice"
    """More than one row names the same raw record."""
    UNKNOWN_RECORD = "unknown record"
    """A row names a raw record that the topic does not hold."""
    ID_STORED_TWICE = "id stored twice"
    """Two raw records with one id are stored, nearer to each other than the state horizon."""


@dataclass(frozen=True, slots=True)
class Compared:
    """The verdicts on the records of one window.

    `stored`, `rejected`, `faulty` and the claims together are all records, none of them twice.
    """

    stored: int
    rejected: int
    """Records with exactly one row."""
    faulty: Mapping[int, Fault]
    """Offset of a record whose rows are wrong → what is wrong."""
    unknown: tuple[int, ...]
    """Offsets that rows name and the topic does not hold."""


class Window:
    """Raw records of a range of offsets of one partition against the rows that name that range."""

    def __init__(self, stored: Sequence[int], rejected: Sequence[int]) -> None:
        """`stored` and `rejected` are the raw offsets in the tables, one for each row, in any order."""
        self._stored, self._rejected = set(stored), set(rejected)
        self._held = self._stored | self._rejected
        self._repeated = {
            **dict.fromkeys(_repeated(rejected, self._rejected), Fault.REJECTED_TWICE),
            **dict.fromkeys(_repeated(stored, self._stored), Fault.STORED_TWICE),
            **dict.fromkeys(self._stored & self._rejected, Fault.STORED_AND_REJECTED),
        }
        self._present: set[int] = set()

    @property
    def suspects(self) -> AbstractSet[int]:
        """Offsets that more than one row names: faulty where the topic holds them."""
        return self._repeated.keys()

    def add(self, offsets: Sequence[int]) -> set[int]:
        """Take records that the topic holds; those of them that no table holds, which claim to be duplicates."""
        self._present.update(offsets)
        return set(offsets) - self._held

    def close(self) -> Compared:
        """The verdicts, once every record of the window was added."""
        faulty = {offset: fault for offset, fault in self._repeated.items() if offset in self._present}
        return Compared(
            stored=_count(self._stored & self._present, faulty),
            rejected=_count(self._rejected & self._present, faulty),
            faulty=faulty,
            unknown=tuple(sorted(self._held - self._present)),
        )


def _repeated(offsets: Sequence[int], distinct: set[int]) -> Iterable[int]:
    if len(offsets) == len(distinct):
        return ()
    return (offset for offset, rows in Counter(offsets).items() if rows > 1)


def _count(offsets: set[int], faulty: Mapping[int, Fault]) -> int:
    return len(offsets) - sum(offset in offsets for offset in faulty)
