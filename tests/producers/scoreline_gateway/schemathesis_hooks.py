"""What schemathesis has to know of the gateway; it reads this file when `test_openapi.py` runs it."""

from __future__ import annotations

from typing import Any

import schemathesis
from schemathesis import Case, CheckContext, GenerationMode, Response

REFUSED = (400, 413, 422)
BEYOND_A_SCHEMA = ("an integer beyond 64 bits", "nested deeper", "timestamp: ", "integers within ±2^53")
"""Rules that JSON Schema has no words for, by what a rejection says of them."""


@schemathesis.serializer("application/x-ndjson")
def ndjson(_: schemathesis.SerializationContext, value: Any) -> bytes:
    """A text as it is."""
    return str(value).encode("utf-8", "replace")


@schemathesis.check
def valid_is_taken(_: CheckContext, response: Response, case: Case) -> None:
    """What fits the schema is taken, but for the rules that no schema can say."""
    meta = case.meta
    if meta is None or meta.generation.mode is not GenerationMode.POSITIVE or response.status_code not in REFUSED:
        return
    message = response.json()["error"]["message"]
    assert any(rule in message for rule in BEYOND_A_SCHEMA), message
