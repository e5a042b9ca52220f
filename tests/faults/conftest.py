"""What lets a simulator live thousands of lives in seconds."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator

import pytest


@pytest.fixture
def one_core() -> Iterator[None]:
    """Every thread of the test on one core: handing over a turn is twice as fast there."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    yield
    os.sched_setaffinity(0, cores)


@pytest.fixture
def quiet() -> Iterator[None]:
    """No log, unless one seed is replayed alone."""
    if "FAULTS_SEED" not in os.environ:
        logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)
