"""Lookups: what is known of one value of a score's field, joined to every score that carries it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from scoreline.errors import MalformedRecord
from scoreline.events import Name, Project, ScoreEvent
from scoreline.topics import record_key

LookupField = Literal["name", "service", "environment", "evaluator_name", "evaluator_model", "author"]
FIELDS: tuple[LookupField, ...] = get_args(LookupField)

Attribute = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")]


class Lookup(BaseModel):
    """One value of one field, and its attributes; a score with that value gets each as `<field>.<attribute>`."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    project: Project = "default"
    field: LookupField
    value: Name
    attributes: dict[Attribute, Name] = Field(min_length=1, max_length=20)

    @property
    def key(self) -> bytes:
        """Key of its record on `scores.lookups`: `<project>/<field>/<value>`."""
        return _key(self.project, self.field, self.value)


def encode_lookup(lookup: Lookup) -> bytes:
    """The value of its record on `scores.lookups`: JSON, UTF-8."""
    return lookup.model_dump_json().encode()


def decode_lookup(value: bytes) -> Lookup:
    """The lookup in a record's value. Raises MalformedRecord."""
    try:
        return Lookup.model_validate_json(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "lookup"
        raise MalformedRecord(f"{field}: {first['msg']}") from error


def join(event: ScoreEvent, lookups: Mapping[bytes, Lookup]) -> dict[str, str]:
    """What `lookups` (by record key) know of the event's fields: `<field>.<attribute>` → text."""
    if not lookups:
        return {}
    joined: dict[str, str] = {}
    evaluator = event.evaluator
    values = (
        event.name,
        event.service,
        event.environment,
        None if evaluator is None else evaluator.name,
        None if evaluator is None else evaluator.model,
        event.author,
    )
    for field, value in zip(FIELDS, values, strict=True):
        lookup = None if value is None else lookups.get(_key(event.project, field, value))
        if lookup is not None:
            joined.update((f"{field}.{name}", text) for name, text in lookup.attributes.items())
    return joined


def _key(project: str, field: LookupField, value: str) -> bytes:
    return record_key(project, f"{field}/{value}")
