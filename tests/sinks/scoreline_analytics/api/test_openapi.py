"""The OpenAPI document against the server itself: schemathesis makes requests from it and compares the answers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator

from tests.running_ui import Ui

EXAMPLES_MAX = 30


def document_of(ui: Ui) -> dict[str, Any]:
    """What the server says of itself."""
    return httpx.get(f"{ui.url}/openapi.json").json()


def test_examples_of_the_document_have_the_shape_that_is_promised(ui: Ui) -> None:
    """Every answer of rows has one, every parameter a description."""
    document = document_of(ui)
    shown = 0
    for path, operations in document["paths"].items():
        for parameter in operations["get"].get("parameters", []):
            assert parameter["in"] == "path" or parameter["description"], (path, parameter["name"])
        content = operations["get"]["responses"]["200"].get("content", {}).get("application/json", {})
        if "example" in content:
            schema = {**content["schema"], "components": document["components"]}
            Draft202012Validator(schema).validate(content["example"])
            shown += 1
    assert shown == 14


@pytest.mark.timeout(280)
def test_schemathesis_finds_nothing(ui: Ui, tmp_path: Path) -> None:
    """Valid and invalid requests of every operation: no 5xx, no undeclared status, no answer of another shape."""
    config = tmp_path / "schemathesis.toml"
    refused = ["400", "401", "403", "404", "405", "431"]
    config.write_text(f"[checks.negative_data_rejection]\nexpected-statuses = {refused}\n")
    command = [
        *(sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()"),
        *("--config-file", str(config), "run", f"{ui.url}/openapi.json"),
        *("--max-examples", str(EXAMPLES_MAX), "--phases", "examples,coverage,fuzzing", "--checks", "all"),
        *("--exclude-checks", "positive_data_acceptance"),
        *("--header", f"X-API-Key: {ui.key.secret_key}", "--seed", "7", "--no-color", "--workers", "2"),
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=260, check=False)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
