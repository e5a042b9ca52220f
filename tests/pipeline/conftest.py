"""The pipeline as it is watched."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from scoreline_local.ports import pick_free
from tests.conftest import Stack
from tests.running_observed import PROCESSES, Observed
from tests.support import Running, environment


@pytest.fixture(scope="module")
def observed(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Observed]:
    folder, unique = tmp_path_factory.mktemp("observed"), f"t{uuid.uuid4().hex[:10]}"
    ports = dict(zip(PROCESSES, pick_free(len(PROCESSES)), strict=True))
    settings = stack.settings.model_copy(
        update={
            "topic_prefix": f"{unique}.",
            "clickhouse_database": unique,
            "state_dir": folder / "state",
            "gateway_port": ports["gateway"],
            "ui_port": ports["ui"],
            "insert_timeout_s": 3.0,
            "log_format": "json",
        }
    )
    for command in ("topics", "migrate"):
        subprocess.run([sys.executable, "-m", "scoreline.cli", command], env=environment(settings), check=True)
    with ExitStack() as running:
        processes = {
            name: running.enter_context(
                Running(
                    settings.model_copy(update={"observe_port": ports[name] if name in PROCESSES[:2] else 0}),
                    folder,
                    name,
                )
            )
            for name in PROCESSES
        }
        for process in processes.values():
            process.await_ready()
        yield Observed(settings, processes, ports, stack)
