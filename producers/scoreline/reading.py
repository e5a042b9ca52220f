"""The text of raw records as events in memory: quickly where the text is plain, else as `ScoreEvent` reads it.

msgspec reads a record in a tenth of pydantic's time and is as strict, but says nothing of a key that stands twice,
knows no character classes, and gives no reason that a person could use. So it reads what can be proven to be what
`ScoreEvent` would have read; everything else, and so whatever is to be rejected, is read by `ScoreEvent`.
"""

from __future__ import annotations

import re
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any, Literal, cast

import msgspec
from msgspec import Meta
from msgspec.structs import astuple, force_setattr
from pydantic import JsonValue

from scoreline.events import RFC_3339, SCHEMA_VERSION, DataType, ScoreEvent, Source, Status
from scoreline.metadata import keys_of, wrong_metadata
from scoreline.topics import RECORD_BYTES_MAX, record_key
from scoreline.values import EXACT_INTEGER_MAX

_TAB, _LINE_FEED, _CARRIAGE_RETURN, _BACKSLASH, _DELETE = b"\t\n\r\\\x7f"
"""As integers: a byte is found in a text eight times as quickly as a text of one byte."""

_Short = Annotated[str, Meta(min_length=1, max_length=200)]
_Error = Annotated[str, Meta(min_length=1, max_length=10_000)]
_FILLED_IN: Any = None
"""Stands in a field until `_complete` puts its default there: so the fields that a text has can be counted."""


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
    timestamp: Any = None
    """A datetime with zone or None; text only until `_complete` has read it."""
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


_FIELDS = len(Event.__struct_fields__)
_EVALUATOR_FIELDS = len(EventEvaluator.__struct_fields__)
_DEFAULT_PROJECT: str = ScoreEvent.model_fields["project"].default
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_decode = msgspec.json.Decoder(Event).decode
_encode = msgspec.json.Encoder().encode
_decode_written = msgspec.json.Decoder(
    msgspec.defstruct("_Written", [(name, Any, msgspec.UNSET) for name in Event.__struct_fields__])
).decode
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

    A text that is written back as it was read holds nothing that was not read. Our clients' texts are such; the texts
    of others, with their fields in another order or space between them, are proven by counting keys.
    """
    if len(value) > RECORD_BYTES_MAX:
        return None
    try:
        event = _decode(value)
        if _encode(event) != value and not (_hides_no_colon(value) and _has_no_key_twice(value, event)):
            return None
        plain = _BACKSLASH not in value and value.isascii() and _DELETE not in value
        if not plain and (b"\\u0000" in value or not _is_printable(event)):
            return None
        return event if _complete(event) else None
    except _UNREADABLE:
        return None


def _hides_no_colon(text: bytes) -> bool:
    """Whether no white space can stand between a key and its colon."""
    return _LINE_FEED not in text and _TAB not in text and _CARRIAGE_RETURN not in text and text.find(b" :") < 0


def _has_no_key_twice(text: bytes, event: Event) -> bool:
    """A text that hides no colon has `":` at least as often as keys are written in it; if as often as there are
    different keys, none is written twice."""
    written = text.count(b'":')
    return written == _keys(event) or written == _keys_and_nulls(text)


def _keys(event: Event) -> int:
    """How many keys its text has, if none of its fields is null there."""
    count = _FIELDS - astuple(event).count(None)
    if event.evaluator is not None:
        count += _EVALUATOR_FIELDS - astuple(event.evaluator).count(None)
    return count + keys_of(event.metadata) if event.metadata else count


def _keys_and_nulls(text: bytes) -> int:
    """How many different keys a text has that was read as an event before."""
    fields = astuple(_decode_written(text))
    return (
        _FIELDS
        - fields.count(msgspec.UNSET)
        + sum(keys_of(cast("dict[str, JsonValue]", field)) for field in fields if type(field) is dict)
    )


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
    """Read the timestamp and put the defaults in; False where a value or a time is not plain."""
    value = event.value
    if type(value) is float and not -EXACT_INTEGER_MAX < value < EXACT_INTEGER_MAX:
        return False
    timestamp = event.timestamp
    if timestamp is not None:
        if type(timestamp) is not str:
            return False
        # 1 to 6 digits of a second: what `fromisoformat` takes for more, it does not look at
        common = timestamp[4:20:3] == "--T::." and timestamp[-1] == "Z" and 22 <= len(timestamp) <= 27
        if not common and _rfc_3339(timestamp) is None:
            return False
        try:
            force_setattr(event, "timestamp", datetime.fromisoformat(timestamp))
        except ValueError:
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
