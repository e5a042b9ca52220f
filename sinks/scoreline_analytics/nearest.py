"""What somebody may have meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

LISTED_MAX = 40


def nearest_first(asked: str, known: Iterable[str]) -> list[str]:
    """All of `known` in their order, but those that look like `asked` first, the likest of them first."""
    known = list(dict.fromkeys(known))
    folded = asked.casefold()
    likest = difflib.get_close_matches(asked, known, n=5, cutoff=0.6)
    likest += [item for item in known if item not in likest and folded and folded in item.casefold()]
    return [*likest, *(item for item in known if item not in likest)]


def listed(asked: str, known: Iterable[str]) -> str:
    """`known` for a message, the likest first; of very many the first ones and how many more."""
    items = nearest_first(asked, known)
    rest = f" and {len(items) - LISTED_MAX} more" if len(items) > LISTED_MAX else ""
    return ", ".join(item if item.isprintable() and item else repr(item) for item in items[:LISTED_MAX]) + rest
