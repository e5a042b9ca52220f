"""A score's text as the gateway reads it: the verdicts of the client and the worker, on exactly what was sent."""

from __future__ import annotations

import json
from itertools import count
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoreline.client import prepare
from scoreline.errors import InvalidScore
from scoreline.reading import Event
from scoreline.rejections import Reason, Rejection
from scoreline.topics import record_key
from scoreline.validation import check
from scoreline_gateway.reading import Desk, Item, Outcome, Prepared, ids_of, is_array, read_item, split_array
from tests.hostile import hostile_records
from tests.payloads import RECEIVED_MS, Payload, invalid_payloads, valid_payloads

MADE = "made-by-the-gateway"


def desk(project: str = "default") -> Desk:
    return Desk(project, RECEIVED_MS, lambda: MADE)


def reason_of(verdict: Prepared | Outcome | Event | Rejection) -> Reason | None:
    """None: taken."""
    if isinstance(verdict, Outcome):
        assert verdict.rejection is not None
        return verdict.rejection.reason
    return verdict.reason if isinstance(verdict, Rejection) else None


def project_of(value: bytes) -> str:
    """The project that a record names, for which it would need a key."""
    fields = read_item(value).fields or {}
    project = fields.get("project", "default")
    return project if isinstance(project, str) and project.isascii() else "default"


@pytest.mark.parametrize("payload", [*valid_payloads(), *invalid_payloads()], ids=lambda payload: payload.name)
def test_payload_has_the_verdict_of_the_worker(payload: Payload) -> None:
    """As one body, as a line, and in an array; only a missing id is filled in."""
    verdict = desk(project_of(payload.value)).prepare_text(read_item(payload.value))
    if payload.name == "missing_field/no-score-id":
        assert isinstance(verdict, Prepared)
        assert verdict.score_id == MADE
        return
    assert reason_of(verdict) == payload.reason, verdict
    if isinstance(verdict, Prepared):
        assert check(verdict.record, verdict.key, RECEIVED_MS) == check(verdict.record, payload.key, RECEIVED_MS)
    try:
        items = list(split_array(b"[ %b , {}]" % payload.value))
    except ValueError:
        assert payload.reason is Reason.MALFORMED_JSON
        return
    if payload.value.strip():
        assert reason_of(desk(project_of(payload.value)).prepare_text(items[0])) == payload.reason


def test_hostile_text_has_the_verdict_of_the_worker() -> None:
    """Whatever names an id, a project and a time: the same reason, and of what is taken the same event."""
    compared = taken = 0
    for value in hostile_records(7, 30_000):
        item = read_item(value)
        fields = item.fields
        if fields is None or not {"score_id", "project", "timestamp"} <= fields.keys():
            continue
        if not isinstance(fields["project"], str) or not isinstance(fields["score_id"], str):
            continue
        try:
            key = record_key(fields["project"], fields["score_id"])
        except UnicodeEncodeError:
            continue
        compared += 1
        expected = check(value, key, RECEIVED_MS)
        verdict = desk(fields["project"]).prepare_text(item)
        if isinstance(expected, Rejection):
            assert reason_of(verdict) is expected.reason, value
        else:
            taken += 1
            assert verdict == Prepared(expected.score_id, expected.key, value)
    assert compared > 500
    assert taken > 50


def test_hostile_text_never_raises_and_what_is_taken_is_the_worker_s_to_take() -> None:
    """Also where id, project and time are filled in."""
    taken = 0
    for value in hostile_records(8, 30_000):
        verdict = desk().prepare_text(read_item(value))
        if isinstance(verdict, Prepared):
            taken += 1
            event = check(verdict.record, verdict.key, RECEIVED_MS)
            assert isinstance(event, Event)
            assert (event.project, event.score_id) == ("default", verdict.score_id)
        else:
            assert verdict.rejection is not None
            orjson.dumps([verdict.score_id, verdict.rejection.detail])
    assert taken > 1000


def test_fields_have_the_verdict_of_the_client() -> None:
    """The way in for other APIs: the client's own check."""
    compared = 0
    for value in hostile_records(9, 30_000):
        fields = read_item(value).fields
        if fields is None or fields.get("project", "default") != "default":
            continue
        given_fields = {name: item for name, item in fields.items() if item is not None}
        filled = {"score_id": MADE, "project": "default", "timestamp": "2026-02-01T12:00:00+00:00", **given_fields}
        compared += 1
        verdict = desk().prepare_fields(fields)
        if isinstance(verdict, Prepared):
            event, record = prepare(filled, RECEIVED_MS)
            assert (verdict.key, json.loads(verdict.record)) == (event.key, json.loads(record))
            continue
        with pytest.raises(InvalidScore) as raised:
            prepare(filled, RECEIVED_MS)
        assert reason_of(verdict) is raised.value.rejection.reason, value
    assert compared > 1000


JSON_TEXT = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@given(st.lists(JSON_TEXT, max_size=5), st.sampled_from([None, 1, "\t"]), st.booleans())
def test_elements_of_an_array_keep_their_text(values: list[Any], indent: int | str | None, ascii_only: bool) -> None:
    """Whatever stands in it, and however it is spaced."""
    body = json.dumps(values, indent=indent, ensure_ascii=ascii_only).encode("utf-8", "replace")
    assert is_array(body)
    items = list(split_array(body))
    assert [json.loads(item.text) for item in items] == json.loads(body)
    assert [item.fields for item in items] == [v if isinstance(v, dict) else None for v in json.loads(body)]


BROKEN_ARRAYS = (b"[", b"[1", b"[1,", b"[,1]", b"[1,]", b"[1 2]", b"[1]x", b"[1][", b"[\xff]", b"[nul]")


@pytest.mark.parametrize("body", BROKEN_ARRAYS)
def test_array_that_is_none_is_refused_whole(body: bytes) -> None:
    """Nothing of it is taken as if it were complete."""
    with pytest.raises(ValueError, match=r"character|UTF-8"):
        list(split_array(body))


def test_ids_of_a_key_are_of_its_project_and_place() -> None:
    """The same again, and no two alike."""
    made = [ids_of(key, project) for key, project in (("k", "a"), ("k", "b"), ("l", "a"))]
    ids = [[new_id() for _ in range(3)] for new_id in made]
    assert len({*ids[0], *ids[1], *ids[2]}) == 9
    again = ids_of("k", "a")
    assert [again() for _ in range(3)] == ids[0]


def test_filled_in_fields_stand_once() -> None:
    """What is given is left as it stands; an id is counted for each place, given or not."""
    places = count()
    numbered = Desk("p", RECEIVED_MS, lambda: f"id-{next(places)}")
    texts = [b'{"name":"n","value":1,"trace_id":"t"}', b'{"score_id":"s","name":"n","value":1,"trace_id":"t"}', b"{}"]
    first, second, third = (numbered.prepare_text(read_item(text)) for text in texts)
    assert isinstance(first, Prepared)
    assert isinstance(second, Prepared)
    assert isinstance(third, Outcome)
    assert first.record == (
        b'{"project":"p","score_id":"id-0","timestamp":"2026-02-01T12:00:00+00:00","name":"n","value":1,"trace_id":"t"}'
    )
    assert second.record.startswith(b'{"project":"p","timestamp":"2026-02-01T12:00:00+00:00","score_id":"s"')
    assert reason_of(third) is Reason.MISSING_FIELD
    assert next(places) == 3
    assert reason_of(numbered.prepare_text(Item(b"1", None))) is Reason.MALFORMED_JSON


def test_project_of_another_key_is_refused_by_name() -> None:
    """Also one that is no text; the key's own may be given."""
    for project in ("other", "Default", None, 1):
        text = json.dumps({"score_id": "s", "project": project, "name": "n", "value": 1, "trace_id": "t"}).encode()
        verdict = desk("p").prepare_text(read_item(text))
        assert isinstance(verdict, Outcome)
        assert verdict.rejection is not None
        assert verdict.rejection.reason is Reason.INVALID_VALUE
        assert "the API key is of p" in verdict.rejection.detail
