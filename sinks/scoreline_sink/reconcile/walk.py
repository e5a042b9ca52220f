"""The walk over one raw partition: window after window of offsets, and a question now and then about claims."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from confluent_kafka import Consumer, Message

from scoreline.reading import Event
from scoreline.settings import Settings
from scoreline.topics import DAY_MS
from scoreline_sink.reconcile.claims import Claim, Judgement, Memory, judge_claim, latest_before, parse
from scoreline_sink.reconcile.compare import Fault, Window
from scoreline_sink.reconcile.raw import RawPartition
from scoreline_sink.reconcile.store import Store
from scoreline_sink.reconcile.tally import Tally

WINDOW_OFFSETS = 200_000
"""Offsets of one comparison."""
CLAIMS_MAX = 50_000
CLAIM_BYTES_MAX = 32 * 1024 * 1024
"""Claimed duplicates of one question to ClickHouse, by number and by the length of their values."""


class Walk:
    """Fills the tally of one partition."""

    def __init__(
        self, settings: Settings, store: Store, consumer: Consumer, topic: str, tally: Tally, log_start: int
    ) -> None:
        self._store, self._tally, self._log_start = store, tally, log_start
        self._consumer, self._topic = consumer, topic
        days = settings.state_horizon_days
        self._horizon_ms = None if days is None else days * DAY_MS
        self._claims: list[Claim] = []
        self._claim_bytes = 0
        self._memory: Memory | None = None

    def run(self) -> Iterator[int]:
        """Compare everything; gives the number of offsets of each window when it is done."""
        tally = self._tally
        if tally.first == tally.end:
            return
        reader = RawPartition(self._consumer, self._topic, tally.partition, tally.first)
        for first in range(tally.first, tally.end, WINDOW_OFFSETS):
            end = min(first + WINDOW_OFFSETS, tally.end)
            self._compare(reader, first, end)
            yield end - first
        self._judge_claims()
        self._find_ids_stored_twice()

    def _compare(self, reader: RawPartition, first: int, end: int) -> None:
        partition = self._tally.partition
        window = Window(
            self._store.offsets("scores", partition, first, end),
            self._store.offsets("rejected_scores", partition, first, end),
        )
        records, keys = 0, dict[int, str]()
        for batch in reader.until(end):
            offsets: list[int] = [message.offset() for message in batch]  # pyright: ignore[reportAssignmentType]
            records += len(offsets)
            if claimed := window.add(offsets):
                self._claim(message for message in batch if message.offset() in claimed)
            if window.suspects:
                keys |= {o: _text(m.key()) for o, m in zip(offsets, batch, strict=True) if o in window.suspects}
        compared = window.close()
        if unknown := compared.unknown[: self._tally.culprits_max]:
            keys |= self._store.keys(partition, unknown)
        self._tally.add_window(records, compared, keys)

    def _claim(self, messages: Iterator[Message]) -> None:
        for message in messages:
            _, timestamp_ms = message.timestamp()
            claim = Claim(message.offset() or 0, timestamp_ms, message.key(), message.value())
            self._claims.append(claim)
            self._claim_bytes += len(claim.value or b"")
            if len(self._claims) >= CLAIMS_MAX or self._claim_bytes >= CLAIM_BYTES_MAX:
                self._judge_claims()

    def _judge_claims(self) -> None:
        claims, self._claims, self._claim_bytes = self._claims, [], 0
        events: list[tuple[Claim, Event]] = []
        for claim in claims:
            event = parse(claim)
            if isinstance(event, Judgement):
                self._blame(claim, event)
            else:
                events.append((claim, event))
        if not events:
            return
        partition, below = self._tally.partition, claims[-1].offset
        rows = self._store.scores_of(partition, {_id(event) for _, event in events}, below)
        missing: list[tuple[Claim, Event]] = []
        for claim, event in events:
            earlier = latest_before(claim.offset, rows.get(_id(event), ()))
            if earlier is None:
                missing.append((claim, event))
            elif (judgement := judge_claim(event, earlier)) is None:
                self._tally.duplicate += 1
            else:
                self._blame(claim, judgement)
        if missing:
            self._judge_missing(missing, below)

    def _judge_missing(self, missing: Sequence[tuple[Claim, Event]], below: int) -> None:
        """Claims without an earlier row in their partition: of a score that another partition stored before there were
        more of them, of one that the table refused, of one older than the tables, or lost."""
        ids = {_id(event) for _, event in missing}
        refused = self._store.refused(self._tally.partition, ids, below)
        elsewhere = self._store.scores_elsewhere(self._tally.partition, ids)
        for claim, event in missing:
            moved = [score for at, score in elsewhere.get(_id(event), ()) if at <= claim.timestamp_ms]
            if moved:
                judgement = judge_claim(event, moved[0])
                self._tally.duplicate += judgement is None
                if judgement is not None:
                    self._blame(claim, judgement)
            elif refused.get(_id(event), claim.offset) < claim.offset:
                self._tally.duplicate += 1
            elif self._remembered().holds_first_of(claim):
                self._blame(
                    claim, Judgement(Fault.LOST, "not stored, not rejected, no earlier record of its id stored")
                )
            else:
                self._tally.unverifiable += 1

    def _remembered(self) -> Memory:
        if self._memory is None:
            self._memory = Memory(*self._store.oldest(self._tally.partition), self._log_start, self._horizon_ms)
        return self._memory

    def _blame(self, claim: Claim, judgement: Judgement) -> None:
        self._tally.add_faulty(claim.offset, _text(claim.key), judgement.fault, judgement.detail)

    def _find_ids_stored_twice(self) -> None:
        tally = self._tally
        twice = self._store.ids_stored_twice(tally.partition, tally.first, tally.end, self._horizon_ms)
        for project, score_id, offsets in twice:
            tally.add_fault(offsets[-1], f"{project}/{score_id}", Fault.ID_STORED_TWICE, f"at offsets {offsets[:5]}")


def _text(key: bytes | None) -> str:
    return (key or b"").decode("utf-8", "backslashreplace")


def _id(event: Event) -> tuple[str, str]:
    return event.project, event.score_id
