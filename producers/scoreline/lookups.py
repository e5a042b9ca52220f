"""Lookups: what is known of one value of a score's field, joined to every score that carries it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from scoreline.changes import (
    Change,
    Records,
    Writes,
    decode_entries,
    decode_model,
    differences,
    newest,
    refuse_repeated,
)
from scoreline.events import Name, Project
from scoreline.reading import Event
from scoreline.topics import record_key

LookupField = Literal["name", "service", "environment", "evaluator_name", "evaluator_model", "author"]
FIELDS: tuple[LookupField, ...] = get_args(LookupField)

Attribute = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")]


class Lookup(BaseModel):
    """One value of one field, and its attributes; a score with that value gets each as `<field>.<attribute>`."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    project: Project = "default"
    """Whose scores it is joined to."""
    field: LookupField
    """The field of a score that is looked up."""
    value: Name
    """The field's value that this is about."""
    attributes: dict[Attribute, Name] = Field(min_length=1, max_length=20)
    """What is known of it, as name and text."""

    @property
    def key(self) -> bytes:
        """Key of its record on `scores.lookups`: `<project>/<field>/<value>`."""
        return lookup_key(self.project, self.field, self.value)


def encode_lookup(lookup: Lookup) -> bytes:
    """The value of its record on `scores.lookups`: JSON, UTF-8."""
    return lookup.model_dump_json().encode()


def decode_lookup(value: bytes) -> Lookup:
    """The lookup in a record's value. Raises MalformedRecord."""
    return decode_model(Lookup, value, "lookup")


def join(event: Event, lookups: Mapping[bytes, Lookup]) -> dict[str, str]:
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
        lookup = None if value is None else lookups.get(lookup_key(event.project, field, value))
        if lookup is not None:
            joined.update((f"{field}.{name}", text) for name, text in lookup.attributes.items())
    return joined


def read_lookups(records: Records) -> tuple[dict[bytes, Lookup], list[str]]:
    """The lookups among `records` by key, and what is wrong with each record that holds none."""
    return decode_entries(newest(records), decode_lookup)


def plan_lookups(
    stored: Mapping[bytes, Lookup], wanted: Sequence[Lookup], prune: Collection[str] = ()
) -> list[Change[Lookup]]:
    """What to do so that `wanted` holds, in its order; then, in the projects `prune`, every other lookup is deleted.

    Raises MalformedRecord when one is given twice.
    """
    refuse_repeated(wanted)
    changes = [_plan(stored.get(lookup.key), lookup) for lookup in wanted]
    kept = {lookup.key for lookup in wanted}
    gone = [lookup for key, lookup in sorted(stored.items()) if lookup.project in prune and key not in kept]
    return [*changes, *(Change(lookup, "deleted") for lookup in gone)]


def _plan(stored: Lookup | None, wanted: Lookup) -> Change[Lookup]:
    if stored is None:
        return Change(wanted, "created")
    changed = differences(stored, wanted)
    return Change(wanted, "updated", changed) if changed else Change(stored, "unchanged")


def writes_of_lookups(changes: Iterable[Change[Lookup]]) -> Writes:
    """The records that make `changes` so."""
    return {
        change.entry.key: None if change.action == "deleted" else encode_lookup(change.entry)
        for change in changes
        if change.action != "unchanged"
    }


def lookup_key(project: str, field: LookupField, value: str) -> bytes:
    """Key of a lookup's record on `scores.lookups`."""
    return record_key(project, f"{field}/{value}")
