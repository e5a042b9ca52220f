"""What an import would do, found out without a broker: what would be sent, and what rejected and why."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, NamedTuple

from scoreline.client import prepare
from scoreline.commands.mapping import Fields
from scoreline.commands.terminal import print_json, printable
from scoreline.errors import InvalidScore
from scoreline.events import ScoreEvent
from scoreline.rejections import Reason, Rejection
from scoreline.remedies import field_of, remedy_of

EXAMPLES_MAX = 3
IDS_MAX = 1_000_000
"""Ids that are remembered to find two scores with one id, in some 200 MB; of later ones only equal rows are missed."""
_NOT_CONTENT = ("score_id", "project", "timestamp", "source", "author", "service", "environment", "release")

_REMEDIES: Mapping[str, str] = {
    Reason.TOO_LARGE: "Keep a record within 256 KiB: map comment and metadata to less (--map comment=).",
    Reason.MALFORMED_JSON: "Write one JSON object in UTF-8 a line, no key twice; --format where the name misleads.",
    Reason.MISSING_FIELD: "Fill it from a column, --map {field}='{{column}}', or with one text, --map {field}=TEXT.",
    Reason.INVALID_VALUE: "Map {field} to a column that holds what is expected, --map {field}='{{column}}', or leave "
    "an optional field out: --map {field}=",
    Reason.NO_TARGET: "Say what was judged: --map dataset_run_id='{{run}}', or trace_id, or session_id.",
    Reason.TIMESTAMP_OUT_OF_BOUNDS: "Map timestamp to RFC 3339 or to seconds since 1970, not milliseconds.",
    Reason.CONFLICTING_DUPLICATE: "Two scores have one id: make it of what tells them apart, "
    "--map score_id='{{run}}/{{sample}}/{{name}}'.",
}
"""Reason → what to do about it in the command at hand; the others' remedies are those of `scoreline dlq`."""


class Example(NamedTuple):
    """One score that would be rejected."""

    line: int
    field: str | None
    detail: str


@dataclass
class Trial:
    """What would become of a file's rows."""

    rows: int = 0
    valid: int = 0
    """Scores that would be sent and, as far as the file tells, stored."""
    duplicate: int = 0
    """Scores that the file holds twice."""
    without_score: int = 0
    """Records of an export that say no score, such as a log's other events."""
    rejected: dict[str, int] = field(default_factory=dict[str, int])
    """Reason → scores."""
    examples: dict[str, list[Example]] = field(default_factory=dict[str, list[Example]])
    """Reason → its first scores."""
    _seen: dict[bytes, bytes] = field(default_factory=dict[bytes, bytes])
    """Hash of an id → hash of what its first score says."""

    @property
    def rejections(self) -> int:
        return sum(self.rejected.values())

    def take(self, line: int, scores: Iterable[Fields | Rejection], origin: Mapping[str, str], now_ms: int) -> None:
        """Judge the scores of one row as the client and the worker would, configs apart."""
        self.rows += 1
        empty = True
        for fields in scores:
            empty = False
            try:
                if isinstance(fields, Rejection):
                    raise InvalidScore(fields)
                event, _ = prepare({**origin, **fields}, now_ms)
            except InvalidScore as error:
                self._reject(line, error.rejection)
            else:
                self._accept(line, event)
        self.without_score += empty

    def _accept(self, line: int, event: ScoreEvent) -> None:
        key = blake2b(event.key, digest_size=16).digest()
        content = blake2b(_content(event), digest_size=8).digest()
        first = self._seen.get(key)
        if first is None:
            self.valid += 1
            if len(self._seen) < IDS_MAX:
                self._seen[key] = content
        elif first == content:
            self.duplicate += 1
        else:
            detail = f"score_id: {event.score_id!r} was in an earlier row with other content; the first stays"
            self._reject(line, Rejection(Reason.CONFLICTING_DUPLICATE, detail))

    def _reject(self, line: int, rejection: Rejection) -> None:
        reason = rejection.reason.value
        self.rejected[reason] = self.rejected.get(reason, 0) + 1
        examples = self.examples.setdefault(reason, [])
        if len(examples) < EXAMPLES_MAX:
            examples.append(Example(line, field_of(reason, rejection.detail), rejection.detail))

    def as_json(self) -> dict[str, Any]:
        """What `--dry-run --json` prints."""
        return {
            "rows": self.rows,
            "valid": self.valid,
            "duplicate": self.duplicate,
            "without_score": self.without_score,
            "rejected": self.rejections,
            "reasons": [
                {
                    "reason": reason,
                    "count": count,
                    "remedy": self.remedy(reason),
                    "examples": [example._asdict() for example in self.examples[reason]],
                }
                for reason, count in self._by_count()
            ],
        }

    def remedy(self, reason: str) -> str:
        """What to do about the scores of one reason, in words of the first one's field."""
        text = _REMEDIES.get(reason)
        if text is None:
            return remedy_of(reason).split(" Here: ")[0]
        return text.format(field=self.examples[reason][0].field or "FIELD")

    def show(self, unit: str, write: Callable[[str], object]) -> None:
        """The same for people; nothing that a terminal would obey."""
        counts = {"would be sent": self.valid, "rejected": self.rejections}
        rare = {"twice in the file": self.duplicate, "without a score": self.without_score}
        counts |= {what: count for what, count in rare.items() if count}
        write(f"{self.rows:,} rows; " + ", ".join(f"{count:,} {what}" for what, count in counts.items()) + "\n")
        for reason, count in self._by_count():
            write(f"\n{reason}: {count:,}\n")
            for example in self.examples[reason]:
                write(f"  {unit} {example.line}: {printable(example.detail)}\n")
            if count > len(self.examples[reason]):
                write(f"  … and {count - len(self.examples[reason]):,} more\n")
            write(f"  fix: {self.remedy(reason)}\n")
        write("\nnothing was sent; score configs and ids that are stored already were not looked at\n")

    def _by_count(self) -> list[tuple[str, int]]:
        return sorted(self.rejected.items(), key=lambda item: (-item[1], item[0]))


def report(trial: Trial, unit: str, as_json: bool) -> None:
    """Print what was found."""
    if as_json:
        print_json(trial.as_json())
    else:
        trial.show(unit, sys.stdout.write)


def _content(event: ScoreEvent) -> bytes:
    """What of an event makes it another score under the same id."""
    return event.model_dump_json(exclude=set(_NOT_CONTENT)).encode()
