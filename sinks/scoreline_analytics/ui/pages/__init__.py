"""One module a page: each builds its panels and returns what fills them for a view."""

from __future__ import annotations

from collections.abc import Mapping

from scoreline_analytics.ui.pages import compare, health, live, overview, rejections, score
from scoreline_analytics.ui.shell import Build

BUILDERS: Mapping[str, Build] = {
    "overview": overview.build,
    "score": score.build,
    "compare": compare.build,
    "live": live.build,
    "rejections": rejections.build,
    "health": health.build,
}
