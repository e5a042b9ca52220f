"""Patterns that every regex engine reads: `\\p{Cc}` and `\\p{Cf}`, which not all do, written out as ranges."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

_CATEGORY = re.compile(r"\\p\{(\w+)\}")
_SURROGATES = range(0xD800, 0xE000)


def portable(pattern: str) -> str:
    """The same pattern without `\\p{…}`, for characters up to U+FFFF: what is beyond, engines see in different ways.

    Only escapes that JavaScript, Java, Go, Python, PCRE and .NET share are used: `\\x` and two digits.
    """
    return _CATEGORY.sub(lambda match: _written_out(match[1]), pattern)


@cache
def _written_out(category: str) -> str:
    members = list(_members(category, range(0x10000)))
    ends = [0, *(i for i, (a, b) in enumerate(pairwise(members), 1) if b != a + 1), len(members)]
    runs = [(members[start], members[end - 1]) for start, end in pairwise(ends)]
    return "".join(_character(low) if low == high else f"{_character(low)}-{_character(high)}" for low, high in runs)


def _members(category: str, among: range) -> Iterator[int]:
    """Code points of a Unicode category, as the engine counts them that judges scores."""
    text = "".join(chr(code) for code in among if code not in _SURROGATES)
    if _free_of(category, text):
        return
    if len(among) == 1:
        yield among[0]
        return
    middle = len(among) // 2
    yield from _members(category, among[:middle])
    yield from _members(category, among[middle:])


def _free_of(category: str, text: str) -> bool:
    try:
        _adapter(category).validate_python(text)
    except ValidationError:
        return False
    return True


@cache
def _adapter(category: str) -> TypeAdapter[str]:
    return TypeAdapter(Annotated[str, Field(pattern=rf"^[^\p{{{category}}}]*$")])


def _character(code: int) -> str:
    return f"\\x{code:02x}" if code <= 0xFF else chr(code)
