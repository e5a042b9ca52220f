"""What a person sees of a letter."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from scoreline.rejections import Reason
from scoreline_sink.dlq.letters import HISTORY_HEADER
from scoreline_sink.dlq.preparing import Refused
from scoreline_sink.dlq.replay import KINDS_MAX, Outcome
from scoreline_sink.dlq.showing import indented, letter_lines, outcome_lines, value_lines
from tests.sinks.scoreline_sink.dlq.made import letter, score, with_headers

_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(_json, st.sampled_from([None, 1]))
def test_indented_json_is_as_json_writes_it(value: object, indent: int | None) -> None:
    """However it was written before."""
    assert indented(json.dumps(value, indent=indent)) == json.dumps(value, indent=2)


def test_indenting_hides_no_fault() -> None:
    """A repeated key, NaN and too large a number are what the reader looks for."""
    assert list(value_lines(b'{"a":1,"a":NaN,"b":1e999,"c":1.10,"d":{},"e":[]}')) == [
        "  {",
        '    "a": 1,',
        '    "a": NaN,',
        '    "b": 1e999,',
        '    "c": 1.10,',
        '    "d": {},',
        '    "e": []',
        "  }",
    ]


@given(st.binary(max_size=300))
def test_no_bytes_reach_the_terminal_as_they_are(value: bytes) -> None:
    """Control characters, escapes and broken UTF-8 stand there as text."""
    one = with_headers(letter(value, key=value), ("h", value), ("none", None))
    assert all(line.isprintable() for line in letter_lines(one))


def test_deep_and_long_values_stay_readable() -> None:
    """Neither a line for each of 100,000 brackets nor megabytes of text."""
    assert len(list(value_lines(b"[" * 900 + b"]" * 900))) == 1
    *_, last = value_lines(json.dumps({"comment": "x" * 300_000}).encode())
    assert "scoreline dlq export" in last


def test_letter_says_why_where_from_and_what_to_do() -> None:
    """Everything that a sender asks."""
    one = with_headers(letter(score()), ("traceparent", b"x"), (HISTORY_HEADER, b"scores.rejected/2/5"))
    lines = "\n".join(letter_lines(one))
    for said in (
        "letter    2/77",
        "reason    unknown_config",
        "fix       Create the config",
        "from      scores.raw, partition 2, offset 1077, arrived 2026-09-21T14:13:20.000Z",
        "replay of scores.rejected/2/5",
        "header    traceparent: x",
        '    "score_id": "s-1",',
    ):
        assert said in lines
    assert "value     none: a tombstone" in "\n".join(letter_lines(letter(None)))


def test_outcome_counts_by_cause_and_field_within_a_bound() -> None:
    """Senders make up names of fields; the report stays a report."""
    outcome = Outcome(chosen=1000, sent=1)
    one = letter(score())
    outcome.refuse(Refused(one, Reason.UNKNOWN_FIELD, f"'f{n}': not a field of the contract") for n in range(998))
    outcome.refuse([Refused(one, Reason.NO_TARGET, "one of trace_id, session_id or dataset_run_id is required")])
    assert (outcome.refused_letters, len(outcome.refused)) == (999, KINDS_MAX + 2)
    first, *_ = outcome_lines(outcome, "sent")
    assert first == "1,000 letters: 1 sent, 999 not sent"
    assert sum(kind["letters"] for kind in outcome.fields()["refusals"]) == 999
