"""The page that tells how to keep an SDK: its settings and its code, as they stand there."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from tests.documents import ROOT
from tests.producers.scoreline_gateway.compat.gateways import Gateway

_SECTION = re.compile(r"^## (\S+)\n.*?^```bash\n(.*?)^```\n.*?^```python\n(.*?)^```\n", re.MULTILINE | re.DOTALL)
SECTIONS = {name: (exports, code) for name, exports, code in _SECTION.findall((ROOT / "docs" / "sdks.md").read_text())}
SCORES = {
    "interactiveai": {"accuracy", "tone", "resolved"},
    "langfuse": {"accuracy", "tone", "resolved"},
    "pandaprobe": {"accuracy", "resolved"},
    "OpenTelemetry": {"relevance"},
}


@pytest.mark.parametrize("sdk", SCORES)
def test_documented_code_scores_with_nothing_but_its_settings(gateway: Gateway, sdk: str) -> None:
    """Run as it stands, with URL and keys put in: it says nothing, and its scores arrive."""
    exports, code = SECTIONS[sdk]
    key = gateway.key()
    for shown, real in (
        ("http://localhost:8080", gateway.url),
        ("pk-scl-…", key.entry.public_key),
        ("sk-scl-…", key.secret_key),
    ):
        exports = exports.replace(shown, real)
    ended = subprocess.run(
        ["bash", "-e", "-c", exports + 'exec "$0" -c "$1"', sys.executable, code],
        env={name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert {record["name"] for record in gateway.raw()} == SCORES[sdk]
