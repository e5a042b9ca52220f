"""The tables of docs/contract.md, from the models' docstrings and the topics' declarations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum

from scoreline.access import Pattern, acls
from scoreline.observe.catalogue import Process, catalogue
from scoreline.rejections import Reason
from scoreline.settings import Settings
from scoreline.topics import DAY_MS, Topic, declare_topics
from tests.contract import capacity
from tests.contract.docstrings import documented
from tests.contract.murmur2 import murmur2, partition_of
from tests.contract.schemas import NO_NUL, Schema, schemas

_WORDS = {NO_NUL: "no NUL"}
"""Patterns that words say better."""


def blocks() -> dict[str, str]:
    """Name of a generated block of docs/contract.md → its text."""
    made = schemas()
    return {
        "topics": _topics(),
        "partitions": _partitions(),
        "raw": _fields(made["raw"]),
        "enriched": _fields(made["enriched"]),
        "rejected": _fields(made["rejected-headers"]),
        "reasons": _members(Reason),
        "config": _fields(made["config"]),
        "lookup": _fields(made["lookup"]),
        "capacity": _table(capacity.header(), capacity.rows()),
        "acls": _acls(),
        "metrics_all": _metrics(*SERVICES),
        "metrics_worker": _metrics(Process.WORKER),
        "metrics_sink": _metrics(Process.SINK),
        "metrics_web": _metrics(Process.GATEWAY, Process.UI),
        "metrics_client": _metrics(Process.CLIENT),
    }


def _acls() -> str:
    rows: list[tuple[str, ...]] = []
    for component, needed in acls(Settings.model_construct()).items():
        operations: dict[tuple[str, str], list[str]] = {}
        for acl in needed:
            name = acl.name + ("*" if acl.pattern is Pattern.PREFIXED else "")
            operations.setdefault((acl.resource, name), []).append(acl.operation)
        rows += [
            (f"`{component}`" if place == 0 else "", kind, f"`{name}`", ", ".join(allowed))
            for place, ((kind, name), allowed) in enumerate(operations.items())
        ]
    return _table(("component", "resource", "name", "operations"), rows)


def _topics() -> str:
    topics = declare_topics(Settings.model_construct()).all()
    rows = [
        (
            f"`{topic.name}`",
            topic.description,
            topic.key if " " in topic.key else f"`{topic.key}`",
            _kept(topic),
            ", ".join(topic.writers),
            ", ".join(topic.readers),
        )
        for topic in topics
    ]
    return _table(("topic", "holds", "key", "kept", "written by", "read by"), rows)


KEYS = ("default/s-1", "checkout/nightly/42/accuracy", "checkout/größe", "a/b")


def _partitions() -> str:
    rows = [(f"`{key}`", str(murmur2(key.encode())), str(partition_of(key.encode(), 4))) for key in KEYS]
    return _table(("key", "murmur2, unsigned", "partition of 4"), rows)


def _kept(topic: Topic) -> str:
    if topic.config["cleanup.policy"] == "compact":
        return "the newest of each key"
    return f"{int(topic.config['retention.ms']) // DAY_MS} days"


def _fields(schema: Schema) -> str:
    rows = [
        (
            f"`{name}`",
            _type(field),
            "required" if needed else _code(field.get("default")),
            field.get("description", ""),
        )
        for name, field, needed in _flattened(schema)
    ]
    if len(schema["required"]) == len(schema["properties"]):
        return _table(("field", "type", "meaning"), [(name, kind, meaning) for name, kind, _, meaning in rows])
    return _table(("field", "type", "without it", "meaning"), rows)


def _flattened(schema: Schema, outer: str = "") -> Iterator[tuple[str, Schema, bool]]:
    for name, field in schema.get("properties", {}).items():
        yield outer + name, field, name in schema["required"]
        yield from _flattened(field, f"{outer}{name}.")


def _type(field: Schema) -> str:
    if "const" in field:
        return _code(field["const"])
    if "enum" in field:
        listed = ", ".join(_code(option) for option in field["enum"] if option is not None)
        return (
            listed + (" or null" if None in field["enum"] else "") if len(field["enum"]) < 8 else "one of the reasons"
        )
    limits = ["RFC 3339 with zone"] if "format" in field else [*_lengths(field), *_pattern(field)]
    types = field["type"] if isinstance(field["type"], list) else [field["type"]]
    text = " or ".join(types)
    return f"{text}: {', '.join(limits)}" if limits else text


def _lengths(field: Schema) -> Iterable[str]:
    for low, high, unit in (("minLength", "maxLength", "characters"), ("minProperties", "maxProperties", "entries")):
        if high in field:
            yield f"{field.get(low, 0)}–{field[high]} {unit}"
        elif field.get(low) == 1:
            yield "not empty"
    if "maximum" in field:
        yield f"{field['minimum']}–{field['maximum']}"


def _pattern(field: Schema) -> Iterable[str]:
    pattern = field.get("pattern")
    if pattern is None:
        return
    if pattern.startswith("^[^\\x00-\\x1f"):
        yield "no invisible characters" if "\u200b" in pattern else "no control characters"
    else:
        yield _WORDS.get(pattern, f"`{pattern}`")


def _members(members: type[StrEnum]) -> str:
    meanings = documented(members)
    return _table(("reason", "meaning"), [(f"`{member.value}`", meanings.get(member.name, "")) for member in members])


SERVICES = (Process.WORKER, Process.SINK, Process.GATEWAY, Process.UI)


def _metrics(*processes: Process) -> str:
    """Those that these processes have, and no others outside of them."""
    chosen = [m for m in catalogue() if set(m.of) <= set(processes) and (m.of == SERVICES or processes != SERVICES)]
    only = len(processes) == len(SERVICES) or len(processes) == 1
    rows = [
        (
            f"`{metric.name}`",
            f"{metric.kind}" + ("" if only or len(metric.of) > 1 else f", {metric.of[0]} only"),
            ", ".join(f"`{label}`" for label in metric.labels),
            metric.meaning,
        )
        for metric in chosen
    ]
    return _table(("metric", "kind", "labels", "meaning"), rows)


def _code(value: object) -> str:
    if value is None:
        return "null"
    return f"`{str(value).lower()}`" if isinstance(value, bool) else f"`{value}`"


def _table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [header, tuple("---" for _ in header), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)
