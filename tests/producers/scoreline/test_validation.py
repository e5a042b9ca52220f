"""The verdict on raw records: payload files, hostile bytes, and the same verdict in client and worker."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoreline.client import prepare
from scoreline.errors import InvalidScore
from scoreline.reading import Event
from scoreline.rejections import DETAIL_CHARS_MAX, Reason, Rejection
from scoreline.topics import RECORD_BYTES_MAX
from scoreline.validation import check, validate
from tests.payloads import RECEIVED_MS, Payload, invalid_payloads, valid_payloads

VALID = b'{"score_id":"s-1","name":"accuracy","value":0.92,"trace_id":"t"}'


def name_of(payload: Payload) -> str:
    return payload.name


@pytest.mark.parametrize("payload", valid_payloads(), ids=name_of)
def test_valid_payload_is_taken(payload: Payload) -> None:
    """Every file under payloads/valid is a score."""
    assert isinstance(check(payload.value, payload.key, RECEIVED_MS), Event)


@pytest.mark.parametrize("payload", invalid_payloads(), ids=name_of)
def test_invalid_payload_is_rejected_with_its_reason(payload: Payload) -> None:
    """Every file under payloads/invalid is rejected with the reason of its folder and a readable detail."""
    verdict = check(payload.value, payload.key, RECEIVED_MS)
    assert isinstance(verdict, Rejection)
    assert verdict.reason is payload.reason, verdict
    assert 0 < len(verdict.detail) <= DETAIL_CHARS_MAX
    assert "Traceback" not in verdict.detail


EXPRESSIBLE = [
    payload for payload in [*valid_payloads(), *invalid_payloads()] if payload.reason is not Reason.MALFORMED_JSON
]
"""What a caller of the client can pass as fields; broken JSON is not among it."""


@pytest.mark.parametrize("payload", EXPRESSIBLE, ids=name_of)
def test_client_gives_the_verdict_of_the_worker(payload: Payload) -> None:
    """What the worker would reject, the client raises for, with the same reason."""
    fields = json.loads(payload.value)
    if payload.reason is None:
        assert prepare(fields, RECEIVED_MS)[0].score_id == fields["score_id"]
        return
    with pytest.raises(InvalidScore) as raised:
        prepare(fields, RECEIVED_MS)
    assert raised.value.rejection.reason is payload.reason


def test_record_without_value_is_rejected() -> None:
    """A tombstone on the raw topic is an empty record."""
    verdict = validate(None, b"default/s-1", RECEIVED_MS)
    assert isinstance(verdict, Rejection)
    assert verdict.reason is Reason.EMPTY_RECORD


@pytest.mark.parametrize("key", [None, b"", b"s-1", b"default/s-2", b"other/s-1", b"\xff"])
def test_key_that_is_not_the_ids_is_rejected(key: bytes | None) -> None:
    """Deduplication rests on the key: without it the same id could be in two partitions."""
    verdict = validate(VALID, key, RECEIVED_MS)
    assert isinstance(verdict, Rejection)
    assert verdict.reason is Reason.KEY_MISMATCH


@given(st.binary(max_size=200))
def test_no_bytes_raise(value: bytes) -> None:
    """Whatever comes, the verdict is an event or a rejection."""
    assert isinstance(validate(value, b"default/s-1", RECEIVED_MS), Event | Rejection)


OPTIONAL = ("metadata", "comment", "data_type", "timestamp", "evaluator", "schema_version", "config_id")
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.fixed_dictionaries(
        {"score_id": st.just("s-1") | _json, "name": st.just("n") | _json, "value": _json, "trace_id": _json},
        optional=dict.fromkeys(
            ("metadata", "comment", "data_type", "timestamp", "evaluator", "schema_version", "config_id"), _json
        ),
    )
)
def test_any_json_gets_a_verdict_and_what_is_taken_comes_back_unchanged(fields: dict[str, Any]) -> None:
    """No mistyped field raises; metadata of a taken event is what was sent, number for number."""
    value = json.dumps(fields).encode("utf-8", "surrogatepass")
    verdict = check(value, b"default/s-1", RECEIVED_MS)
    assert isinstance(verdict, Event | Rejection)
    if isinstance(verdict, Event) and fields.get("metadata"):
        assert verdict.metadata == fields["metadata"]


@given(st.lists(st.sampled_from(['"a":1', '"b":2', '"a" :3', '"c" : 4', '"x":"\\": "', '"y":" :"']), max_size=6))
def test_repeated_metadata_key_is_never_missed(members: list[str]) -> None:
    """The quick count of keys agrees with an exact parser, whatever the spacing and the text in strings."""
    names = [json.loads("{" + member + "}").popitem()[0] for member in members]
    metadata = "{" + ",".join(members) + "}"
    value = f'{{"score_id":"s-1","name":"n","value":1,"trace_id":"t","metadata":{metadata}}}'.encode()
    verdict = validate(value, b"default/s-1", RECEIVED_MS)
    assert isinstance(verdict, Rejection) == (len(set(names)) < len(names))


def test_largest_hostile_record_gets_its_verdict() -> None:
    """Thousands of keys on the slow exact path, the repeated one last: linear, or the suite's own timeout speaks."""
    filler = ",".join(f'"k{i}" : 0' for i in range(20_000))
    value = f'{{"score_id":"s-1","name":"n","value":1,"trace_id":"t","metadata":{{{filler},"k0" : 0}}}}'.encode()
    assert len(value) <= RECORD_BYTES_MAX
    verdict = validate(value, b"default/s-1", RECEIVED_MS)
    assert isinstance(verdict, Rejection)
    assert verdict.reason is Reason.MALFORMED_JSON
