"""Records read quickly: never otherwise than pydantic reads them, and nearly always."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoreline.events import Evaluator, ScoreEvent
from scoreline.reading import Event, EventEvaluator, read_plain
from scoreline.topics import RECORD_BYTES_MAX
from scoreline.validation import read_exactly
from tests.hostile import hostile_records
from tests.payloads import Payload, valid_payloads

FIELDS: dict[str, Any] = {
    "score_id": "s-1",
    "name": "accuracy",
    "value": 0.92,
    "data_type": "NUMERIC",
    "trace_id": "t",
    "comment": "close to the answer",
    "metadata": {"model": "judge", "tags": [{"a": 1}], "cost": 0.25, "runs": 3, "none": None},
    "timestamp": "2026-01-31T12:00:00.123456Z",
    "evaluator": {"name": "judge", "version": "3"},
    "schema_version": 1,
}


def compact(fields: Any) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode()


def assert_read_alike(value: bytes) -> Event | None:
    """What was read quickly is what pydantic and the exact search of the text take, to the last bit."""
    event = read_plain(value)
    if event is not None:
        read = read_exactly(value)
        assert event == read, value
        assert repr(event) == repr(read), value
    return event


def test_the_fields_are_those_of_the_contract() -> None:
    """Nothing can be added to one of the two models alone."""
    assert set(Event.__struct_fields__) == set(ScoreEvent.model_fields)
    assert EventEvaluator.__struct_fields__ == tuple(Evaluator.model_fields)


@pytest.mark.parametrize("seed", range(2))
def test_hostile_record_is_read_alike_or_left(seed: int) -> None:
    """The quick reader takes no record that the exact one refuses, and none otherwise."""
    taken = sum(assert_read_alike(value) is not None for value in hostile_records(seed, 30_000))
    assert taken > 1000


@pytest.mark.parametrize("payload", valid_payloads(), ids=lambda payload: payload.name)
def test_valid_payload_is_read_alike_or_left(payload: Payload) -> None:
    """Also the forms that are rare."""
    assert_read_alike(payload.value)


@pytest.mark.parametrize(
    "fields",
    [
        FIELDS,
        FIELDS | {"comment": 'she said "yes"\n\tand: no', "name": "précision", "service": "搜索"},
        FIELDS | {"error": None, "session_id": None, "metadata": None, "evaluator": {"name": "j", "model": None}},
        {name: FIELDS[name] for name in ("score_id", "name", "value", "trace_id")},
        FIELDS | {"timestamp": "2026-01-31T14:00:00+02:00", "project": "team-a", "status": "ok", "source": "EVAL"},
    ],
    ids=["common", "escapes", "nulls", "bare", "offset"],
)
def test_common_record_is_read_quickly(fields: dict[str, Any]) -> None:
    """The quick way is worth nothing where it leaves what services send to the other."""
    assert assert_read_alike(compact(fields)) is not None
    assert assert_read_alike(json.dumps(fields).encode()) is not None
    assert assert_read_alike(json.dumps(fields, ensure_ascii=False).encode()) is not None
    assert assert_read_alike(json.dumps(fields, indent=2).encode()) is not None


@pytest.mark.parametrize(
    "value",
    [
        b'{"score_id":"s","name":"n","value":1,"trace_id":"t","timestamp":"2026-01-31T12:00:00.12345678yZ"}',
        b'{"score_id":"s","name":"n","value":1,"value":2,"trace_id":"t"}',
        b'{"score_id":"s","name":"n","value":null,"value":2,"trace_id":"t"}',
        b'{"score_id":"s","name":"n","trace_id":"t","metadata":{"a":1,"a":2}}',
        b'{"score_id":"s","name":"n","trace_id":"t","metadata":{"a":[{"b":1,"b":2}]}}',
        b'{"score_id":"s","name":"n","trace_id":"t","evaluator":{"name":"a","name":"b"}}',
        b'{"score_id":"s","name":"n","value" :1,"value":2,"trace_id":"t"}',
        b'{"score_id":"s","name":"n","value"\n:1,"value":2,"trace_id":"t"}',
        b'{"score_id":"s","name":"n","value"\t:1,"value":2,"trace_id":"t"}',
        b'{"score_id":"s","name":"n","value"\r:1,"value":2,"trace_id":"t"}',
        b'{"score_id":"s","name":"n","value":1,"valu\\u0065":2,"trace_id":"t"}',
        b'{"score_id":"s","name":"n","value":9007199254740993,"trace_id":"t"}',
        b'{"score_id":"s","name":"n","value":"a\\u0000","trace_id":"t"}',
        b'{"score_id":"s\\u200b","name":"n","value":1,"trace_id":"t"}',
        b'{"score_id":"s\x7f","name":"n","value":1,"trace_id":"t"}',
        b'{"score_id":"s","name":"n\\u0085","value":1,"trace_id":"t"}',
        b'{"score_id":"s","name":"n","value":1,"trace_id":"t","evaluator":{"name":"\\u0007"}}',
        b'{"score_id":"s","name":"n","value":1,"trace_id":"t","timestamp":"2026-W01-1T12:00:00.123Z"}',
        b'{"score_id":"s","name":"n","value":1,"trace_id":"t","timestamp":"2026-01-31T12:00:00.Z"}',
        b'{"score_id":"s","name":"n","value":1,"trace_id":"t","timestamp":"2026-01-31T12:00:00.1234567891Z"}',
        b'{"score_id":"s","name":"n","value":1,"trace_id":"t","timestamp":"2026-13-31T12:00:00.123Z"}',
        b'{"score_id":"s","name":"n","value":1,"trace_id":"t","timestamp":1769860800}',
        b'{"score_id":"s","name":"n","value":1,"trace_id":"t","metadata":{"a":9223372036854775808}}',
        b'{"score_id":"s","name":"n","value":1,"trace_id":"t","metadata":{"a":' + b"[" * 40 + b"]" * 40 + b"}}",
        b'{"score_id":"s","name":"n","value":1,"trace_id":"t","project":"default\\n"}',
        compact(FIELDS | {"comment": "x" * RECORD_BYTES_MAX}),
        b"",
    ],
)
def test_record_without_proof_is_left(value: bytes) -> None:
    """Whatever could hide something is not read quickly."""
    assert read_plain(value) is None


TEXT = st.text(max_size=20) | st.sampled_from(["a", '":', " :", "\\", '"', "\0", "\x7f", "é", "😀", "‮", "null"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
TIMES = st.from_regex(
    r"20[0-9]{2}-[01][0-9]-[0-3][0-9][Tt ][0-2][0-9]:[0-5][0-9]:[0-6][0-9]([.,][0-9y]{0,10})?(Z|z|[+-]0[0-9]:?00)?",
    fullmatch=True,
)


@settings(max_examples=1500)
@given(
    changes=st.dictionaries(
        st.sampled_from([*ScoreEvent.model_fields, "unknown"]),
        JSON | TIMES | st.sampled_from(["ok", "failed", "EVAL", "BOOLEAN", 1, 2**53, -0.0, {"name": "j"}]),
        max_size=4,
    ),
    separators=st.sampled_from([(",", ":"), (", ", ": "), (",", " :"), (",\n", ":")]),
    as_ascii=st.booleans(),
)
def test_any_record_is_read_alike_or_left(changes: dict[str, Any], separators: tuple[str, str], as_ascii: bool) -> None:
    """Whatever JSON stands in whichever field."""
    text = json.dumps(FIELDS | changes, separators=separators, ensure_ascii=as_ascii)
    assert_read_alike(text.encode("utf-8", "surrogatepass"))


@settings(max_examples=1500)
@given(time=TIMES)
def test_any_time_is_read_alike_or_left(time: str) -> None:
    """The quick reader knows a common form by six of its characters."""
    assert_read_alike(compact(FIELDS | {"timestamp": time}))
