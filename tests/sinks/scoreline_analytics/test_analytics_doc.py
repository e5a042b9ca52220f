"""docs/analytics.md shows what its commands print."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from scoreline.errors import StackError
from scoreline.settings import Settings
from scoreline_analytics import Analytics
from tests.analytics_doc.document import regenerate
from tests.analytics_doc.pictures import PICTURES
from tests.analytics_doc.scores import load
from tests.analytics_doc.server import asked
from tests.support import environment

DOCUMENT = Path(__file__).parents[3] / "docs" / "analytics.md"


@pytest.mark.filterwarnings("ignore:Cyclopts application invoked without tokens")  # as it is from a shell
def test_document_shows_what_its_commands_print(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Byte for byte, its pictures too; `make docs` writes them anew. Each picture is shown."""
    if shutil.which("curl") is None:
        pytest.skip("no curl is installed: apt-get install curl")
    try:
        load(settings, tmp_path)
    except StackError as error:
        pytest.skip(str(error))
    for name, value in environment(settings).items():
        monkeypatch.setenv(name, value)
    text = DOCUMENT.read_text()
    with asked(settings, tmp_path) as server:
        assert regenerate(text, tmp_path, server) == text
    folder = DOCUMENT.with_suffix("")
    assert {file.name for file in folder.iterdir()} == PICTURES.keys()
    with Analytics(settings) as analytics:
        for picture, draw in PICTURES.items():
            assert f"({folder.name}/{picture})" in text
            assert draw(analytics) == (folder / picture).read_text(), picture
