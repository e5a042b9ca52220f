"""A hundred thousand hostile records against an independent reading of the contract."""

from __future__ import annotations

import json
import math
import re
import unicodedata
from typing import Any

import pytest

from scoreline.client import prepare
from scoreline.errors import InvalidScore
from scoreline.reading import Event
from scoreline.rejections import DETAIL_CHARS_MAX, Rejection
from scoreline.remedies import NO_REMEDY, field_of, remedy_of
from scoreline.topics import record_key
from scoreline.validation import check
from tests.hostile import FIELDS, hostile_records
from tests.payloads import RECEIVED_MS
from tests.producers.scoreline.test_remedies import WHOLE_RECORD

RECORDS = 30_000
"""For each of four seeds."""
KNOWN = {field for field in FIELDS if field.islower() and field.isascii() and field.strip() == field} - {"unknown"}
RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)")


def strict_object(value: bytes) -> dict[str, Any] | None:
    """One JSON object by the letter of RFC 8259, or None: no constants, no repeated key, no lone surrogate, no NUL."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({name for name, _ in pairs}) < len(pairs):
            raise ValueError("a key stands twice")
        return dict(pairs)

    def refuse(constant: str) -> Any:
        raise ValueError(constant)

    def finite(text: str) -> float:
        return float(text) if math.isfinite(float(text)) else refuse(text)

    try:
        parsed = json.loads(value.decode(), object_pairs_hook=once, parse_constant=refuse, parse_float=finite)
        json.dumps(parsed, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, dict) and "\0" not in _texts(parsed) else None


def _texts(item: Any) -> str:
    """Every key and string of a parsed document."""
    if isinstance(item, dict):
        return "".join(name + _texts(inner) for name, inner in item.items())
    if isinstance(item, list):
        return "".join(_texts(inner) for inner in item)
    return item if isinstance(item, str) else ""


def wrongs(fields: dict[str, Any]) -> list[str]:
    """What in an accepted record breaks the contract, said in another way than `scoreline.validation` does."""
    found = [f"unknown {name}" for name in fields if name not in KNOWN]
    for name in ("score_id", "trace_id", "observation_id", "session_id", "dataset_run_id", "config_id"):
        text = fields.get(name)
        if text is None and name != "score_id":
            continue
        if not isinstance(text, str) or not 1 <= len(text) <= 200:
            found.append(f"{name} is no id")
        elif any(unicodedata.category(character) in ("Cc", "Cf") for character in text):
            found.append(f"{name} holds an invisible character")
    if not any(fields.get(name) for name in ("trace_id", "session_id", "dataset_run_id")):
        found.append("no target")
    value, failed = fields.get("value"), fields.get("status") == "failed"
    if failed == (value is not None) or failed == (fields.get("error") is None):
        found.append("value and error do not fit the status")
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 2**53:
        found.append("value is no double")
    timestamp = fields.get("timestamp")
    if timestamp is not None and (not isinstance(timestamp, str) or not RFC_3339.fullmatch(timestamp)):
        found.append("timestamp is not RFC 3339")
    return found


@pytest.mark.parametrize("seed", range(4))
def test_hostile_record_is_taken_only_when_it_keeps_every_rule(seed: int) -> None:
    """No input raises; a taken one is strict JSON that keeps the contract; a rejection names field and remedy."""
    taken = rejected = 0
    for value in hostile_records(seed, RECORDS):
        fields = strict_object(value)
        key = b"default/s-1" if fields is None else _key(fields)
        verdict = check(value, key, RECEIVED_MS)
        if isinstance(verdict, Rejection):
            rejected += 1
            assert 0 < len(verdict.detail) <= DETAIL_CHARS_MAX, value
            assert verdict.detail.isprintable(), value
            field = field_of(verdict.reason, verdict.detail)
            assert (field is None) is (verdict.reason in WHOLE_RECORD), (verdict, value)
            assert remedy_of(verdict.reason) != NO_REMEDY
            continue
        taken += 1
        assert isinstance(verdict, Event)
        assert fields is not None, value
        assert wrongs(fields) == [], value
    assert taken > RECORDS / 20
    assert rejected > RECORDS / 2


def test_client_and_worker_give_hostile_fields_one_verdict() -> None:
    """Whatever can be said as fields is refused in the caller for the reason that the worker would reject it with."""
    compared = 0
    for value in hostile_records(99, RECORDS):
        fields = strict_object(value)
        if fields is None or "score_id" not in fields:
            continue
        verdict = check(value, _key(fields), RECEIVED_MS)
        compared += 1
        if isinstance(verdict, Rejection):
            with pytest.raises(InvalidScore) as raised:
                prepare(fields, RECEIVED_MS)
            assert raised.value.rejection.reason is verdict.reason, value
        else:
            event, record = prepare(fields, RECEIVED_MS)
            assert event == verdict, value
            assert check(record, event.key, RECEIVED_MS) == event
    assert compared > RECORDS / 4


def _key(fields: dict[str, Any]) -> bytes:
    return record_key(str(fields.get("project", "default")), str(fields.get("score_id", "")))
