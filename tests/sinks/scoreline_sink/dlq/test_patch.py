"""What a patch makes of a record."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoreline.errors import MalformedRecord, QueryError
from scoreline_sink.dlq.patch import Patch, patch_of
from tests.payloads import valid_payloads
from tests.sinks.scoreline_sink.dlq.made import score


def patched(value: bytes, *, sets: list[str] = [], renames: list[str] = [], drops: list[str] = []) -> Any:  # noqa: B006
    """The fields of the patched record."""
    return json.loads(patch_of(sets, renames, drops).apply(value) or b"")


@given(st.binary() | st.none())
def test_without_a_patch_bytes_stay_as_they_are(value: bytes | None) -> None:
    """Whatever they are."""
    assert Patch().apply(value) == value


@pytest.mark.parametrize(
    ("field", "text", "expected"),
    [
        ("config_id", "42", "42"),
        ("value", "0.25", 0.25),
        ("value", "true", True),
        ("value", "good", "good"),
        ("comment", "a=b", "a=b"),
        ("schema_version", "1", 1),
        ("timestamp", "1790000000", "2026-09-21T14:13:20+00:00"),
        ("metadata", '{"model": "m"}', {"model": "m"}),
    ],
)
def test_text_is_typed_as_the_field_takes_it(field: str, text: str, expected: object) -> None:
    """An id that looks like a number stays text; a value becomes what it looks like."""
    assert patched(score(), sets=[f"{field}={text}"])[field] == expected


def test_value_is_typed_under_the_data_type_whatever_the_order() -> None:
    """1 is a category where the same patch says CATEGORICAL."""
    fields = patched(score(), sets=["value=1", "data_type=CATEGORICAL"])
    assert (fields["value"], fields["data_type"]) == ("1", "CATEGORICAL")


def test_fields_move_into_metadata_and_out_of_it() -> None:
    """With their types; what the record does not have is no matter."""
    record = score(colour=7, metadata={"trace": "t-9"}, trace_id=None)
    fields = patched(
        record, renames=["colour=metadata.colour", "metadata.trace=trace_id", "no=comment"], drops=["x", "evaluator.y"]
    )
    assert (fields["metadata"], fields["trace_id"]) == ({"colour": 7}, "t-9")
    assert "colour" not in fields
    assert "comment" not in fields


def test_renames_come_before_drops_and_drops_before_sets() -> None:
    """So that a field can be taken away and given anew."""
    fields = patched(score(a="x", name="old"), sets=["name=new"], renames=["a=comment"], drops=["name"])
    assert (fields["comment"], fields["name"]) == ("x", "new")


def test_neighbours_of_a_patched_field_are_not_changed() -> None:
    """Numbers, text and order of all other fields, for every valid payload."""
    patch = patch_of(["release=r"], [], [])
    for payload in valid_payloads():
        fields = json.loads(patch.apply(payload.value) or b"")
        assert list(fields.items()) == list((json.loads(payload.value) | {"release": "r"}).items()), payload.name


@pytest.mark.parametrize(
    ("value", "sets", "renames", "message"),
    [
        (b"{", ["name=n"], [], "no JSON"),
        (b"\xff", ["name=n"], [], "no JSON"),
        (b"[" * 100_000, ["name=n"], [], "no JSON"),
        (b"[1]", ["name=n"], [], "no JSON object"),
        (b'{"a":1,"a":2}', ["name=n"], [], "twice"),
        (score(a="x"), [], ["a=name"], "both are there"),
        (score(metadata=[1]), ["metadata.k=v"], [], "metadata is no object"),
        (score(), ["value=nan"], [], "NUMERIC takes a finite"),
        (score(), ["metadata={"], [], "expected JSON"),
    ],
)
def test_record_that_cannot_be_patched_says_why(
    value: bytes, sets: list[str], renames: list[str], message: str
) -> None:
    """Nothing is guessed, and of a repeated key none is chosen."""
    with pytest.raises(MalformedRecord, match=message):
        patch_of(sets, renames, []).apply(value)
    with pytest.raises(MalformedRecord, match="no JSON"):
        patch_of(["name=n"], [], []).apply(None)


@pytest.mark.parametrize(
    ("sets", "renames", "message"),
    [
        (["traceId=t"], [], "'traceId' is no field of a score; there are author, comment"),
        (["evaluator.temperature=1"], [], "no field"),
        ([], ["a=b"], "'b' is no field"),
        (["name"], [], "expected FIELD=VALUE"),
        ([], ["name"], "expected FIELD=FIELD"),
    ],
)
def test_patch_of_a_field_that_no_score_has_is_wrong_usage(sets: list[str], renames: list[str], message: str) -> None:
    """It could only make the record worse."""
    with pytest.raises(QueryError, match=message):
        patch_of(sets, renames, [])


def test_patch_reads_as_it_was_given() -> None:
    """It is written down beside what it mended."""
    patch = patch_of(["config_id=c"], ["traceId=trace_id"], ["metadata.x"])
    assert str(patch) == "--rename traceId=trace_id --drop metadata.x --set config_id=c"
    assert (patch.gives_an_id, patch_of(["score_id=s"], [], []).gives_an_id) == (False, True)
