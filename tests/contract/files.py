"""Every generated file under docs/ and in the gateway, and what it should hold."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from tests.contract.asyncapi import document
from tests.contract.schemas import DRAFT, body, schemas
from tests.contract.tables import blocks
from tests.golden import examples

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"
GATEWAY = ROOT / "producers" / "scoreline_gateway"
_BLOCK = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def generated() -> dict[Path, str]:
    """File → its text as the models are now."""
    files = {
        DOCS / "schemas" / f"{name}.schema.json": _json({"$schema": DRAFT, "title": f"scoreline {name}", **schema})
        for name, schema in schemas().items()
    }
    files[GATEWAY / "score.schema.json"] = _json({"$schema": DRAFT, "title": "scoreline score", **body()})
    files[DOCS / "asyncapi.json"] = _json(document(examples()))
    for name in ("contract.md", "metrics.md", "operations.md", "security.md"):
        files[DOCS / name] = _with_tables((DOCS / name).read_text())
    return files


def _json(value: Any) -> str:
    return json.dumps(value, indent=2) + "\n"


def _with_tables(text: str) -> str:
    made = blocks()
    return _BLOCK.sub(lambda match: match[1] + made[match[2]] + match[3], text)
