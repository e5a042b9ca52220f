"""The text of a raw record as an event in memory, quickly, where that is sure to be what `ScoreEvent` reads.

msgspec reads a record in a tenth of pydantic's time and is as strict, but says nothing of a key that stands twice,
knows no character classes, and gives no reason that a person could use. So it reads what can be proven to be what
`ScoreEvent` would have read; everything else, and so whatever is to be rejected, is read by `ScoreEvent`.

A client goes the other way: from fields whose types leave no doubt msgspec makes the event, and of it the text that is
read as that event.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta
from msgspec.structs import astuple, force_setattr

from scoreline.events import RFC_3339, SCHEMA_VERSION, DataType, ScoreEvent, Source, Status
from scoreline.metadata import keys_of, wrong_metadata
from scoreline.topics import RECORD_BYTES_MAX, record_key
from scoreline.values import EXACT_INTEGER_MAX

_BACKSLASH, _DELETE = b"\\\x7f"
"""As integers: a byte is found in a text eight times as quickly as a text of one byte."""
_WHITE_SPACE = frozenset((b" ", b"\t", b"\n", b"\r"))

_Short = Annotated[str, Meta(min_length=1, max_length=200)]
_Error = Annotated[str, Meta(min_length=1, max_length=10_000)]
_FILLED_IN: Any = None
"""Stands in a field until `_complete` puts its default there, so that a text without it is written back without it."""


class EventEvaluator(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """`scoreline.events.Evaluator`."""

    name: _Short
    version: _Short | None = None
    model: _Short | None = None


class Event(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """A valid event, as everything behind its validation holds it.

    The fields are those of `ScoreEvent`, in the order in which our clients write them (see `read_plain`).
    """

    score_id: _Short
    name: _Short
    value: float | bool | str | None = None
    error: _Error | None = None
    data_type: DataType | None = None
    trace_id: _Short | None = None
    observation_id: _Short | None = None
    session_id: _Short | None = None
    dataset_run_id: _Short | None = None
    comment: str | None = None
    metadata: dict[str, Any] | None = None
    config_id: _Short | None = None
    author: _Short | None = None
    source: Source = _FILLED_IN
    evaluator: EventEvaluator | None = None
    timestamp: Annotated[datetime, Meta(tz=True)] | None = None
    status: Status = _FILLED_IN
    project: _Short = _FILLED_IN
    service: _Short | None = None
    environment: _Short | None = None
    release: _Short | None = None
    schema_version: Literal[1] = _FILLED_IN

    @property
    def key(self) -> bytes:
        """Key of the raw, enriched and rejected record."""
        return record_key(self.project, self.score_id)


_DEFAULT_PROJECT: str = ScoreEvent.model_fields["project"].default
_UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)
_SCALARS = frozenset({str, bool, type(None), int, float})
_decode = msgspec.json.Decoder(Event).decode
_encode = msgspec.json.Encoder().encode
_decode_written = msgspec.json.Decoder(dict[str, Any]).decode
_rfc_3339 = re.compile(RFC_3339).fullmatch
_project = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}").fullmatch


def event_of(score: ScoreEvent) -> Event:
    """The same event, held as everything else holds it."""
    fields = dict(score.__dict__)
    if score.evaluator is not None:
        fields["evaluator"] = EventEvaluator(**score.evaluator.__dict__)
    return Event(**fields)


def read_plain(value: bytes) -> Event | None:
    """The event that `ScoreEvent` would read from `value`; None where only `ScoreEvent` can tell.

    A text that is written back as it was read holds nothing that was not read. Our clients' texts are such. The texts
    of others, with their fields in another order or space between them, are proven by counting keys.
    """
    if len(value) > RECORD_BYTES_MAX:
        return None
    try:
        event = _decode(value)
        if _encode(event) != value and not _is_proven(value, event):
            return None
        return event if _has_plain_texts(value, event) and _complete(event) else None
    except _UNREADABLE:
        return None


def write_plain(fields: Mapping[str, Any]) -> tuple[Event, bytes] | None:
    """The event of `fields`, and the text that is read as it; None where only reading their JSON can tell.

    Where msgspec takes or writes a type in another way than pydantic, that is: a Decimal, an enum as an id, a time that
    is text or not in UTC, metadata that is not flat.
    """
    timestamp = fields.get("timestamp")
    if timestamp is not None and (type(timestamp) is not datetime or timestamp.tzinfo is not UTC):
        return None
    if type(fields.get("value")) not in _SCALARS:
        return None
    try:
        event = msgspec.convert(fields, Event)
        if event.metadata and not _SCALARS.issuperset(map(type, event.metadata.values())):
            return None
        value = _encode(event)
    except (*_UNREADABLE, TypeError):
        return None
    if len(value) > RECORD_BYTES_MAX or not (_has_plain_texts(value, event) and _complete(event)):
        return None
    return (event, value) if type(event.score_id) is str and type(event.project) is str else None


def _has_plain_texts(value: bytes, event: Event) -> bool:
    if _BACKSLASH not in value and value.isascii() and _DELETE not in value:
        return True
    return b"\\u0000" not in value and _is_printable(event)


def _is_proven(text: bytes, event: Event) -> bool:
    """Whether no key stands twice, and the timestamp is in the form of the contract; it is then read anew.

    Where no white space stands between a key and its colon, `":` stands in a text at least as often as keys are
    written in it; if as often as there are different keys, none is written twice.
    """
    # Python seeks one byte many times faster than two
    before_colons = [part[-1:] for part in text.split(b":")[:-1]]
    if not _WHITE_SPACE.isdisjoint(before_colons):
        return False
    fields = _decode_written(text)
    keys = len(fields) + keys_of(fields.get("metadata") or {}) + keys_of(fields.get("evaluator") or {})
    if before_colons.count(b'"') != keys:
        return False
    timestamp = fields.get("timestamp")
    if timestamp is not None:
        if _rfc_3339(timestamp) is None:
            return False
        # what is finer than a microsecond is cut, by msgspec it is rounded
        force_setattr(event, "timestamp", datetime.fromisoformat(timestamp))
    return True


def _is_printable(event: Event) -> bool:
    """Whether no field in which control characters or invisible ones are forbidden holds any, or other rare ones."""
    evaluator = () if event.evaluator is None else astuple(event.evaluator)
    texts = (
        event.score_id,
        event.name,
        event.trace_id,
        event.observation_id,
        event.session_id,
        event.dataset_run_id,
        event.config_id,
        event.author,
        event.service,
        event.environment,
        event.release,
        *evaluator,
    )
    return all(text is None or text.isprintable() for text in texts)


def _complete(event: Event) -> bool:
    """Put the defaults in; False where the value, the project or the metadata is not plain."""
    value = event.value
    if type(value) is float and not -EXACT_INTEGER_MAX < value < EXACT_INTEGER_MAX:
        return False
    if event.project is _FILLED_IN:
        force_setattr(event, "project", _DEFAULT_PROJECT)
    elif not _is_project(event.project):
        return False
    if event.status is _FILLED_IN:
        force_setattr(event, "status", Status.OK)
    if event.source is _FILLED_IN:
        force_setattr(event, "source", Source.API)
    if event.schema_version is _FILLED_IN:
        force_setattr(event, "schema_version", SCHEMA_VERSION)
    return not event.metadata or wrong_metadata(event.metadata) is None


@lru_cache(1024)
def _is_project(name: str) -> bool:
    return _project(name) is not None
