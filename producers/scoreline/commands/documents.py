"""YAML and JSON files that people keep in git: read strictly, written stably.

What YAML readers disagree about is refused with its line instead of guessed: `yes` and `no`, dates, octal numbers,
numbers as labels, repeated keys. Aliases and tags are not taken at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, cast

import yaml

from scoreline.commands.readers import decode_json
from scoreline.errors import MalformedRecord
from scoreline.rejections import found

DOCUMENT_BYTES_MAX = 4 << 20
"""Longest file that is read."""
DEPTH_MAX = 10

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_JSON_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_CONSTANTS = {"null": None, "true": True, "false": False, "": None}
_INTEGER_DIGITS_MAX = 400

Scalar = str | int | float | bool | None


class Document(NamedTuple):
    """One object of a file."""

    where: str
    """For messages: file, document, entry and line."""
    fields: dict[str, Any]


def read_documents(text: str, name: str) -> list[Document]:
    """The objects of a file: each document of a YAML stream, of JSON, or of JSON lines, is one object or a list.

    `name` is the file's, for messages. Raises MalformedRecord.
    """
    if len(text) > DOCUMENT_BYTES_MAX:
        raise MalformedRecord(f"{name} is longer than {DOCUMENT_BYTES_MAX >> 20} MiB; split it")
    parsed = _parse_json(text, name)
    if parsed is None:
        parsed = list(_parse_yaml(text, name))
    found_documents: list[Document] = []
    for number, (line, content) in enumerate(parsed, 1):
        where = name if len(parsed) == 1 else f"{name}, document {number}"
        if isinstance(content, list):
            for entry, item in enumerate(cast("list[Any]", content), 1):
                found_documents.append(_document(f"{where}, entry {entry}", item))
        else:
            found_documents.append(_document(f"{where} (line {line})", content))
    if not found_documents:
        raise MalformedRecord(f"{name} is empty")
    return found_documents


def _document(where: str, content: Any) -> Document:
    if not isinstance(content, dict):
        raise MalformedRecord(f"{where}: expected an object with fields, found {found(content)}")
    return Document(where, cast("dict[str, Any]", content))


def _parse_json(text: str, name: str) -> list[tuple[int, Any]] | None:
    """Line and content of the one document of a JSON text, or of every line of JSON lines; None when it may be YAML."""
    if text.lstrip()[:1] not in ("[", "{") and not name.endswith((".json", ".jsonl", ".ndjson")):
        return None
    try:
        return [(1, decode_json(text))]
    except (ValueError, RecursionError) as error:
        if name.endswith(".json"):
            raise MalformedRecord(f"{name} is not JSON: {error}") from error
    documents: list[tuple[int, Any]] = []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            documents += [(number, decode_json(line))] if line.strip() else []
        except (ValueError, RecursionError) as error:
            if name.endswith((".jsonl", ".ndjson")):
                raise MalformedRecord(f"{name}, line {number} is not JSON: {error}") from error
            return None
    return documents


def _parse_yaml(text: str, name: str) -> Iterator[tuple[int, Any]]:
    """Line and content of every document of a YAML stream that is not empty."""
    events = cast("Iterator[Any]", yaml.parse(text, Loader=_LOADER))  # pyright: ignore[reportUnknownMemberType]
    reader = _Reader(events, name)
    try:
        yield from reader.documents()
    except yaml.YAMLError as error:
        mark = cast(Any, getattr(error, "problem_mark", None))
        place = "" if mark is None else f", line {mark.line + 1}"
        raise MalformedRecord(f"{name}{place}: not YAML: {_reason(error)}") from error


def _reason(error: yaml.YAMLError) -> str:
    return getattr(error, "problem", None) or str(error).partition("\n")[0]


class _Reader:
    """Values out of YAML's events; nothing is built of what an event does not say by itself."""

    def __init__(self, events: Iterator[Any], name: str) -> None:
        self._events, self._name, self._document = events, name, 0

    def documents(self) -> Iterator[tuple[int, Any]]:
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                self._document += 1
                root = self._next()
                line, content = int(root.start_mark.line) + 1, self._value(root, 0)
                if content is not None:
                    yield line, content

    def _next(self) -> Any:
        return next(self._events)

    def _value(self, event: Any, depth: int) -> Any:
        if event.anchor is not None:
            raise self._fault(event, "anchors and aliases are not taken; write it out")
        if event.tag is not None:
            raise self._fault(event, f"tags such as {event.tag} are not taken")
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event)
        if depth == DEPTH_MAX:
            raise self._fault(event, f"nested deeper than {DEPTH_MAX} levels")
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(depth)
        return self._mapping(depth)

    def _sequence(self, depth: int) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            items.append(self._value(event, depth + 1))
        return items

    def _mapping(self, depth: int) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                raise self._fault(event, "a key must be text")
            key = self._value(event, depth + 1)
            if not isinstance(key, str):
                raise self._fault(event, f"the key {event.value or 'here'} is not text: put it in quotes")
            if key in fields:
                raise self._fault(event, f"key {found(key)} stands twice")
            fields[key] = self._value(self._next(), depth + 1)
        return fields

    def _scalar(self, event: yaml.ScalarEvent) -> Scalar:
        if event.style:
            return event.value
        try:
            return plain_scalar(event.value)
        except ValueError as error:
            raise self._fault(event, str(error)) from error

    def _fault(self, event: Any, message: str) -> MalformedRecord:
        return MalformedRecord(f"{self._name}, document {self._document}, line {event.start_mark.line + 1}: {message}")


def plain_scalar(text: str) -> Scalar:
    """What a YAML scalar without quotes means, where every reader agrees. Raises ValueError where they do not."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _JSON_NUMBER.fullmatch(text):
        if len(text) > _INTEGER_DIGITS_MAX:
            raise ValueError("a number of so many digits is not taken")
        return int(text) if text.lstrip("-").isdigit() else float(text)
    tag = _other_meaning(text)
    if tag is not None:
        raise ValueError(
            f"{text} is {tag} to some YAML readers and text to others; put text in quotes, "
            "write numbers plainly, true and false in full"
        )
    return text


def _other_meaning(text: str) -> str | None:
    """What YAML 1.1 takes a plain scalar for, other than text."""
    resolvers = cast("dict[str | None, list[tuple[str, re.Pattern[str]]]]", yaml.SafeLoader.yaml_implicit_resolvers)
    for tag, pattern in (*resolvers.get(text[:1], ()), *resolvers.get(None, ())):
        if pattern.match(text):
            return tag.rpartition(":")[2]
    return None


def write_documents(items: Iterable[Mapping[str, Any]]) -> str:
    """A YAML stream, a document for each item, that `read_documents` takes back; the same items give the same text."""
    return yaml.dump_all(
        items,
        Dumper=_Dumper,
        explicit_start=True,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=False,
        width=100,
    )


class _Dumper(yaml.SafeDumper):
    """Puts in quotes what `plain_scalar` would not read as the same text."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return _scalar_node(dumper, "str", text, _style(text))


def _style(text: str) -> str | None:
    if not text.replace("\n", "").isprintable():
        return '"'
    if "\n" in text:
        return "|"
    try:
        return None if plain_scalar(text) == text else '"'
    except ValueError:
        return '"'


def _represent_number(dumper: yaml.SafeDumper, number: float) -> yaml.ScalarNode:
    """Whole numbers without a point, others as JSON writes them."""
    if number.is_integer() and abs(number) < 2**53:
        return _scalar_node(dumper, "int", str(int(number)), None)
    text = repr(number)
    # YAML 1.1 knows no exponent without a point
    return _scalar_node(dumper, "float", text if "." in text else text.replace("e", ".0e"), None)


def _scalar_node(dumper: yaml.SafeDumper, tag: str, text: str, style: str | None) -> yaml.ScalarNode:
    return dumper.represent_scalar(f"tag:yaml.org,2002:{tag}", text, style=style)  # pyright: ignore[reportUnknownMemberType]


_Dumper.add_representer(str, _represent_text)
_Dumper.add_representer(float, _represent_number)
