"""YAML and JSON in git: strict to read, stable to write."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from scoreline.commands.documents import DOCUMENT_BYTES_MAX, read_documents, write_documents
from scoreline.errors import MalformedRecord


def fields(text: str, name: str = "f.yaml") -> list[dict[str, Any]]:
    return [document.fields for document in read_documents(text, name)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("id: a\nmin: 1\nmax: 1e3\nok: true\n", [{"id": "a", "min": 1, "max": 1e3, "ok": True}]),
        ("none: null\nempty:\n", [{"none": None, "empty": None}]),
        ("---\nid: a\n---\nid: b\n...\n---\n", [{"id": "a"}, {"id": "b"}]),
        ("- id: a\n- id: b\n", [{"id": "a"}, {"id": "b"}]),
        ('labels: {"yes": 1, "1": 2, \'2024-01-01\': 3}', [{"labels": {"yes": 1, "1": 2, "2024-01-01": 3}}]),
        ('{"id": "a", "text": "\\ud83d\\ude00\\/"}', [{"id": "a", "text": "😀/"}]),
        ('[{"id": "a"}, {"id": "b"}]', [{"id": "a"}, {"id": "b"}]),
        ("{id: a}", [{"id": "a"}]),
        ('{"id": "a"}\n\n{"id": "b"}\n', [{"id": "a"}, {"id": "b"}]),
        ('{"id": "a"}\n---\n{"id": "b"}\n', [{"id": "a"}, {"id": "b"}]),
    ],
)
def test_documents_are_read(text: str, expected: list[dict[str, Any]]) -> None:
    """YAML documents, lists in them, JSON, and flow style."""
    assert fields(text) == expected


_AMBIGUOUS = ["yes", "No", "on", "OFF", "2024-01-01", "010", "0x10", "1_000", "12:30", ".inf", "+1", "~", "Null", "="]


@pytest.mark.parametrize("text", _AMBIGUOUS)
def test_what_yaml_readers_disagree_about_is_refused(text: str) -> None:
    """As a value and as a label; in quotes it is text to everybody."""
    for document in (f"a: {text}", f"categories: {{{text}: 1}}"):
        with pytest.raises(MalformedRecord, match=r"f.yaml, document 1, line 1: .*put text in quotes"):
            fields(document)
    assert fields(f"a: '{text}'") == [{"a": text}]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id: a\n---\nid: b\nid: c\n", "f.yaml, document 2, line 4: key 'id' stands twice"),
        ('{"id": "a", "id": "b"}', "key 'id' stands twice"),
        ("categories:\n  1: 2\n", "line 2: the key 1 is not text: put it in quotes"),
        ("categories: {true: 1}", "the key true is not text"),
        ("a: &x [1]\nb: *x\n", "anchors and aliases are not taken"),
        ("a: *x\n", "anchors and aliases are not taken"),
        ("a: !!python/object/apply:os.system [ls]\n", "tags such as .* are not taken"),
        ("a: !!binary aGk=\n", "tags such as .* are not taken"),
        ("? [a]\n: 1\n", "a key must be text"),
        ("a: [\n", "f.yaml, line 2: not YAML"),
        ("a: b: c\n", "f.yaml, line 1: not YAML"),
        ("a: \x00\n", "f.yaml: not YAML"),
        ("", "f.yaml is empty"),
        ("# nothing\n---\n", "f.yaml is empty"),
        ("text", "expected an object with fields, found 'text'"),
        ("- a: 1\n- 2\n", "f.yaml, entry 2: expected an object with fields, found 2"),
        ("a: " + "[" * 100_000, "nested deeper than 10 levels"),
        ("[" * 100_000, "nested deeper than 10 levels"),
        ("a: " + "9" * 5_000, "so many digits"),
        ("x" * (DOCUMENT_BYTES_MAX + 1), "longer than 4 MiB"),
    ],
)
def test_fault_is_named_with_file_document_and_line(text: str, message: str) -> None:
    """Nothing is guessed, nothing is built that was not written, and no input takes long."""
    with pytest.raises(MalformedRecord, match=message):
        fields(text)


def test_json_file_is_json() -> None:
    """Not YAML by another name."""
    with pytest.raises(MalformedRecord, match=r"f\.json is not JSON"):
        fields("{id: a}", "f.json")
    with pytest.raises(MalformedRecord, match=r"f\.jsonl, line 2 is not JSON"):
        fields('{"id": "a"}\n{id: b}\n', "f.jsonl")


_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
_WORDS = [*_AMBIGUOUS, "1", "1e3", "-0", "null", "#", "&a", "*a", "!a", "y", "<<", ".5", "\ufeff"]
_SPACED = ["", " a", "a ", "a: b", "- a", "a\n", "\na", " a\n b", "a\n\n", "\t", "\u2028", "\x85"]
_TRAPS = st.sampled_from([*_WORDS, *_SPACED])
_SCALARS = st.one_of(_TEXT, _TRAPS, st.none(), st.booleans(), st.floats(allow_nan=False, allow_infinity=False))
_LABELS = st.dictionaries(_TEXT | _TRAPS, _SCALARS, max_size=3)
_FIELDS = st.dictionaries(_TEXT | _TRAPS, _SCALARS | _LABELS, max_size=5)


@given(st.lists(_FIELDS, min_size=1, max_size=3))
def test_what_is_written_is_read_back(items: list[dict[str, Any]]) -> None:
    """By us, and by any other YAML 1.1 reader."""
    text = write_documents(items)
    assert fields(text) == items
    assert list(yaml.safe_load_all(text)) == items


def test_written_documents_are_plain() -> None:
    """No type tags, no needless quotes or points, long text as a block."""
    item = {"id": "acc", "min": 0.0, "max": 0.5, "tiny": 1e-7, "labels": {"yes": None}, "text": "one\ntwo\n"}
    assert write_documents([item]) == (
        '---\nid: acc\nmin: 0\nmax: 0.5\ntiny: 1.0e-07\nlabels:\n  "yes": null\ntext: |\n  one\n  two\n'
    )
