"""From a letter to the record that is sent again, or the reason why it is not. Pure.

What the worker would surely reject again is not sent: it would only come back, and a flood of it would stop the
worker's partition.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import orjson

from scoreline.configs import ScoreConfig
from scoreline.errors import MalformedRecord
from scoreline.judging import judge
from scoreline.reading import Event
from scoreline.rejections import Reason, Rejection, Stage
from scoreline.topics import record_key
from scoreline.validation import validate
from scoreline_sink.dlq.letters import HISTORY_HEADER, Letter, iso
from scoreline_sink.dlq.patch import Patch, decode, encode

REPLAYS_MAX = 3
"""How often a record is replayed at most, unless the command says otherwise."""


class Replay(NamedTuple):
    """A record for the raw topic."""

    letter: Letter
    key: bytes
    value: bytes
    headers: list[tuple[str, bytes | None]]


class Refused(NamedTuple):
    """A letter that is not sent again."""

    letter: Letter
    cause: str
    """The reason with which the worker would reject it, or one of ours: truncated, replayed_too_often, id_is_taken,
    cannot_be_patched, too_large_for_kafka."""
    detail: str


@dataclass(frozen=True, slots=True)
class Terms:
    """What a replay is done under."""

    patch: Patch
    configs: Mapping[bytes, ScoreConfig]
    """Every config by its record key."""
    rejected_topic: str
    """Named in the history of what is sent."""
    replays_max: int = REPLAYS_MAX


def prepare(letter: Letter, terms: Terms, now_ms: int) -> Replay | Refused:
    """The record to send for a letter: patched, under the key of its id, with its history.

    A score without a timestamp is given the time at which it first arrived; else the bytes are the original ones.
    `now_ms` stands for the Kafka timestamp of the record to come.
    """
    if letter.is_truncated:
        return Refused(
            letter, "truncated", "it was too large to carry and its bytes were cut; the sender must send it again"
        )
    if len(letter.history) >= terms.replays_max:
        return Refused(
            letter,
            "replayed_too_often",
            f"rejected again after {len(letter.history)} replays; mend it at the sender, or raise --replays-max",
        )
    try:
        value = terms.patch.apply(letter.value)
    except MalformedRecord as error:
        return Refused(letter, "cannot_be_patched", str(error))
    event = _read(value, letter.key, now_ms)
    if isinstance(event, Event) and event.timestamp is None and value is not None and letter.raw_timestamp_ms:
        value = _dated(value, letter.raw_timestamp_ms)
        event = _read(value, event.key, now_ms)
    if isinstance(event, Rejection) or value is None:
        return _still(letter, event)
    config = None if event.config_id is None else terms.configs.get(record_key(event.project, event.config_id))
    judged = judge(event, config)
    if isinstance(judged, Rejection):
        return _still(letter, judged)
    if letter.entry.stage not in ("", Stage.VALIDATE) and event.key == letter.key:
        return Refused(
            letter,
            "id_is_taken",
            f"score_id: {event.score_id!r} counts as seen, the same id again would be dropped or conflict; if this is "
            "another score, replay this one letter with --set score_id=ID",
        )
    origin = f"{terms.rejected_topic}/{letter.entry.reference}".encode()
    return Replay(letter, event.key, value, [*letter.headers, (HISTORY_HEADER, origin)])


def _still(letter: Letter, verdict: Event | Rejection) -> Refused:
    if isinstance(verdict, Rejection):
        return Refused(letter, verdict.reason.value, verdict.detail)
    return Refused(letter, Reason.EMPTY_RECORD.value, "the record has no value")


def _read(value: bytes | None, key: bytes | None, now_ms: int) -> Event | Rejection:
    """The verdict on the record under the key that its value says."""
    verdict = validate(value, key, now_ms)
    if isinstance(verdict, Rejection) and verdict.reason is Reason.KEY_MISMATCH:
        fields = orjson.loads(value or b"")
        return validate(value, record_key(fields.get("project", "default"), fields["score_id"]), now_ms)
    return verdict


def _dated(value: bytes, arrived_ms: int) -> bytes:
    """The record with the time of its first arrival, so that a replay does not move a score to another day."""
    fields = decode(value)
    if "timestamp" in fields:
        return encode(fields | {"timestamp": iso(arrived_ms)})
    return b'{"timestamp":"%b",%b' % (iso(arrived_ms).encode(), value.lstrip()[1:])
