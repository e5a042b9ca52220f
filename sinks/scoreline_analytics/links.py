"""Links from a score into the tracing tool."""

from __future__ import annotations

from collections.abc import Mapping
from string import Formatter
from typing import Any
from urllib.parse import quote

from scoreline.settings import Settings


def trace_link(settings: Settings, score: Mapping[str, Any]) -> str | None:
    """The address of a score's trace by `trace_url`; None without one, or where the score lacks an id that it wants."""
    template = settings.trace_url
    if template is None:
        return None
    wanted = {name for _, name, _, _ in Formatter().parse(template) if name}
    values = {name: quote(str(score.get(name) or ""), safe="") for name in wanted}
    return template.format_map(values) if all(values.values()) else None
