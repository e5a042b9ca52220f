"""The server that the document's curl asks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from scoreline.keys import Scope
from scoreline.settings import Settings
from tests.running_gateway import make_key
from tests.running_ui import running_ui
from tests.support import eventually


@contextmanager
def asked(settings: Settings, folder: Path) -> Iterator[Mapping[str, str]]:
    """A `scoreline ui` with a login, its `url`, and a `key` that reads project support."""
    with running_ui(settings, folder) as ui:
        key = make_key(ui.settings, Scope.READ, project="support")
        eventually(lambda: ui.get("/v1/names", key).status_code == 200, "the key is known")
        yield {"url": ui.url, "key": key.secret_key}
