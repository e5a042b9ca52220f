"""`scoreline emit` on a real broker."""

from __future__ import annotations

import json
from typing import Any

import pytest

from scoreline.settings import Settings
from scoreline.topics import declare_topics
from tests.producers.scoreline.commands.conftest import Command
from tests.support import read_topic


def emitted(settings: Settings) -> dict[str, dict[str, Any]]:
    """Fields of each record on the raw topic, by its key."""
    messages = read_topic(settings, declare_topics(settings).raw.name)
    return {(message.key() or b"").decode(): json.loads(message.value() or b"") for message in messages}


def test_score_is_acknowledged_under_the_printed_id(run: Command, topics: Settings) -> None:
    """Every option becomes its field."""
    options = {
        "name": "accuracy",
        "value": "-0.5",
        "trace-id": "t",
        "observation-id": "o",
        "session-id": "s",
        "dataset-run-id": "r",
        "data-type": "NUMERIC",
        "comment": "fine",
        "config-id": "c",
        "timestamp": "1770822797.5",
        "source": "EVAL",
        "evaluator-name": "judge",
        "evaluator-model": "m",
        "author": "ann",
        "project": "team",
    }
    arguments = [text for option, value in options.items() for text in (f"--{option}", value)]
    done = run("emit", *arguments, "--metadata", "a=1", "b=x=y", service="svc")
    score_id = done.stdout.strip()
    assert emitted(topics) == {
        f"team/{score_id}": {
            "score_id": score_id,
            "project": "team",
            "name": "accuracy",
            "value": -0.5,
            "trace_id": "t",
            "observation_id": "o",
            "session_id": "s",
            "dataset_run_id": "r",
            "data_type": "NUMERIC",
            "comment": "fine",
            "config_id": "c",
            "metadata": {"a": "1", "b": "x=y"},
            "timestamp": "2026-02-11T15:13:17.500000+00:00",
            "source": "EVAL",
            "evaluator": {"name": "judge", "model": "m"},
            "author": "ann",
            "service": "svc",
            "schema_version": 1,
        }
    }


def test_value_is_typed_as_it_looks(run: Command, topics: Settings) -> None:
    """Unless the caller says that it is a category."""
    for score_id, *options in (("n", "7"), ("l", "7", "--data-type", "CATEGORICAL")):
        run("emit", "--name", "x", "--trace-id", "t", "--score-id", score_id, "--value", *options)
    values = {key: fields["value"] for key, fields in emitted(topics).items()}
    assert values == {"default/n": 7.0, "default/l": "7"}
    assert all("timestamp" in fields for fields in emitted(topics).values())


def test_failed_judge_is_a_score_without_a_value(run: Command, topics: Settings) -> None:
    """What went wrong stands in place of the value."""
    run("emit", "--name", "x", "--trace-id", "t", "--score-id", "f", "--error", "timed out")
    fields = emitted(topics)["default/f"]
    assert (fields["status"], fields["error"]) == ("failed", "timed out")
    assert "value" not in fields


def test_broken_lines_of_stdin_are_reported_and_the_others_sent(run: Command, topics: Settings) -> None:
    """By line number; what a record leaves out is filled in, what it says stays."""
    lines = [
        b'{"score_id":"a","name":"x","value":1,"trace_id":"t","project":"team","timestamp":"2026-02-11T15:13:17Z"}',
        b'{"name":"x","value":',
        b"",
        b'{"score_id":"b","name":"x","value":true,"session_id":"s"}',
        b'{"name":"x","value":1}',
        b'{"score_id":"c","name":"x","value":NaN,"trace_id":"t"}',
    ]
    done = run("emit", "--stdin", stdin=b"\n".join(lines))
    assert done.stdout == "a\nb\n"
    reported = [line.split(": ")[:2] for line in done.stderr.splitlines() if line.startswith("line ")]
    assert reported == [["line 2", "malformed_json"], ["line 5", "no_target"], ["line 6", "malformed_json"]]
    records = emitted(topics)
    assert records.keys() == {"team/a", "default/b"}
    assert records["team/a"]["timestamp"] == "2026-02-11T15:13:17Z"
    assert "timestamp" in records["default/b"]


def test_counts_are_printed_as_json_and_strict_fails(run: Command, topics: Settings) -> None:
    """Exactly sent, acknowledged and invalid."""
    lines = b'{"name":"x","value":1,"trace_id":"t"}\n{\n'
    assert run("emit", "--stdin", "--json", stdin=lines).stdout == '{"sent": 1, "acknowledged": 1, "invalid": 1}\n'
    run("emit", "--stdin", "--strict", stdin=lines, status=1)
    assert len(emitted(topics)) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--name", "x"], "--name and one of --value and --error are required"),
        (["--name", "x", "--value", "1", "--error", "e"], "one of --value and --error"),
        (["--stdin", "--name", "x"], "drop the options for name"),
        (["--name", "x", "--value", "1", "--metadata", "a"], "expected KEY=VALUE"),
        (["--name", "x", "--value", "1", "--colour", "red"], "colour"),
    ],
)
def test_wrong_usage_ends_with_2(run: Command, arguments: list[str], message: str) -> None:
    """Before Kafka is asked."""
    assert message in run("emit", *arguments, status=2).stderr


def test_invalid_score_fails_with_its_reason(run: Command, topics: Settings) -> None:
    """Nothing is sent."""
    assert "no_target" in run("emit", "--name", "x", "--value", "1", status=1).stderr
    assert emitted(topics) == {}


def test_broker_that_stays_away_fails_in_time(run: Command) -> None:
    """The message names the setting."""
    done = run("emit", "--name", "x", "--value", "1", "--trace-id", "t", status=1, kafka="localhost:22998", flush_s=0.5)
    assert "waiting for Kafka at localhost:22998 (SCORELINE_KAFKA)" in done.stderr
    assert "SCORELINE_FLUSH_S" in done.stderr


def test_missing_topics_fail_with_the_remedy(run: Command) -> None:
    """Kafka must not create them on the way, with other settings than declared."""
    done = run("emit", "--name", "x", "--value", "1", "--trace-id", "t", status=1)
    assert "create them with: scoreline topics" in done.stderr
