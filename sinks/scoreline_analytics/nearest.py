"""What somebody may have meant."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

LISTED_MAX = 40
_LIKELY = 0.6
_PART = re.compile(r"[._]")


def nearest_first(asked: str, known: Iterable[str]) -> list[str]:
    """All of `known` in their order, but those that look like `asked` first, the likest of them first.

    `modell` looks like `metadata.model` and `evaluator_model` too: what begins behind a dot or a _ is looked at alone.
    """
    known = list(dict.fromkeys(known))
    likeness = {item: _likeness(asked, item) for item in known}
    likest = sorted((item for item in known if likeness[item] >= _LIKELY), key=lambda item: -likeness[item])[:5]
    folded = asked.casefold()
    likest += [item for item in known if item not in likest and folded and folded in item.casefold()]
    return [*likest, *(item for item in known if item not in likest)]


def listed(asked: str, known: Iterable[str]) -> str:
    """`known` for a message, the likest first; of very many the first ones and how many more."""
    items = nearest_first(asked, known)
    rest = f" and {len(items) - LISTED_MAX} more" if len(items) > LISTED_MAX else ""
    return ", ".join(item if item.isprintable() and item else repr(item) for item in items[:LISTED_MAX]) + rest


def _likeness(asked: str, item: str) -> float:
    """From 0 to 1."""
    ends = [item, *(item[found.end() :] for found in _PART.finditer(item))]
    return max(difflib.SequenceMatcher(None, end, asked).ratio() for end in ends)
