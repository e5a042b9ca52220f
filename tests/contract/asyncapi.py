"""The topics as one AsyncAPI 3 document, from the pipeline's side: it receives raw scores and sends enriched ones."""

from __future__ import annotations

import importlib.metadata
from typing import Any

from scoreline.settings import Settings
from scoreline.topics import Topic, Topics, declare_topics
from tests.contract.schemas import Schema, schemas

_BINDING = {"bindingVersion": "0.5.0"}
_TOPIC_CONFIG = {"cleanup.policy", "retention.ms", "max.message.bytes"}
"""What AsyncAPI's Kafka binding knows of a topic's settings."""
_KEY = {"type": "string", "description": "UTF-8; the partitioner is murmur2, as the Java client's."}


def document(examples: dict[str, list[Any]]) -> dict[str, Any]:
    """The document; `examples` are values of each topic."""
    topics = declare_topics(Settings.model_construct())
    made = schemas()
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "scoreline",
            "version": importlib.metadata.version("scoreline"),
            "description": "Evaluation scores on Kafka: raw in, enriched and rejected out; see contract.md.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {name: _channel(name, topic) for name, topic in _public(topics).items()},
        "operations": {
            "receiveRawScores": _operation("receive", "raw"),
            "sendEnrichedScores": _operation("send", "enriched"),
            "sendRejectedScores": _operation("send", "rejected"),
            "receiveConfigs": _operation("receive", "configs"),
            "receiveLookups": _operation("receive", "lookups"),
        },
        "components": {
            "messages": {
                "raw": _message("RawScore", "raw", topics.raw, examples["raw"]),
                "enriched": _message("EnrichedScore", "enriched", topics.enriched, examples["enriched"]),
                "rejected": {
                    "name": "RejectedScore",
                    "summary": topics.rejected.description,
                    "contentType": "application/octet-stream",
                    "headers": {"$ref": "#/components/schemas/rejected-headers"},
                    "payload": {"description": "The rejected record's value, byte for byte; it may be anything."},
                    "bindings": {"kafka": {"key": {"description": "The rejected record's key, if any."}, **_BINDING}},
                },
                "configs": _message("ScoreConfig", "config", topics.configs, examples["configs"]),
                "lookups": _message("Lookup", "lookup", topics.lookups, examples["lookups"]),
            },
            "schemas": made,
        },
    }


def _public(topics: Topics) -> dict[str, Topic]:
    names = ("raw", "enriched", "rejected", "configs", "lookups")
    return {name: getattr(topics, name) for name in names}


def _channel(name: str, topic: Topic) -> dict[str, Any]:
    config: dict[str, Any] = {
        key: int(v) if v.isdigit() else v for key, v in topic.config.items() if key in _TOPIC_CONFIG
    }
    config["cleanup.policy"] = [config["cleanup.policy"]]
    binding = {"topic": topic.name, "partitions": topic.partitions, "topicConfiguration": config, **_BINDING}
    return {
        "address": topic.name,
        "description": topic.description,
        "messages": {name: {"$ref": f"#/components/messages/{name}"}},
        "bindings": {"kafka": binding},
    }


def _operation(action: str, channel: str) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "messages": [{"$ref": f"#/channels/{channel}/messages/{channel}"}],
    }


def _message(name: str, schema: str, topic: Topic, examples: list[Any]) -> dict[str, Any]:
    key: Schema = {**_KEY, "description": f"`{topic.key}`, {_KEY['description']}"}
    return {
        "name": name,
        "summary": topic.description,
        "contentType": "application/json",
        "payload": {"$ref": f"#/components/schemas/{schema}"},
        "bindings": {"kafka": {"key": key, **_BINDING}},
        "examples": [{"payload": example} for example in examples],
    }
