"""Rules of the house that no single module can hold: a light base install, and documents that point at what exists."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from scoreline.cli import COMMANDS
from tests.documents import ROOT, anchors, documents, faults

BASE = {"confluent-kafka", "msgspec", "pydantic", "pydantic-settings", "opentelemetry-api", "uuid-utils"}


def test_base_install_stays_light() -> None:
    """What `pip install scoreline` brings into a service; a new name here is a decision, not an accident."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {re.split(r"[<>=~\[]", requirement)[0] for requirement in project["dependencies"]} == BASE


def test_importing_the_client_loads_nothing_of_the_pipeline() -> None:
    """A service that emits scores must not load Faust, ClickHouse or a command line, and one that may never emit, in a
    process that only imports, none of what takes the longest to load."""
    code = "import sys, scoreline; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert "scoreline" in loaded
    assert not {"faust", "aiokafka", "clickhouse_connect", "cyclopts", "rich", "rocksdict", "chdb"} & set(loaded)
    assert not {"confluent_kafka", "asyncio", "pydantic_settings", "opentelemetry"} & set(loaded)


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_explains_itself(command: str) -> None:
    """`--help` works for each, without a broker or a server."""
    shown = subprocess.run(
        [sys.executable, "-m", "scoreline.cli", command, "--help"], capture_output=True, text=True, check=False
    )
    assert shown.returncode == 0, shown.stderr
    assert "Usage" in shown.stdout


def test_command_whose_extra_is_missing_says_what_to_install() -> None:
    """The list of commands still works then."""
    code = (
        "import sys; sys.modules[{!r}] = None; sys.argv = ['scoreline', {!r}]; from scoreline.cli import main; main()"
    )
    for module, command, extra in (
        ("chdb", "--help", ""),
        ("psutil", "status", "local"),
        ("faust", "worker", "streams"),
        ("fastapi", "ui", "ui"),
    ):
        ended = subprocess.run(
            [sys.executable, "-c", code.format(module, command)], capture_output=True, text=True, check=False
        )
        assert ended.returncode == (2 if extra else 0), ended.stderr
        assert not extra or ended.stderr.endswith(f"pip install 'scoreline[{extra}]'\n"), ended.stderr


def test_wrong_usage_ends_with_status_2() -> None:
    """0 done, 1 failed, 2 usage."""
    for arguments in (["nonsense"], ["query", "--nonsense"]):
        ended = subprocess.run(
            [sys.executable, "-m", "scoreline.cli", *arguments], capture_output=True, text=True, check=False
        )
        assert ended.returncode == 2, (arguments, ended.stdout, ended.stderr)


def test_documents_point_at_what_exists() -> None:
    """No dead link and no path that was moved."""
    assert [fault for document in documents() for fault in faults(document)] == []


def test_dead_links_are_found(tmp_path: Path) -> None:
    """The check itself can fail."""
    document = tmp_path / "a.md"
    document.write_text(
        "# A heading!\n[x](#a-heading) [y](#nowhere) [z](gone.md) `streams/gone.py` `sinks/` `test_gone`\n"
    )
    assert anchors(document) == {"a-heading"}
    assert len(list(faults(document))) == 4


def test_lock_names_no_address() -> None:
    """The lock holds names, versions and hashes; where packages come from is the machine's business."""
    text = (ROOT / "requirements.lock").read_text()
    assert "://" not in text
    assert text.count("--hash=sha256:") > 100
