"""JSON Schemas (draft-07, which AsyncAPI and most validators read) of every topic's records."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import BaseModel

from scoreline.configs import ScoreConfig
from scoreline.dead_letters import TRUNCATED_HEADER
from scoreline.enriched import EnrichedScore
from scoreline.events import RFC_3339, DataType, Evaluator, ScoreEvent, Status
from scoreline.lookups import Lookup
from scoreline.rejections import DETAIL_CHARS_MAX, PREFIX, Reason, Stage
from scoreline.values import _DECIMAL
from tests.contract.characters import portable
from tests.contract.docstrings import documented

Schema = dict[str, Any]

DRAFT = "http://json-schema.org/draft-07/schema#"
NO_NUL = r"^[^\x00]*$"


def schemas() -> dict[str, Schema]:
    """Name → schema."""
    return {
        "raw": raw(),
        "enriched": _of(EnrichedScore),
        "rejected-headers": rejected_headers(),
        "config": config(),
        "lookup": _of(Lookup),
    }


def raw() -> Schema:
    """A value of `scores.raw`. What only the bytes can show, as a repeated key, no schema can."""
    schema = _of(ScoreEvent)
    schema["description"] = "One score as a service emits it."
    properties = schema["properties"]
    _described(properties["evaluator"], Evaluator)
    properties["comment"]["pattern"] = properties["error"]["pattern"] = NO_NUL
    properties["value"] |= {"minLength": 1, "pattern": NO_NUL}
    failed = {"properties": {"status": {"const": Status.FAILED}}, "required": ["status"]}
    schema["anyOf"] = [_given(target) for target in ("trace_id", "session_id", "dataset_run_id")]
    schema["allOf"] = [
        {"if": _given("observation_id"), "then": _given("trace_id")},
        {"if": failed, "then": _given("error") | _absent("value"), "else": _given("value") | _absent("error")},
        *({"if": _typed(data_type), "then": {"properties": {"value": value}}} for data_type, value in _VALUES.items()),
    ]
    return schema


def body() -> Schema:
    """A score in a request to the gateway, which makes a value of `scores.raw` of it: id and project may be missing."""
    schema = raw()
    schema["description"] = "One score as the gateway takes it; its project is the API key's."
    schema["required"] = [name for name in schema["required"] if name != "score_id"]
    schema["properties"]["score_id"]["description"] += " Without it one is made."
    del schema["properties"]["project"]
    return schema


def config() -> Schema:
    """A value of `scores.configs`."""
    schema = _of(ScoreConfig)
    schema["allOf"] = [
        {"if": _typed(DataType.NUMERIC), "else": {"properties": {"min": _NULL, "max": _NULL}}},
        {"if": _typed(DataType.CATEGORICAL), "else": {"properties": {"categories": _NULL}}},
    ]
    return schema


def rejected_headers() -> Schema:
    """The headers that `scores.rejected` adds, each a text in UTF-8; the record's own stand before them."""
    digits = {"type": "string", "pattern": "^[0-9]+$"}
    texts: dict[str, tuple[Schema, str]] = {
        "reason": (_enum(Reason), "Why; one of a closed list."),
        "detail": ({"type": "string", "maxLength": DETAIL_CHARS_MAX}, "The field, what was found, what was expected."),
        "stage": (_enum(Stage), "Where on its way it was rejected."),
        "topic": ({"type": "string"}, "The raw topic."),
        "partition": (digits, "The raw record's partition, and this one's."),
        "offset": (digits, "The raw record's offset."),
        "timestamp": (digits, "The raw record's Kafka timestamp, Unix milliseconds."),
    }
    properties = {PREFIX + name: {**schema, "description": text} for name, (schema, text) in texts.items()}
    required = list(properties)
    properties[TRUNCATED_HEADER] = {
        "type": "string",
        "pattern": "^[0-9]+,[0-9]+,[0-9]+$",
        "description": "Only where the record was too large to be carried whole: bytes of its key, value and headers.",
    }
    described = "What is added to a rejected record's own headers, which come first, as they were."
    return {"type": "object", "description": described, "properties": properties, "required": required}


_NULL: Schema = {"type": "null"}
_VALUES: dict[DataType, Schema] = {
    DataType.NUMERIC: {"type": ["number", "string", "null"], "pattern": f"^(?:{_DECIMAL.pattern})$"},
    DataType.BOOLEAN: {"enum": [True, False, 1, 0, "true", "false", None]},
    DataType.CATEGORICAL: {"type": ["string", "null"]},
}


def _given(field: str) -> Schema:
    return {"properties": {field: {"not": _NULL}}, "required": [field]}


def _absent(field: str) -> Schema:
    return {"not": _given(field)}


def _typed(data_type: DataType) -> Schema:
    return {"properties": {"data_type": {"const": data_type}}, "required": ["data_type"]}


def _enum(members: type[StrEnum]) -> Schema:
    return {"type": "string", "enum": [member.value for member in members]}


def _of(model: type[BaseModel]) -> Schema:
    """pydantic's schema of a model: references written out, null beside the type, its docstrings as descriptions."""
    made = model.model_json_schema()
    definitions = made.pop("$defs", {})
    return _described(_plain(made, definitions), model)


def _described(schema: Schema, model: type[BaseModel]) -> Schema:
    for field, text in documented(model).items():
        schema["properties"][field]["description"] = text
    return schema


def _plain(node: Any, definitions: dict[str, Any]) -> Any:
    if isinstance(node, list):
        return [_plain(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        referred = definitions[node["$ref"].rpartition("/")[2]]
        node = {**referred, **{key: value for key, value in node.items() if key != "$ref"}}
    plain = {
        key: {name: _plain(item, definitions) for name, item in value.items()}
        if key in ("properties", "patternProperties")
        else _plain(value, definitions)
        for key, value in node.items()
        if key != "title" or not isinstance(value, str)
    }
    return _told(_flat(plain))


def _flat(node: Schema) -> Schema:
    """`anyOf` of types that say nothing else, or of one and null, as one node with several types."""
    options = node.get("anyOf")
    if options is None:
        return node
    types = [option.get("type") for option in options]
    rich = [option for option in options if set(option) - {"type", "description"}]
    if not all(isinstance(kind, str) for kind in types) or len(rich) > 1:
        return node
    flat = {**(rich[0] if rich else {}), **{key: value for key, value in node.items() if key != "anyOf"}}
    flat["type"] = types
    if "enum" in flat and "null" in types:
        flat["enum"] = [*flat["enum"], None]
    return flat


def _told(node: Schema) -> Schema:
    """With what the models say in words of their own: portable patterns, dates as such, keys that fit."""
    if "pattern" in node:
        if node["pattern"] == RFC_3339:
            node["format"] = "date-time"
        node["pattern"] = portable(node["pattern"])
    if "patternProperties" in node:
        node["patternProperties"] = {portable(key): value for key, value in node["patternProperties"].items()}
        node["additionalProperties"] = False
    return node
