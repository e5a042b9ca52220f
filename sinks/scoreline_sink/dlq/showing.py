"""Letters as a person reads them. Pure: everything here makes text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime

from scoreline.remedies import field_of, remedy_of
from scoreline_sink.dlq.letters import Entry, Letter, iso
from scoreline_sink.dlq.replay import Outcome
from scoreline_sink.dlq.store import Count

VALUE_CHARS_MAX = 20_000
"""What `show` prints of a value; the rest is in an export."""
DEPTH_MAX = 64
"""Nesting that is still indented."""

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')
_INDENT = "  "


def letter_lines(letter: Letter) -> Iterator[str]:
    """Why, which field, the way out, where from, and the bytes."""
    entry = letter.entry
    field = field_of(entry.reason, entry.detail) or "the record as a whole"
    facts = {
        "letter": str(entry.reference),
        "rejected": f"{iso(entry.rejected_at_ms)}, stage {entry.stage or 'unknown'}",
        "reason": entry.reason or "the record says none",
        "field": field,
        "detail": entry.detail,
        "fix": remedy_of(entry.reason),
        "score": f"{entry.project}/{entry.score_id}, name {entry.name or '?'}, service {entry.service or '?'}",
        "from": _origin(letter),
        "replay of": ", ".join(letter.history),
        "handled": _handled(entry),
        "key": "none" if letter.key is None else visible(text_of(letter.key)),
    }
    yield from (f"{name:<10}{visible(fact)}" for name, fact in facts.items() if fact)
    for name, content in letter.headers:
        yield f"{'header':<10}{visible(name)}: {'none' if content is None else visible(text_of(content))}"
    if letter.value is None:
        yield f"{'value':<10}none: a tombstone"
        return
    yield f"{'value':<10}{len(letter.value):,} bytes"
    yield from value_lines(letter.value)


def value_lines(value: bytes) -> Iterator[str]:
    """JSON indented, token for token as it was written; anything else escaped where it cannot be printed."""
    whole = text_of(value)
    shown = indented(whole) if _is_json(value) else whole
    lines = (shown if len(shown) <= VALUE_CHARS_MAX else shown[:VALUE_CHARS_MAX]).split("\n")
    yield from (_INDENT + visible(line) for line in lines)
    if len(shown) > VALUE_CHARS_MAX:
        yield f"{_INDENT}… the rest is in: scoreline dlq export"


def indented(whole: str) -> str:
    """JSON text over several lines. Only white space changes: repeated keys and odd numbers stay to be seen."""
    out: list[str] = []
    depth = 0
    before = ""
    for token in _TOKEN.findall(whole):
        if token in "}]":
            depth -= 1
        if (
            (before in ("{", "[") and token not in "}]")
            or before == ","
            or (token in "}]" and before not in ("{", "["))
        ):
            out.append("\n" + _INDENT * depth)
        out.append(": " if token == ":" else token)
        if token in "{[":
            depth += 1
            if depth > DEPTH_MAX:
                return whole
        before = token
    return "".join(out)


def _is_json(value: bytes) -> bool:
    try:
        json.loads(value.decode())
    except (ValueError, RecursionError):
        return False
    return True


def text_of(value: bytes) -> str:
    """Bytes as text, those that are no UTF-8 as \\xff."""
    return value.decode("utf-8", "backslashreplace")


def visible(line: str) -> str:
    """A line without what a terminal would obey or not show: such characters stand as their escapes."""
    if line.isprintable():
        return line
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)


def _origin(letter: Letter) -> str:
    if not letter.raw_topic:
        return "unknown: not a letter of this pipeline"
    where = f"{letter.raw_topic}, partition {letter.raw_partition}, offset {letter.raw_offset}"
    return f"{where}, arrived {iso(letter.raw_timestamp_ms)}"


def _handled(entry: Entry) -> str:
    if entry.handled is None:
        return ""
    action, at_ms, by, why = entry.handled
    return f"{action} {iso(at_ms)} by {by}{': ' if why else ''}{why}"


LIST_COLUMNS = ("letter", "rejected", "reason", "score", "name", "service", "detail")


def list_row(entry: Entry) -> tuple[str, ...]:
    """One line of `list`."""
    handled = "" if entry.handled is None else f"[{entry.handled.action}] "
    score = f"{entry.project}/{entry.score_id}" if entry.project or entry.score_id else ""
    return (
        str(entry.reference),
        _minute(entry.rejected_at_ms),
        entry.reason,
        score,
        entry.name,
        entry.service,
        handled + entry.detail,
    )


STATS_COLUMNS = ("time", "reason", "service", "letters", "share", "latest", "example", "detail")


def stats_row(count: Count) -> tuple[str, ...]:
    """One line of `stats`, with the time."""
    return (
        "" if count.time_ms is None else _minute(count.time_ms)[:16],
        count.reason,
        count.service,
        str(count.letters),
        f"{100 * count.letters / count.total:.1f} %",
        _minute(count.last_rejected_ms),
        str(count.example),
        count.detail,
    )


def outcome_lines(outcome: Outcome, did: str) -> Iterator[str]:
    """What a replay did, or would do, and what it leaves with the reasons."""
    letters = f"{outcome.chosen:,} letter{'' if outcome.chosen == 1 else 's'}"
    yield f"{letters}: {outcome.sent:,} {did}, {outcome.refused_letters:,} not sent"
    for (cause, _), refusals in outcome.by_size():
        example = refusals.example
        yield f"  {refusals.count:,} {cause}, as {example.letter.entry.reference}: {visible(example.detail)}"


def _minute(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
