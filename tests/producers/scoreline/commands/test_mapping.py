"""Columns to fields: a pure function of the row and the plan."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoreline.commands.mapping import Cells, Rest, fields_of, plan_of
from scoreline.errors import InvalidScore
from scoreline.rejections import Reason


def mapped(row: dict[str, Any], *assignments: str, rest: Rest = "ignored", cells: Cells = "json") -> dict[str, Any]:
    """The row's fields without the id that is made for it."""
    fields = fields_of({"score_id": "s"} | row, plan_of(assignments, rest, cells))
    assert fields.pop("score_id") == "s"
    return fields


@pytest.mark.parametrize("item", [0.5, 1, True, "text", {"a": 1}, ["a"]])
def test_one_lone_column_keeps_its_json_type(item: Any) -> None:
    """`{column}` and nothing else hands the value through."""
    fields = mapped({"c": item}, "value={c}")
    assert fields == {"value": item}
    assert type(fields["value"]) is type(item)


def test_other_templates_make_text() -> None:
    """Every column in it is written as text, JSON for what is no text."""
    row = {"run": "r", "n": 2, "ok": True, "tags": ["a"]}
    assert mapped(row, "comment={run}/{n} {ok} {tags}", "name=fixed") == {
        "comment": 'r/2 true ["a"]',
        "name": "fixed",
    }


@given(st.text(min_size=1))
def test_doubled_braces_write_any_text(text: str) -> None:
    """Whatever a template should say can be said."""
    escaped = text.replace("{", "{{").replace("}", "}}")
    assert mapped({}, f"comment={escaped}") == {"comment": text}


def test_columns_named_like_fields_are_taken_and_others_left_out() -> None:
    """A file in the contract's words needs no mapping."""
    assert mapped({"name": "n", "value": 1, "other": 2, "comment": None}) == {"name": "n", "value": 1}


def test_mapped_field_does_not_take_the_column_of_its_name() -> None:
    """The template decides."""
    assert mapped({"name": "n", "metric": "m"}, "name={metric}") == {"name": "m"}


def test_empty_template_leaves_the_field_out() -> None:
    """A column that only shares its name with a field can be silenced."""
    assert mapped({"source": "kaggle", "name": "n"}, "source=") == {"name": "n"}


def test_empty_column_leaves_its_field_out() -> None:
    """Null in JSON, an empty cell in CSV."""
    assert mapped({"c": None, "name": "n"}, "comment={c}", "metadata.c={c}") == {"name": "n"}


@pytest.mark.parametrize("row", [{"a": "x"}, {"a": "x", "b": None}])
def test_half_an_id_is_refused(row: dict[str, Any]) -> None:
    """A template with a hole would give many rows one id."""
    with pytest.raises(InvalidScore, match=r"^missing_field: comment: .*'b'"):
        mapped(row, "comment={a}/{b}")


def test_missing_column_is_named_with_its_field() -> None:
    """Line, field and reason are what a person needs."""
    with pytest.raises(InvalidScore, match=r"metadata\.model: this row has no column 'm'"):
        mapped({}, "metadata.model={m}")


def test_rest_goes_into_metadata() -> None:
    """All columns that no field and no template took, the one that a template displaced among them."""
    row = {"metric": "m", "name": "displaced", "x": 1, "y": None, "metadata": {"own": "o"}}
    assert mapped(row, "name={metric}", rest="metadata") == {
        "name": "m",
        "metadata": {"own": "o", "name": "displaced", "x": 1},
    }


def test_keys_inside_metadata_and_evaluator_are_filled() -> None:
    """Beside what the columns of these names hold; the mapping wins."""
    row = {"m": "gpt", "metadata": {"a": 1, "b": 2}, "evaluator": {"name": "judge"}}
    assert mapped(row, "metadata.b={m}", "metadata.c.d={m}", "evaluator.model={m}") == {
        "metadata": {"a": 1, "b": "gpt", "c.d": "gpt"},
        "evaluator": {"name": "judge", "model": "gpt"},
    }


def test_metadata_that_is_no_object_cannot_be_filled() -> None:
    """It is refused, not replaced."""
    with pytest.raises(InvalidScore, match="metadata: expected an object"):
        mapped({"metadata": "text", "m": 1}, "metadata.a={m}")


@pytest.mark.parametrize(("cells", "value"), [("text", 0.5), ("json", "0.5")])
def test_text_value_is_typed_where_all_is_text(cells: Cells, value: Any) -> None:
    """CSV knows only text; a JSON string is one because its writer said so."""
    assert mapped({"value": "0.5"}, cells=cells) == {"value": value}


def test_value_made_by_a_template_is_typed() -> None:
    """A template makes text also of JSON."""
    assert mapped({"a": 3, "b": 25}, "value={a}.{b}") == {"value": 3.25}
    assert mapped({}, "value=true") == {"value": True}


def test_category_in_csv_stays_text() -> None:
    """The rule's way out."""
    assert mapped({"value": "5", "data_type": "CATEGORICAL"}, cells="text")["value"] == "5"


def test_csv_cells_of_structured_fields_hold_json() -> None:
    """metadata, evaluator and schema_version are no text."""
    row = {"metadata": '{"a": 1}', "evaluator": '{"name": "j"}', "schema_version": "1"}
    assert mapped(row, cells="text") == {"metadata": {"a": 1}, "evaluator": {"name": "j"}, "schema_version": 1}
    with pytest.raises(InvalidScore, match="metadata: expected JSON"):
        mapped({"metadata": "a=1"}, cells="text")


def test_unix_seconds_do_for_the_timestamp() -> None:
    """Mapped or taken by name."""
    expected = {"timestamp": "2026-02-11T15:13:17+00:00"}
    assert mapped({"at": 1770822797}, "timestamp={at}") == expected
    assert mapped({"timestamp": "1770822797"}, cells="text") == expected


def test_made_id_is_the_hash_of_the_mapped_fields() -> None:
    """Same content in any order, same id; other content, another id; columns left out do not matter."""
    plan = plan_of(("metadata.m={m}",), "ignored", "json")
    first = fields_of({"name": "n", "value": 1, "m": "x", "noise": 1}, plan)["score_id"]
    assert fields_of({"m": "x", "noise": 2, "value": 1, "name": "n"}, plan)["score_id"] == first
    assert fields_of({"name": "n", "value": 1, "m": "y"}, plan)["score_id"] != first
    assert len(first) == 32
    swapped = [
        plan_of(mapping, "ignored", "json") for mapping in (("name={a}", "value={b}"), ("value={b}", "name={a}"))
    ]
    assert len({fields_of({"a": "n", "b": 1}, plan)["score_id"] for plan in swapped}) == 1


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("name", "is not FIELD=TEMPLATE"),
        ("nmae={x}", "'nmae' is no field of a score; there are author,"),
        ("metadata.={x}", "is no field"),
        ("evaluator.colour={x}", "is no field"),
        ("value.x={x}", "is no field"),
        ("name={x", "a lone '{'"),
        ("name={}", "a lone '{'"),
    ],
)
def test_wrong_mapping_is_refused_before_any_row(assignment: str, message: str) -> None:
    """The message names what is wrong."""
    with pytest.raises(ValueError, match=message):
        plan_of((assignment,), "ignored", "json")


@pytest.mark.parametrize("assignment", ["name={y}", "metadata.a={y}"])
def test_field_cannot_be_mapped_twice(assignment: str) -> None:
    """Which one would win?"""
    field = assignment.partition("=")[0]
    with pytest.raises(ValueError, match=f"{field} is mapped twice"):
        plan_of((f"{field}={{x}}", assignment), "ignored", "json")


def test_rejection_says_where_it_belongs() -> None:
    """A missing column is a missing field of the contract."""
    with pytest.raises(InvalidScore) as caught:
        mapped({}, "value={x}")
    assert caught.value.rejection.reason is Reason.MISSING_FIELD
