"""The bodies that score SDKs send, as fields of the raw record. Pure; what is wrong with a value the contract says.

Every mapping keeps what it has no field for: in `metadata`, under the name it was sent with. Fields that are null count
as absent. The project is never taken from a body.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, cast

from pydantic.alias_generators import to_camel

from scoreline.events import DataType, Source
from scoreline.rejections import Reason, Rejection

Fields = dict[str, Any]

_LANGFUSE_FIELDS = (
    "name",
    "value",
    "data_type",
    "trace_id",
    "observation_id",
    "session_id",
    "dataset_run_id",
    "comment",
    "metadata",
    "config_id",
    "environment",
    "source",
    "timestamp",
)
_LANGFUSE_NAMES = {"id": "score_id"} | {sent: name for name in _LANGFUSE_FIELDS for sent in (name, to_camel(name))}

_PANDAPROBE_FIELDS = frozenset({"trace_id", "session_id", "name", "value", "data_type", "metadata"})
_PANDAPROBE_SOURCES = {"PROGRAMMATIC": Source.API, "AUTOMATED": Source.EVAL}
_TRUTHS = {"true": True, "1": True, "false": False, "0": False}


def score_of_langfuse(body: Mapping[str, Any]) -> Fields:
    """A score of the Langfuse family, which `interactiveai` belongs to, its names in camel or in snake case.

    A TEXT is CATEGORICAL with the text as its label. A CORRECTION stays one, which the contract rejects: it is what the
    output should have been, not a judgement of it.
    """
    fields: Fields = {}
    rest: Fields = {}
    for sent, value in body.items():
        if value is not None:
            name = _LANGFUSE_NAMES.get(sent)
            if name is None:
                rest[sent] = value
            else:
                fields[name] = value
    if fields.get("data_type") == "TEXT":
        fields["data_type"] = DataType.CATEGORICAL
    return _with_metadata(fields, rest)


def score_of_event(event: Mapping[str, Any]) -> Fields | Rejection:
    """The score in a `score-create` event of a Langfuse ingestion batch.

    A body without an id has the event's, and without a time the event's: both stay the same when the batch is sent
    again.
    """
    body = event.get("body")
    if not isinstance(body, dict):
        return Rejection(Reason.MALFORMED_JSON, "body: expected one JSON object")
    fields = score_of_langfuse(cast("dict[str, Any]", body))
    for name, fallback in (("score_id", event.get("id")), ("timestamp", event.get("timestamp"))):
        if name not in fields and fallback is not None:
            fields[name] = fallback
    return fields


def score_of_pandaprobe(body: Mapping[str, Any], project_name: str | None) -> Fields:
    """A score of `pandaprobe`, which gives it no id and no time.

    `project_name` (X-Project-Name) tells where it comes from, and becomes its `service`; it chooses no project here.
    """
    given = {name: value for name, value in body.items() if value is not None}
    fields = {name: value for name, value in given.items() if name in _PANDAPROBE_FIELDS}
    rest = {name: value for name, value in given.items() if name not in (*_PANDAPROBE_FIELDS, "reason", "source")}
    renamed = {
        "service": project_name or None,
        "comment": given.get("reason"),
        "source": _renamed(_PANDAPROBE_SOURCES, given.get("source")),
    }
    fields |= {name: value for name, value in renamed.items() if value is not None}
    value = fields.get("value")
    if fields.get("data_type") == DataType.BOOLEAN and isinstance(value, str):
        fields["value"] = _TRUTHS.get(value.lower(), value)
    return _with_metadata(fields, rest)


def id_of_request(request_id: str, body: bytes) -> str:
    """The id of a score that has none: the same when an SDK sends the same request again under the same X-Request-ID.

    The body is part of it, because a caller or a proxy may give one X-Request-ID to all that belongs together.
    """
    return hashlib.sha256(request_id.encode("utf-8", "surrogateescape") + b"\0" + body).hexdigest()[:32]


def _renamed(names: Mapping[str, Any], value: Any) -> Any:
    return names.get(value, value) if isinstance(value, str) else value


def _with_metadata(fields: Fields, rest: Mapping[str, Any]) -> Fields:
    """`rest` goes into the metadata, where that does not say otherwise; metadata that is no object is its `value`."""
    metadata = fields.get("metadata")
    if metadata is not None and not isinstance(metadata, dict):
        metadata = {"value": metadata}
    if rest or metadata is not None:
        fields["metadata"] = {**rest, **cast("Fields", metadata or {})}
    return fields
