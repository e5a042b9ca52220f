"""The sums of one partition and of a run, and the faults found: bounded, and in the form that is printed."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from scoreline_sink.reconcile.compare import Compared, Fault


@dataclass(frozen=True, slots=True)
class Culprit:
    """One fault: which record or row, and what is wrong with it."""

    partition: int
    offset: int
    """In the raw topic."""
    key: str
    """`<project>/<score_id>`; empty where nothing says it."""
    fault: Fault
    detail: str


@dataclass(slots=True)
class Tally:
    """What was found of the raw records of one partition in [first, end).

    raw = stored + duplicate + rejected + unverifiable + faulty: every record is in one of them.
    """

    partition: int
    first: int
    end: int
    culprits_max: int
    raw: int = 0
    stored: int = 0
    duplicate: int = 0
    rejected: int = 0
    unverifiable: int = 0
    """Dropped as duplicates of an id whose first record is older than what tables and topic hold."""
    faulty: int = 0
    faults: int = 0
    """`faulty`, and faults of rows that are no record's: unknown records, ids stored twice."""
    culprits: list[Culprit] = field(default_factory=list[Culprit])
    """The first `culprits_max` faults."""

    def add_window(self, records: int, compared: Compared, keys: dict[int, str]) -> None:
        """Add what `compare` found of so many records; `keys` are those of its culprits."""
        self.raw += records
        self.stored += compared.stored
        self.rejected += compared.rejected
        for offset, fault in sorted(compared.faulty.items()):
            self.add_faulty(offset, keys.get(offset, ""), fault, "")
        for offset in compared.unknown:
            self.add_fault(
                offset, keys.get(offset, ""), Fault.UNKNOWN_RECORD, "a row names it, the topic has no record"
            )

    def add_faulty(self, offset: int, key: str, fault: Fault, detail: str) -> None:
        """A record that is not exactly one of stored, duplicate, rejected."""
        self.faulty += 1
        self.add_fault(offset, key, fault, detail)

    def add_fault(self, offset: int, key: str, fault: Fault, detail: str) -> None:
        """A fault of rows."""
        self.faults += 1
        if len(self.culprits) < self.culprits_max:
            self.culprits.append(Culprit(self.partition, offset, key, fault, detail))


SUMS = ("raw", "stored", "duplicate", "rejected", "unverifiable", "faulty")


@dataclass(frozen=True, slots=True)
class Report:
    """The tallies of all partitions asked for."""

    tallies: tuple[Tally, ...]
    culprits_max: int

    @property
    def ok(self) -> bool:
        """Whether no fault was found."""
        return self.faults == 0

    @property
    def faults(self) -> int:
        return sum(tally.faults for tally in self.tallies)

    @property
    def culprits(self) -> list[Culprit]:
        return [culprit for tally in self.tallies for culprit in tally.culprits][: self.culprits_max]

    def total(self, name: str) -> int:
        """One of `SUMS`, over all partitions."""
        return sum(getattr(tally, name) for tally in self.tallies)

    def fields(self) -> dict[str, Any]:
        """What `--json` prints."""
        return {
            "from": {str(tally.partition): tally.first for tally in self.tallies},
            "to": {str(tally.partition): tally.end for tally in self.tallies},
            **{name: self.total(name) for name in SUMS},
            "fault_count": self.faults,
            "faults": [asdict(culprit) for culprit in self.culprits],
            "ok": self.ok,
        }
