"""The runbook: every command of docs/operations.md on a running pipeline."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scoreline import Client
from scoreline.settings import Settings
from tests.documents import ROOT
from tests.running_observed import Observed
from tests.support import environment, eventually, produce

DOCUMENT = (ROOT / "docs" / "operations.md").read_text()
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TOLD = {"scoreline_worker_lag_seconds", "scoreline_sink_lag_records", "scoreline_condition"}
"""What some command has to show."""


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_every_command_of_the_runbook_works(observed: Observed, tmp_path: Path) -> None:
    """As it stands there, in a shell that stops at the first error; none shows an empty answer of metrics."""
    with Client(observed.settings) as client:
        for number in range(20):
            client.create_score(name="accuracy", value=0.5, trace_id=f"t-{number}")
    produce(observed.settings, f"{observed.settings.topic_prefix}scores.raw", [(b"default/bad", b"{broken")])
    eventually(
        lambda: observed.value("sink", "scoreline_sink_records_total", outcome="stored") == 21, "all 21 are stored"
    )
    shutil.copy(observed.processes["worker"].log_file, tmp_path / "worker.log")
    urls = {name: f"http://127.0.0.1:{observed.ports[name.lower()]}" for name in ("WORKER", "SINK", "GATEWAY")}
    env = environment(observed.settings) | urls | {"PAGE": f"http://127.0.0.1:{observed.ports['ui']}"}
    for name in ("host", "port", "user", "database"):
        env[f"SCORELINE_CLICKHOUSE_{name.upper()}"] = str(getattr(observed.settings, f"clickhouse_{name}"))
    env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"
    shown = ""
    for script in dict.fromkeys(BLOCK.findall(DOCUMENT)):
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
        assert "Code: " not in done.stdout, f"{script}\n{done.stdout}"
        shown += done.stdout
    assert all(name in shown for name in TOLD)
    assert json.loads(next(line for line in shown.splitlines() if '"status"' in line))["status"] == "ok"


def test_every_setting_that_the_runbook_names_exists() -> None:
    """A remedy that is none costs a night."""
    settings = {f"SCORELINE_{name.upper()}" for name in Settings.model_fields}
    named = set(re.findall(r"SCORELINE_[A-Z_]*[A-Z]", DOCUMENT))
    assert named <= settings | {"SCORELINE_CLICKHOUSE"}, named - settings
