"""A score as it stands in a request → the raw record, or why there is none. Pure.

The record is the sender's own text with what it lacks put in front: so the verdict is on exactly what was sent (a key
that stands twice, an integer too large for a double), and the same that the worker gives.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple, cast

import orjson
import uuid_utils

from scoreline.client import prepare
from scoreline.errors import InvalidScore
from scoreline.rejections import Reason, Rejection, found
from scoreline.topics import record_key
from scoreline.validation import check

SCORE_ID_SHOWN_MAX = 200
NO_OBJECT = Rejection(Reason.MALFORMED_JSON, "expected one JSON object")

_SPACE = re.compile(r"[ \t\n\r]*")
_decode = json.JSONDecoder().raw_decode


class Prepared(NamedTuple):
    """A score that may be sent."""

    score_id: str
    key: bytes
    record: bytes


class Item(NamedTuple):
    """One score of a request: its text, and its fields as far as they could be read."""

    text: bytes
    fields: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one score."""

    score_id: str | None
    """Its id, also where the gateway made it; None where it was rejected and had none."""
    rejection: Rejection | None
    """None: the broker has it."""


class Desk:
    """Prepares the scores of one request."""

    def __init__(self, project: str, now_ms: int, new_id: Callable[[], str]) -> None:
        """`now_ms` is the time of scores that have none, Unix milliseconds; `new_id` makes the next score's id."""
        self._project, self._now_ms, self._new_id = project, now_ms, new_id
        self._now = datetime.fromtimestamp(now_ms / 1000, UTC).isoformat()

    def prepare_text(self, item: Item) -> Prepared | Outcome:
        """The raw record of one score's text."""
        fields, generated = item.fields, self._new_id()
        if fields is None:
            return Outcome(None, NO_OBJECT)
        given = fields.get("score_id", generated)
        wrong_project = self._wrong_project(fields)
        if wrong_project is not None:
            return _rejected(fields, wrong_project)
        missing: list[bytes] = []
        if "project" not in fields:
            missing.append(b'"project":"%b"' % self._project.encode())
        if "score_id" not in fields:
            missing.append(b'"score_id":"%b"' % generated.encode())
        if "timestamp" not in fields:
            missing.append(b'"timestamp":"%b"' % self._now.encode())
        record = _with_fields(item.text, missing, empty=not fields)
        try:
            key = record_key(self._project, str(given))
        except UnicodeEncodeError:
            key = b""
        event = check(record, key, self._now_ms)
        if isinstance(event, Rejection):
            return _rejected(fields, event)
        return Prepared(event.score_id, key, record)

    def prepare_fields(self, fields: Mapping[str, Any]) -> Prepared | Outcome:
        """The raw record of one score's fields; those that are None are absent."""
        given = {name: value for name, value in fields.items() if value is not None}
        generated = self._new_id()
        wrong_project = self._wrong_project(given)
        if wrong_project is not None:
            return _rejected(given, wrong_project)
        filled = {"project": self._project, "score_id": generated, "timestamp": self._now, **given}
        try:
            event, record = prepare(filled, self._now_ms)
        except InvalidScore as invalid:
            return _rejected(given, invalid.rejection)
        return Prepared(event.score_id, event.key, record)

    def _wrong_project(self, fields: Mapping[str, Any]) -> Rejection | None:
        if "project" in fields and fields["project"] != self._project:
            detail = f"project: the API key is of {self._project}, found {found(fields['project'])}"
            return Rejection(Reason.INVALID_VALUE, detail)
        return None


def _rejected(fields: Mapping[str, Any], rejection: Rejection) -> Outcome:
    """With the id that the sender gave, if it can be shown at all."""
    score_id = fields.get("score_id")
    shown = isinstance(score_id, str) and score_id.isprintable() and len(score_id) <= SCORE_ID_SHOWN_MAX
    return Outcome(score_id if shown else None, rejection)


def _with_fields(text: bytes, missing: list[bytes], *, empty: bool) -> bytes:
    if not missing:
        return text
    begin = text.index(b"{")
    return b"%b{%b%b%b" % (text[:begin], b",".join(missing), b"" if empty else b",", text[begin + 1 :])


def read_item(text: bytes) -> Item:
    """One score's text, which may be anything."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        # what only orjson refuses (NaN, a lone surrogate) has a verdict of its own
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            value = None
    return Item(text, cast("dict[str, Any]", value) if isinstance(value, dict) and b"{" in text else None)


def is_array(body: bytes) -> bool:
    """Whether a body begins as a JSON array."""
    return body[: len(body) - len(body.lstrip()) + 1].endswith(b"[")


def split_array(body: bytes) -> Iterator[Item]:
    """The elements of a JSON array, each with its own text. Raises ValueError where it is none."""
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise ValueError("it is not UTF-8") from error
    at = _skip(text, _skip(text, 0) + 1)
    if text[at : at + 1] == "]":
        _require_end(text, at + 1)
        return
    while True:
        start = at
        try:
            value, at = _decode(text, start)
        except (RecursionError, ValueError) as error:
            raise ValueError(f"no JSON value at character {start}") from error
        fields = cast("dict[str, Any]", value) if isinstance(value, dict) else None
        yield Item(text[start:at].encode(), fields)
        at = _skip(text, at)
        match text[at : at + 1]:
            case ",":
                at = _skip(text, at + 1)
            case "]":
                _require_end(text, at + 1)
                return
            case _:
                raise ValueError(f"expected , or ] at character {at}")


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return at if match is None else match.end()


def _require_end(text: str, at: int) -> None:
    if _skip(text, at) != len(text):
        raise ValueError(f"something stands behind the array, at character {at}")


def random_ids() -> Callable[[], str]:
    """Ids of scores that come without one: UUIDv7."""
    return lambda: str(uuid_utils.uuid7())


def ids_of(idempotency_key: str, project: str) -> Callable[[], str]:
    """Ids that are the same when a request is sent again under its key: a hash of project, key and place."""
    place = -1

    def next_id() -> str:
        nonlocal place
        place += 1
        return "idem-" + hashlib.sha256(f"{project}\n{place}\n{idempotency_key}".encode()).hexdigest()[:32]

    return next_id
