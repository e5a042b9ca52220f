"""A running read side of a test, with keys of two projects, and what a test asks of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from scoreline.kafka import ensure_topics
from scoreline.keys import NewKey, Scope
from scoreline.settings import Settings
from scoreline_local.ports import pick_free
from tests.running_gateway import make_key
from tests.support import Running, eventually


@dataclass(frozen=True)
class Ui:
    """A `scoreline ui` process that serves, and a key for each of the projects `team` and `other` that may read."""

    settings: Settings
    process: Running
    key: NewKey
    other: NewKey

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.settings.ui_port}"

    def get(self, path: str, key: NewKey | None = None, /, **parameters: Any) -> httpx.Response:
        """Ask as project `team`, or with another key."""
        headers = {"X-API-Key": (key or self.key).secret_key}
        return httpx.get(self.url + path, params=parameters, headers=headers, timeout=60)

    def rows(self, path: str, key: NewKey | None = None, /, **parameters: Any) -> list[dict[str, Any]]:
        """The rows of an answer."""
        answer = self.get(path, key, **parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()["rows"]


@contextmanager
def running_ui(settings: Settings, folder: Path, **changed: Any) -> Iterator[Ui]:
    """A read side with topics and keys, on a free port, with settings of its own; killed at the end at the latest."""
    ensure_topics(settings)
    (port,) = pick_free(1)
    settings = settings.model_copy(update={"ui_port": port, **changed})
    key, other = (make_key(settings, Scope.READ, project=project) for project in ("team", "other"))
    with Running(settings, folder, "ui") as process:
        ui = Ui(settings, process, key, other)
        eventually(lambda: _knows_its_keys(ui) or process.process.poll() is not None, f"{process.log_file} serves")
        assert process.process.poll() is None, process.log
        yield ui


def _knows_its_keys(ui: Ui) -> bool:
    """Then it answers, though it is not ready while there is no database to ask."""
    try:
        return "keys" not in httpx.get(f"{ui.url}/readyz").json().get("lacks", {})
    except httpx.TransportError:
        return False
