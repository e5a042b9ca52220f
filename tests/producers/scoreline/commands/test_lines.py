"""Records as a person reads them."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from scoreline.commands.lines import enriched_line, rejected_line
from scoreline.errors import MalformedRecord
from scoreline.rejections import Origin, Reason, Rejection, rejection_headers
from tests.producers.scoreline.commands.records import enriched


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({"value": 0.5}, "0.5"),
        ({"value": 1.0, "label": "true"}, "true"),
        ({"value": None, "label": "good"}, "good"),
        ({"value": 0.5, "label": "fair"}, "fair (0.5)"),
        ({"value": None, "status": "failed", "error": "judge timed out"}, "failed: judge timed out"),
    ],
)
def test_value_is_shown_as_it_was_judged(fields: dict[str, Any], shown: str) -> None:
    """A number, true or false, a category and the number that it counts as."""
    line = enriched_line(enriched("s-1", **fields))
    assert str(line) == f"2026-02-11 15:13:17  accuracy  {shown}  trace=t-1  team/s-1"


def test_line_cannot_steer_the_terminal() -> None:
    """Names and comments come from anyone."""
    line = enriched_line(enriched("s-1", name="a\x1b[2Jb", comment="first\nsecond\u202e"))
    assert str(line).isprintable()
    assert str(line).endswith("  first second")


def test_record_that_is_no_enriched_score_is_an_error() -> None:
    """Somebody else wrote it."""
    with pytest.raises(MalformedRecord):
        enriched_line(b"{}")


def test_rejected_record_keeps_reason_origin_and_original_bytes() -> None:
    """In JSON; bytes that are no text as base64."""
    headers = rejection_headers(
        Rejection(Reason.INVALID_VALUE, "value: wrong"), Origin("scores.raw", 2, 7, 1770822797839)
    )
    value = b'{"name":"accuracy","value":"\xff"}'
    line = rejected_line(b"team/s-1", value, [("own", b"\xfe"), *headers])
    assert json.loads(line.json) == {
        "reason": "invalid_value",
        "detail": "value: wrong",
        "stage": "validate",
        "topic": "scores.raw",
        "partition": 2,
        "offset": 7,
        "timestamp": 1770822797839,
        "key": "team/s-1",
        "value_base64": base64.b64encode(value).decode(),
    }
    assert str(line) == "2026-02-11 15:13:17  invalid_value  value: wrong  team/s-1  scores.raw[2]@7"
    assert (line.project, line.name) == ("team", None)


@pytest.mark.parametrize("value", [None, b"", b"[1]", b'{"name": 1, "project": 2}', b"[" * 100_000])
def test_any_rejected_record_can_be_shown(value: bytes | None) -> None:
    """What was rejected may be anything."""
    line = rejected_line(None, value, [])
    assert line.name is None
    assert json.loads(line.json)["key"] is None
