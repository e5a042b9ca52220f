"""Lookups: their bytes, and what they add to a score."""

from __future__ import annotations

from typing import Any

import pytest

from scoreline.errors import MalformedRecord
from scoreline.events import Evaluator, ScoreEvent
from scoreline.lookups import FIELDS, Lookup, LookupField, decode_lookup, encode_lookup, join
from scoreline.reading import Event, event_of

VENDOR = Lookup(field="evaluator_model", value="m-1", attributes={"vendor": "acme", "tier": "large"})


def table(*lookups: Lookup) -> dict[bytes, Lookup]:
    return {lookup.key: lookup for lookup in lookups}


def event(**fields: Any) -> Event:
    return event_of(ScoreEvent(score_id="s", name="accuracy", value=1.0, trace_id="t", **fields))


def test_attributes_of_every_matching_field_are_joined() -> None:
    """Each attribute under the field's name; what is not known adds nothing."""
    team = Lookup(field="service", value="chat", attributes={"team": "assist"})
    judged = event(service="chat", evaluator=Evaluator(name="judge", model="m-1"))
    assert join(judged, table(VENDOR, team)) == {
        "evaluator_model.vendor": "acme",
        "evaluator_model.tier": "large",
        "service.team": "assist",
    }
    assert join(judged, {}) == {}
    assert join(event(), table(VENDOR, team)) == {}


@pytest.mark.parametrize("field", FIELDS)
def test_every_field_can_be_looked_up(field: LookupField) -> None:
    """The value of each field finds its own lookup and no other's."""
    fields = {"name": "v", "service": "v", "environment": "v", "author": "v"}
    judged = event_of(
        ScoreEvent(score_id="s", value=1.0, trace_id="t", evaluator=Evaluator(name="v", model="v"), **fields)
    )
    lookup = Lookup(field=field, value="v", attributes={"a": "x"})
    assert join(judged, table(lookup)) == {f"{field}.a": "x"}


def test_lookups_stay_in_their_project() -> None:
    """What one tenant says of a value is not said to another."""
    assert join(event(project="other", evaluator=Evaluator(name="j", model="m-1")), table(VENDOR)) == {}


def test_lookup_comes_back_from_its_bytes() -> None:
    """Encoding and decoding are inverse."""
    assert decode_lookup(encode_lookup(VENDOR)) == VENDOR
    assert VENDOR.key == b"default/evaluator_model/m-1"


@pytest.mark.parametrize(
    ("value", "field"),
    [
        (b"{", "lookup"),
        (b'{"field": "service", "value": "v", "attributes": {}}', "attributes"),
        (b'{"field": "comment", "value": "v", "attributes": {"a": "x"}}', "field"),
        (b'{"field": "service", "value": "v", "attributes": {"A": "x"}}', "attributes"),
        (b'{"field": "service", "attributes": {"a": "x"}}', "value"),
    ],
)
def test_malformed_lookup_names_its_fault(value: bytes, field: str) -> None:
    """The error says which field to mend."""
    with pytest.raises(MalformedRecord, match=field):
        decode_lookup(value)
