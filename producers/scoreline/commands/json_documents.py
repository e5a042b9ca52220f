"""A JSON document as a whole: bounded, because it stands in memory until its last record is read."""

from __future__ import annotations

import gc
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from scoreline.commands.readers import object_of
from scoreline.errors import MalformedRecord
from scoreline.rejections import Rejection

DOCUMENT_BYTES_MAX = 128 << 20
"""Longest document that is read, inflated; in memory it takes three times as much where it is text, fourteen times
where it is all numbers."""


def read_document(
    stream: BinaryIO, path: Path, decode: Callable[[str], Any], bytes_max: int = DOCUMENT_BYTES_MAX
) -> Any:
    """The document in a file. Raises MalformedRecord when it is too long or no JSON."""
    try:
        content = stream.read(bytes_max + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise MalformedRecord(f"{path} cannot be read to its end: {error}") from error
    if content.startswith(b"PK\x03\x04"):
        raise MalformedRecord(f"{path} is a ZIP archive; Inspect's .eval logs: inspect log convert --to json")
    if len(content) > bytes_max:
        raise MalformedRecord(
            f"{path} is longer than {bytes_max >> 20} MiB, and a JSON document is read whole; export it as JSONL "
            "(a record a line), or in parts"
        )
    try:
        with _without_collector():
            return decode(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        lines = "; if it has an object a line, give --format jsonl" if b"}\n{" in content else ""
        raise MalformedRecord(f"{path} is no JSON document: {error}{lines}") from error


@contextmanager
def _without_collector() -> Generator[None]:
    """Keep the collector from looking through millions of objects of which none is garbage, now and later: three times
    as fast. The document stays until the import ends."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def document_records(document: Any) -> Iterator[dict[str, Any] | Rejection]:
    """The elements of a list, or the one object that the document is; what is no object is rejected."""
    elements = cast("list[Any]", document) if isinstance(document, list) else [document]
    return (object_of(element) for element in elements)
