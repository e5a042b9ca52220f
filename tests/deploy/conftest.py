"""A data folder of its own for every test of the local stack; whatever a test leaves running is ended."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from scoreline_local import stack
from scoreline_local.datadir import DataDir, data_dir
from scoreline_local.settings import LocalSettings


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "network: downloads from a package registry; deselect by -m 'not network'")


@pytest.fixture
def data(tmp_path: Path, _only_the_settings_of_a_test: None) -> Iterator[DataDir]:
    """A data folder that does not exist yet."""
    folder = data_dir(tmp_path / "stack")
    try:
        yield folder
    finally:
        stack.down(folder.root, tell=lambda _: None)


@pytest.fixture
def local_settings(data: DataDir) -> LocalSettings:
    """The data folder, and free ports."""
    return LocalSettings(data_dir=data.root, kafka_port=0, clickhouse_port=0, gateway_port=0, ui_port=0)
