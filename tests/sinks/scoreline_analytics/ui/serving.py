"""The page as a process of its own, over the ClickHouse of the settings: NiceGUI has one set of pages a process.

python -m tests.sinks.scoreline_analytics.ui.serving PORT
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import uvicorn
from fastapi import FastAPI

from scoreline.keys import decode_key
from scoreline.settings import Settings, load_settings
from scoreline_analytics import Analytics
from scoreline_analytics.ui import mount

LAG = {"worker": 12, "sink": None}
"""What a Kafka that is not there would say."""


def app_of(settings: Settings) -> FastAPI:
    """An app with what the page wants of one. Keys are those in PAGE_KEYS, an array of records, but for those that the
    file `revoked` names."""
    app = FastAPI()
    app.state.settings = settings
    app.state.analytics = lambda projects: Analytics(settings, projects)
    entries = [decode_key(entry.encode()) for entry in json.loads(os.environ.get("PAGE_KEYS", "[]"))]
    app.state.keys = lambda: {entry.key: entry for entry in entries if entry.public_key not in _revoked()}
    app.state.lag = SimpleNamespace(now=lambda: LAG)
    mount(app)
    return app


def _revoked() -> list[str]:
    file = Path("revoked")
    return file.read_text().split() if file.exists() else []


if __name__ == "__main__":
    uvicorn.run(app_of(load_settings()), port=int(sys.argv[1]), log_level="warning")
