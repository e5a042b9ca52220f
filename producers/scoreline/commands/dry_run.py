"""What an import would do, found out without a broker: what would be sent, and what rejected and why."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, NamedTuple

from scoreline.client import prepare
from scoreline.commands.mapping import FIELDS, Fields
from scoreline.commands.terminal import printable
from scoreline.errors import InvalidScore
from scoreline.judging import judge
from scoreline.reading import Event
from scoreline.rejections import Reason, Rejection
from scoreline.remedies import field_of, remedy_of

EXAMPLES_MAX = 3
CAUSES_MAX = 100
"""Pairs of reason and field that are told apart; in further ones of a reason the field is not."""
IDS_MAX = 1_000_000
"""Ids that are remembered to find two scores with one id, in some 200 MB; none is found among later ones."""
_NOT_CONTENT = frozenset(
    ("score_id", "project", "value", "data_type", "timestamp", "source", "author", "service", "environment", "release")
)
"""Fields that do not make another score under the same id, and the value, which is compared as it is understood."""
_CONTENT = tuple(name for name in Event.__struct_fields__ if name not in _NOT_CONTENT)

_REMEDIES: Mapping[str, str] = {
    Reason.TOO_LARGE: "Keep a record within 256 KiB: map comment and metadata to less (--map comment=).",
    Reason.MALFORMED_JSON: "Write one JSON object in UTF-8 a line, no key twice; --format where the name misleads.",
    Reason.UNSUPPORTED_VERSION: "Leave the version out: --map schema_version=",
    Reason.UNKNOWN_FIELD: "Put what is yours into metadata: --map metadata.KEY='{{column}}'.",
    Reason.MISSING_FIELD: "Fill it from a column, --map {field}='{{column}}', or with one text, --map {field}=TEXT.",
    Reason.INVALID_VALUE: "Map {field} to a column that holds what is expected, --map {field}='{{column}}', or leave "
    "an optional field out: --map {field}=",
    Reason.NO_TARGET: "Say what was judged: --map dataset_run_id='{{run}}', or trace_id, or session_id.",
    Reason.TIMESTAMP_OUT_OF_BOUNDS: "Map timestamp to RFC 3339 or to seconds since 1970, not milliseconds.",
    Reason.CONFLICTING_DUPLICATE: "Two scores have one id: make it of what tells them apart, "
    "--map score_id='{{run}}/{{sample}}/{{name}}'.",
}
"""Each reason that an import can find → what to do about it in the command at hand."""
_NOT_OF_THE_FORM = (
    "The record is not of the form that the preset reads: see that it is that system's export, and whole."
)


class Example(NamedTuple):
    """One score that would be rejected."""

    line: int
    detail: str


class Cause(NamedTuple):
    """Why scores would be rejected."""

    reason: str
    field: str | None
    """None where the whole record is wrong."""

    @property
    def remedy(self) -> str:
        """What to do about it."""
        if self.field is not None and self.reason in (Reason.INVALID_VALUE, Reason.MISSING_FIELD):
            field = self.field.partition(".")[0]
            if field not in FIELDS:
                return _NOT_OF_THE_FORM
        text = _REMEDIES.get(self.reason)
        return remedy_of(self.reason) if text is None else text.format(field=self.field or "FIELD")


@dataclass
class Rejected:
    """The scores that would be rejected for one cause."""

    count: int = 0
    examples: list[Example] = field(default_factory=list[Example])
    """The first of them."""


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
    rejected: dict[Cause, Rejected] = field(default_factory=dict["Cause", "Rejected"])
    _seen: dict[bytes, bytes] = field(default_factory=dict[bytes, bytes])
    """Hash of an id → hash of what its first score says."""

    @property
    def compared_all(self) -> bool:
        """Whether every id was compared with those before it."""
        return len(self._seen) < IDS_MAX

    @property
    def rejections(self) -> int:
        """Scores that would be rejected."""
        return sum(rejected.count for rejected in self.rejected.values())

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

    def _accept(self, line: int, event: Event) -> None:
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
        cause = Cause(reason, field_of(reason, rejection.detail))
        if cause not in self.rejected and len(self.rejected) >= CAUSES_MAX:
            cause = Cause(reason, None)
        rejected = self.rejected.setdefault(cause, Rejected())
        rejected.count += 1
        if len(rejected.examples) < EXAMPLES_MAX:
            rejected.examples.append(Example(line, rejection.detail))

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
                    "reason": cause.reason,
                    "field": cause.field,
                    "count": rejected.count,
                    "remedy": cause.remedy,
                    "examples": [example._asdict() for example in rejected.examples],
                }
                for cause, rejected in self._by_count()
            ],
        }

    def show(self, unit: str, write: Callable[[str], object]) -> None:
        """The same for people; nothing that a terminal would obey."""
        counts = {"would be sent": self.valid, "rejected": self.rejections}
        rare = {"twice in the file": self.duplicate, "without a score": self.without_score}
        counts |= {what: count for what, count in rare.items() if count}
        write(f"{self.rows:,} rows; " + ", ".join(f"{count:,} {what}" for what, count in counts.items()) + "\n")
        for cause, rejected in self._by_count():
            write(f"\n{cause.reason}: {rejected.count:,}\n")
            for example in rejected.examples:
                write(f"  {unit} {example.line}: {printable(example.detail)}\n")
            if rejected.count > len(rejected.examples):
                write(f"  … and {rejected.count - len(rejected.examples):,} more\n")
            write(f"  fix: {printable(cause.remedy)}\n")
        write("\nnothing was sent; score configs and ids that are stored already were not looked at\n")

    def _by_count(self) -> list[tuple[Cause, Rejected]]:
        return sorted(self.rejected.items(), key=lambda item: (-item[1].count, item[0].reason, item[0].field or ""))


def _content(event: Event) -> bytes:
    """What of an event makes it another score under the same id, as the worker sees it."""
    value = (event.value, event.data_type) if event.config_id is not None else judge(event, None)
    return repr([value, *(getattr(event, name) for name in _CONTENT)]).encode()
