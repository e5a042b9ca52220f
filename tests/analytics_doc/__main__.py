"""Write docs/analytics.md and its pictures anew: its commands run on a ClickHouse that is started for them."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from scoreline.settings import load_settings
from scoreline_analytics import Analytics
from tests.analytics_doc.document import regenerate
from tests.analytics_doc.pictures import PICTURES
from tests.analytics_doc.scores import load
from tests.analytics_doc.server import asked
from tests.benchmarks.harness import local_stack, say

DOCUMENT = Path(__file__).parents[2] / "docs" / "analytics.md"


def main() -> None:
    """Entry point."""
    with tempfile.TemporaryDirectory() as name, local_stack(Path(name) / "stack", ("kafka", "clickhouse"), {}):
        scratch = Path(name) / "run"
        scratch.mkdir()
        settings = load_settings()
        say(f"{load(settings, scratch)} scores stored")
        with asked(settings, scratch) as server:
            DOCUMENT.write_text(regenerate(DOCUMENT.read_text(), scratch, server))
        with Analytics(settings) as analytics:
            for picture, draw in PICTURES.items():
                file = DOCUMENT.with_suffix("") / picture
                file.parent.mkdir(exist_ok=True)
                file.write_text(draw(analytics))
    say(f"written: {DOCUMENT} and {len(PICTURES)} pictures")


if __name__ == "__main__":
    sys.exit(main())
