"""A gateway for every test that asks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from scoreline.settings import Settings
from tests.running_gateway import Gateway, running_gateway


@pytest.fixture
def gateway(settings: Settings, tmp_path: Path) -> Iterator[Gateway]:
    """A gateway with default limits."""
    with running_gateway(settings, tmp_path) as gateway:
        yield gateway
