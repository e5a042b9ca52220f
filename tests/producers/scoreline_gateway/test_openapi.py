"""The OpenAPI document against the gateway itself: schemathesis makes requests from it and compares the answers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from jsonschema import Draft202012Validator

from tests.referring import hosts_of
from tests.running_gateway import Gateway

EXAMPLES_MAX = 100
HOOKS = Path(__file__).with_name("schemathesis_hooks.py")


def test_examples_of_the_document_are_taken(gateway: Gateway) -> None:
    """What a reader copies works, and the answers shown have the shape that is promised."""
    document = httpx.get(f"{gateway.url}/openapi.json").json()
    assert set(document["components"]["securitySchemes"]) == {"bearer", "basic", "apiKey"}
    post = document["paths"]["/v1/scores"]["post"]
    assert {"202", "207", "400", "401", "403", "408", "413", "415", "422", "429", "503"} <= post["responses"].keys()
    content = post["requestBody"]["content"]
    for name, example in content["application/json"]["examples"].items():
        answer = gateway.post(example["value"])
        assert answer.status_code == 202, (name, answer.text)
    lines = content["application/x-ndjson"]["example"].encode()
    assert gateway.post(lines, content_type="application/x-ndjson").status_code == 202
    for status in ("202", "207"):
        shown = post["responses"][status]["content"]["application/json"]
        schema = {**shown["schema"], "components": document["components"]}
        examples = [each["value"] for each in shown["examples"].values()] if "examples" in shown else [shown["example"]]
        for example in examples:
            Draft202012Validator(schema).validate(example)


@pytest.mark.timeout(240)
def test_schemathesis_finds_nothing(gateway: Gateway, tmp_path: Path) -> None:
    """Valid and invalid requests of every operation: no 5xx, no undeclared status, no answer of another shape."""
    config = tmp_path / "schemathesis.toml"
    config.write_text(f"hooks = {str(HOOKS)!r}\n")
    command = [
        *(sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()"),
        *("--config-file", str(config), "run", f"{gateway.url}/openapi.json"),
        *("--max-examples", str(EXAMPLES_MAX), "--phases", "examples,coverage,fuzzing", "--checks", "all"),
        *("--exclude-checks", "positive_data_acceptance"),
        *("--header", f"X-API-Key: {gateway.key.secret_key}", "--seed", "7", "--no-color", "--workers", "2"),
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert json.dumps(gateway.post({"name": "n", "value": 1, "trace_id": "t"}).json())


def test_the_documentation_refers_to_no_other_host(gateway: Gateway) -> None:
    """Script and style come from the gateway; and all that the page refers to is there."""
    assert hosts_of(f"{gateway.url}/docs") == {f"127.0.0.1:{gateway.port}"}
