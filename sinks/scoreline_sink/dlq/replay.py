"""Replay and discard, wired: letters in batches, what is done about each batch written down behind it.

A process that dies between the acknowledgements of a batch and the writing down sends that batch again when the same
command is given again: the ids are the same, so those are duplicates.
"""

from __future__ import annotations

import getpass
import socket
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from scoreline.remedies import field_of
from scoreline_sink.dlq.filters import Shown
from scoreline_sink.dlq.letters import Letter
from scoreline_sink.dlq.preparing import Refused, Replay, Terms, prepare
from scoreline_sink.dlq.sending import Pace, Sender
from scoreline_sink.dlq.store import PAGE_LETTERS, Census, Store

Show = Callable[[int, int], None]
"""Takes letters done and letters in all."""
KINDS_MAX = 100
"""Causes and fields that are counted apart: senders make up names of fields."""
Kind = tuple[str, str | None]
"""Why a letter was not sent, and the field; None where the whole record is wrong."""


@dataclass(slots=True)
class Refusals:
    """Letters of one kind."""

    count: int
    example: Refused


@dataclass(slots=True)
class Outcome:
    """What became of the letters that were chosen."""

    chosen: int = 0
    sent: int = 0
    """Acknowledged; in a dry run, that would be sent."""
    refused: dict[Kind, Refusals] = field(default_factory=dict[Kind, Refusals])

    @property
    def refused_letters(self) -> int:
        return sum(refusals.count for refusals in self.refused.values())

    def fields(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "chosen": self.chosen,
            "sent": self.sent,
            "not_sent": self.refused_letters,
            "refusals": [
                {
                    "cause": cause,
                    "field": name,
                    "letters": refusals.count,
                    "example": str(refusals.example.letter.entry.reference),
                    "detail": refusals.example.detail,
                }
                for (cause, name), refusals in self.by_size()
            ],
        }

    def refuse(self, refused: Iterable[Refused]) -> None:
        """Count letters that are not sent."""
        for one in refused:
            kind: Kind = (one.cause, field_of(one.cause, one.detail))
            if kind not in self.refused and len(self.refused) >= KINDS_MAX:
                kind = (one.cause, None)
            self.refused.setdefault(kind, Refusals(0, one)).count += 1

    def by_size(self) -> list[tuple[Kind, Refusals]]:
        """Kinds of refusals, the largest first."""
        return sorted(self.refused.items(), key=lambda item: -item[1].count)


def who() -> str:
    """user@host, as far as the machine says."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = "unknown"
    return f"{user}@{socket.gethostname()}"


def rehearse(store: Store, census: Census, shown: Shown, terms: Terms, show: Show) -> Outcome:
    """What a replay would do, without doing it."""
    outcome = Outcome(census.letters)
    for letters in store.walk(census, shown):
        replays, refused = _prepare(letters, terms)
        outcome.sent += len(replays)
        outcome.refuse(refused)
        show(outcome.sent + outcome.refused_letters, census.letters)
    return outcome


def replay(
    store: Store, sender: Sender, census: Census, shown: Shown, terms: Terms, rate: float | None, show: Show
) -> Outcome:
    """Send the letters of a census again, at most `rate` a second, and write down which.

    Raises KafkaUnavailable, ClickHouseUnavailable; what is done by then is written down but for the last batch.
    """
    outcome = Outcome(census.letters)
    pace = Pace(rate)
    letters_max = PAGE_LETTERS if rate is None else max(1, min(PAGE_LETTERS, int(rate)))
    by, why = who(), str(terms.patch)
    for letters in store.walk(census, shown, letters_max):
        replays, refused = _prepare(letters, terms)
        time.sleep(pace.pause_s(len(replays)))
        unsendable = sender.send(replays)
        untaken = {one.letter.entry.reference for one in unsendable}
        done = [r.letter.entry.reference for r in replays if r.letter.entry.reference not in untaken]
        store.record(done, "replayed", by, why)
        outcome.sent += len(done)
        outcome.refuse([*refused, *unsendable])
        show(outcome.sent + outcome.refused_letters, census.letters)
    return outcome


def discard(store: Store, census: Census, shown: Shown, why: str, show: Show) -> int:
    """Put the letters of a census aside, saying why; how many."""
    by, done = who(), 0
    for references in store.walk_references(census, shown):
        store.record(references, "discarded", by, why)
        done += len(references)
        show(done, census.letters)
    return done


def _prepare(letters: Iterable[Letter], terms: Terms) -> tuple[list[Replay], list[Refused]]:
    now_ms = int(time.time() * 1000)
    prepared = [prepare(letter, terms, now_ms) for letter in letters]
    return (
        [one for one in prepared if isinstance(one, Replay)],
        [one for one in prepared if isinstance(one, Refused)],
    )
