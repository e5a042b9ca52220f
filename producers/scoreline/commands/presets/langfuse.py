"""Langfuse scores: the export of the scores table, the blob storage export, and pages of the scores API (v1 to v3).

The table's CSV writes every value that is no text as JSON (times in quotes of their own) and an absent one as nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

from scoreline.commands.presets.parts import Fields, Record, member, members, moment, present

_EXTRAS = ("configId", "queueId", "executionTraceId")
"""What has no field of its own, kept in metadata as `langfuse.<name>`.

Not what the export says of the trace (name, user, tags): it changes after the score, and the score would differ in the
next export.
"""
_TARGETS = {
    "trace": "trace_id",
    "observation": "observation_id",
    "session": "session_id",
    "experiment": "dataset_run_id",
}
"""What a `subject` of API v3 is → the field that its id is."""


def records(document: Record) -> Iterable[Record]:
    """The scores of an API page; or the document, which is one."""
    return members(document, "data") if "data" in document and "name" not in document else (document,)


def scores(record: Record) -> Iterator[Fields]:
    """One score, none of a correction. The id is Langfuse's; its config is named in metadata: configs are our own."""
    given = {_camel(key): item for key, item in record.items() if item is not None and item != ""}
    data_type = given.get("dataType")
    if data_type == "CORRECTION":
        return
    metadata = _parsed(given.get("metadata"))
    yield present(
        {
            "score_id": given.get("id"),
            "name": given.get("name"),
            "value": _value(given, data_type),
            # free text is counted by its words, as a category is
            "data_type": "CATEGORICAL" if data_type == "TEXT" else data_type,
            "trace_id": given.get("traceId"),
            "observation_id": given.get("observationId"),
            "session_id": given.get("sessionId"),
            "dataset_run_id": given.get("datasetRunId"),
            **_subject(member(given, "subject")),
            "comment": given.get("comment"),
            "timestamp": moment(given.get("timestamp")),
            "source": given.get("source"),
            "environment": given.get("environment"),
            "author": given.get("authorUserName") or given.get("authorUserId"),
            "metadata": {
                **(metadata if isinstance(metadata, dict) else {} if metadata is None else {"metadata": metadata}),
                **{f"langfuse.{name}": given[name] for name in _EXTRAS if name in given},
            },
        }
    )


def _value(given: Record, data_type: Any) -> Any:
    """A category is in `stringValue` (in API v3 in `value`), a boolean is 1 or 0, also as text."""
    if data_type in ("CATEGORICAL", "TEXT"):
        return given.get("stringValue", given.get("value"))
    value = given.get("value", given.get("stringValue"))
    if data_type == "BOOLEAN" and isinstance(value, str):
        return value.lower() in ("1", "1.0", "true") if value.lower() in _TRUTHS else value
    return value


_TRUTHS = ("1", "1.0", "true", "0", "0.0", "false")


def _subject(subject: Record) -> Fields:
    field = _TARGETS.get(str(subject.get("kind")))
    return {} if field is None else {"trace_id": subject.get("traceId"), field: subject.get("id")}


@lru_cache(maxsize=256)
def _camel(key: str) -> str:
    head, *rest = key.split("_")
    return head + "".join(part.capitalize() for part in rest)


def _parsed(metadata: Any) -> Any:
    """Metadata as JSON text, in CSV, as the object it is."""
    if not isinstance(metadata, str):
        return metadata
    try:
        return json.loads(metadata)
    except (ValueError, RecursionError):
        return metadata
