"""Yesterday's records decode for ever, and mean what they meant."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any

import msgspec
import pytest

from scoreline.commands.lines import rejected_line
from scoreline.configs import decode_config, encode_config
from scoreline.enriched import decode_enriched
from scoreline.errors import MalformedRecord
from scoreline.events import RFC_3339
from scoreline.lookups import decode_lookup, encode_lookup
from scoreline.reading import Event
from scoreline.rejections import PREFIX, Reason, Stage
from scoreline.topics import record_key
from scoreline.validation import check
from tests.golden import TOPICS, Golden, golden, releases
from tests.payloads import RECEIVED_MS


def name_of(record: Golden) -> str:
    return record.name


def same(read: Any, written: Any) -> bool:
    """Whether all that was written is in what was read; a later release may have added fields."""
    if isinstance(written, dict):
        return all(name in read and same(read[name], value) for name, value in written.items())
    if isinstance(written, str) and re.match(RFC_3339, written):
        return datetime.fromisoformat(read) == datetime.fromisoformat(written)
    return type(read) in (type(written), float) and read == written


@pytest.mark.parametrize("record", golden("raw"), ids=name_of)
def test_raw_record_is_still_a_score(record: Golden) -> None:
    """With every field as it was sent."""
    fields = record.fields
    event = check(record.value, record_key(fields.get("project", "default"), fields["score_id"]), RECEIVED_MS)
    assert isinstance(event, Event), event
    assert same(msgspec.to_builtins(event), fields)


@pytest.mark.parametrize("record", golden("enriched"), ids=name_of)
def test_enriched_record_is_still_read(record: Golden) -> None:
    """With every field as the worker wrote it."""
    assert same(decode_enriched(record.value).model_dump(mode="json"), record.fields)


@pytest.mark.parametrize("record", golden("enriched"), ids=name_of)
def test_enriched_record_of_a_later_release_is_read(record: Golden) -> None:
    """What is new in it is ignored; under a new schema_version it is refused, for its meaning may have changed."""
    later = record.fields | {"confidence": 0.5, "nested": {"new": True}}
    assert decode_enriched(json.dumps(later).encode()) == decode_enriched(record.value)
    with pytest.raises(MalformedRecord, match=r"schema_version: 2, .* upgrade scoreline"):
        decode_enriched(json.dumps(later | {"schema_version": 2}).encode())


@pytest.mark.parametrize("record", golden("configs"), ids=name_of)
def test_config_is_still_read(record: Golden) -> None:
    """And written back, it says the same."""
    assert same(json.loads(encode_config(decode_config(record.value))), record.fields)


@pytest.mark.parametrize("record", golden("lookups"), ids=name_of)
def test_lookup_is_still_read(record: Golden) -> None:
    """And written back, it says the same."""
    assert same(json.loads(encode_lookup(decode_lookup(record.value))), record.fields)


@pytest.mark.parametrize("record", golden("rejected"), ids=name_of)
def test_rejected_record_still_says_why(record: Golden) -> None:
    """Its reason and stage are known, its origin can be read, its own headers stand before the added ones."""
    why = {name.removeprefix(PREFIX): text.decode() for name, text in record.headers if name.startswith(PREFIX)}
    assert Reason(why["reason"])
    assert Stage(why["stage"])
    assert why["detail"]
    shown = json.loads(rejected_line(record.key, record.value, list(record.headers)).json)
    assert (shown["topic"], shown["partition"]) == ("scores.raw", 2)
    assert record.headers[-len(why)][0].startswith(PREFIX)


def test_every_topic_has_golden_records() -> None:
    """Of the first release at least."""
    assert releases()[0] == "0.1.0"
    assert all(golden(topic) for topic in TOPICS)
