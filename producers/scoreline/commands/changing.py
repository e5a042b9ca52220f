"""What `scoreline configs` and `scoreline lookups` share: entries out of files, and telling what a change did."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Protocol, TypeVar

from cyclopts import Parameter
from pydantic import BaseModel

from scoreline.access import Component
from scoreline.changes import Change, describe
from scoreline.commands.broker import reach_broker
from scoreline.commands.documents import DOCUMENT_BYTES_MAX, read_documents
from scoreline.commands.terminal import print_json, printable
from scoreline.configs import ScoreConfig
from scoreline.errors import MalformedRecord
from scoreline.kafka import require_topics
from scoreline.lookups import Lookup
from scoreline.settings import Settings, load_settings

T = TypeVar("T", ScoreConfig, Lookup)

Files = Annotated[list[str], Parameter(allow_leading_hyphen=True, negative="")]
"""Names of files; - is stdin."""
DRY_RUN = " (dry run: nothing was stored)"


def connect(component: Component) -> Settings:
    """The settings, when a broker answers and has the topics that the command works with."""
    settings = load_settings()
    reach_broker(settings)
    require_topics(settings, component)
    return settings


def read_entries(files: Iterable[str], project: str, decode: Callable[[bytes], T]) -> list[T]:
    """The entries of all `files`; `project` is for those that name none. Raises MalformedRecord, naming where."""
    entries: list[T] = []
    for name in files:
        for where, fields in read_documents(_read(name), "stdin" if name == "-" else name):
            try:
                entries.append(decode(json.dumps({"project": project, **fields}).encode()))
            except MalformedRecord as error:
                raise MalformedRecord(f"{where}: {error}") from error
    return entries


def _read(name: str) -> str:
    try:
        if name == "-":
            return sys.stdin.buffer.read(DOCUMENT_BYTES_MAX + 1).decode("utf-8-sig")
        with Path(name).open("rb") as file:
            return file.read(DOCUMENT_BYTES_MAX + 1).decode("utf-8-sig")
    except OSError as error:
        raise MalformedRecord(f"{name} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise MalformedRecord(f"{name} is not UTF-8: {error}") from error


def content(entry: BaseModel, exclude: frozenset[str] = frozenset()) -> dict[str, Any]:
    """What an entry says as JSON, without what it does not say."""
    return entry.model_dump(mode="json", exclude_defaults=True, exclude=set(exclude))


class Store(Protocol[T]):
    """What `ConfigStore` and `LookupStore` have in common."""

    def plan(self, entries: Iterable[T], /, prune: Collection[str] = ()) -> Sequence[Change[T]]:
        """What `put` would do now."""
        ...

    def put(self, entries: Iterable[T], /, prune: Collection[str] = ()) -> Sequence[Change[T]]:
        """Store what is new or changed, and retire what the projects `prune` hold besides."""
        ...


def put_entries(
    store: Store[T],
    entries: Sequence[T],
    name: Callable[[Any], Mapping[str, Any]],
    *,
    dry_run: bool,
    prune: bool,
    as_json: bool,
) -> None:
    """Do what the command `put` was asked to, or only plan it, and print what changed."""
    pruned = {entry.project for entry in entries} if prune else frozenset[str]()
    changes = store.plan(entries, pruned) if dry_run else store.put(entries, pruned)
    print_changes(changes, name, done=DRY_RUN if dry_run else "", as_json=as_json)


def print_changes(
    changes: Sequence[Change[Any]], name: Callable[[Any], Mapping[str, Any]], *, done: str, as_json: bool
) -> None:
    """What each change did, and how many of each kind; `name` gives the fields that name an entry, for JSON."""
    if as_json:
        print_json([{**name(c.entry), "action": c.action, "changed": _pairs(c)} for c in changes])
        return
    for change in changes:
        if change.action != "unchanged":
            version = getattr(change.entry, "version", None)
            number = "" if version is None else f"version {version}"
            line = "  ".join(filter(None, (change.entry.key.decode(), number, change.action, describe(change.changed))))
            sys.stdout.write(printable(line) + "\n")
    counts = Counter(change.action for change in changes)
    told = ", ".join(f"{count} {action}" for action, count in sorted(counts.items())) or "nothing to do"
    sys.stdout.write(f"{told}{done}\n")


def _pairs(change: Change[Any]) -> dict[str, dict[str, Any]]:
    return {field: {"before": before, "after": after} for field, (before, after) in change.changed.items()}
