"""`scoreline import` on a real broker."""

from __future__ import annotations

import gzip
import json
import signal
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from confluent_kafka.admin import AdminClient
from pyarrow import parquet

from scoreline.kafka import client_options, ensure_topics
from scoreline.settings import Settings
from scoreline.topics import declare_topics
from tests.producers.scoreline.commands.conftest import Command, Start
from tests.producers.scoreline.commands.test_presets import EXPORTS, FILES, preset_of
from tests.support import eventually, read_topic

MANY = 50_000
"""Rows enough to be stopped between the first checkpoint and the end."""


def records(settings: Settings) -> list[tuple[str, dict[str, Any]]]:
    """Key and fields of each record on the raw topic."""
    messages = read_topic(settings, declare_topics(settings).raw.name)
    return [((message.key() or b"").decode(), json.loads(message.value() or b"")) for message in messages]


def scores(numbers: Iterable[int]) -> bytes:
    """Rows in the words of the contract."""
    rows = ({"score_id": f"s-{n}", "name": "x", "value": n, "trace_id": "t"} for n in numbers)
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """A file that takes a second or two."""
    file = tmp_path / "many.jsonl"
    file.write_bytes(scores(range(MANY)))
    return file


def test_gzipped_jsonl_is_mapped_and_a_second_import_sends_the_same(
    run: Command, topics: Settings, tmp_path: Path
) -> None:
    """Ids and content, so that all of it is duplicates."""
    row = {"evaluation_id": "b/m/1", "evaluation_name": "MMLU", "score": 0.25, "model": "m", "at": 1770822797.5}
    file = tmp_path / "evals.jsonl.gz"
    file.write_bytes(gzip.compress(json.dumps(row).encode() + b"\n"))
    mapping = [
        "score_id={evaluation_id}/{evaluation_name}",
        "name={evaluation_name}",
        "value={score}",
        "dataset_run_id={evaluation_id}",
        "timestamp={at}",
        "metadata.model={model}",
    ]
    command = ["import", file, "--json", *(text for field in mapping for text in ("--map", field))]
    for _ in range(2):
        done = run(*command, project="team", environment="ci")
        assert json.loads(done.stdout) == {"sent": 1, "acknowledged": 1, "invalid": 0}
    first, second = records(topics)
    assert first == second
    assert first == (
        "team/b/m/1/MMLU",
        {
            "project": "team",
            "environment": "ci",
            "score_id": "b/m/1/MMLU",
            "name": "MMLU",
            "value": 0.25,
            "dataset_run_id": "b/m/1",
            "timestamp": "2026-02-11T15:13:17.500000+00:00",
            "metadata": {"model": "m"},
        },
    )


def test_made_ids_are_the_same_in_every_import(run: Command, topics: Settings, tmp_path: Path) -> None:
    """Also from a file of another name and format."""
    (tmp_path / "a.csv").write_text("name,value,trace_id,noise\nx,0.5,t,1\nx,0.75,t,2\n")
    (tmp_path / "b.jsonl").write_text(
        '{"trace_id":"t","value":0.5,"name":"x"}\n{"trace_id":"t","value":0.75,"name":"x"}'
    )
    for name in ("a.csv", "b.jsonl"):
        assert run("import", tmp_path / name).stdout.startswith("2 sent, 2 acknowledged, 0 invalid; ")
    ids = sorted(fields["score_id"] for _, fields in records(topics))
    assert ids[0] == ids[1] != ids[2] == ids[3]


def test_invalid_rows_are_reported_and_their_neighbours_sent(run: Command, topics: Settings, tmp_path: Path) -> None:
    """Line, reason and field of each; the status is 0 unless --strict."""
    file = tmp_path / "mixed.txt"
    file.write_text('id,value,run\na,0.5,r\n,0.5,r\nc,nan,r\nd,0.5,\ne,"0.5\nf,high,r\n')
    command = [
        "import",
        file,
        "--format",
        "csv",
        "--map",
        "score_id={id}-1",
        "--map",
        "name=x",
        "--map",
        "dataset_run_id={run}",
    ]
    done = run(*command, "--json")
    assert json.loads(done.stdout) == {"sent": 2, "acknowledged": 2, "invalid": 4}
    reported = [line.split(": ")[:3] for line in done.stderr.splitlines() if line.startswith("line ")]
    assert reported[:2] == [["line 3", "missing_field", "score_id"], ["line 4", "invalid_value", "value"]]
    assert [line[:2] for line in reported[2:]] == [["line 5", "no_target"], ["line 6", "invalid_value"]]
    assert sorted((key, fields["value"]) for key, fields in records(topics)) == [
        ("default/a-1", 0.5),
        ("default/f-1", "high"),
    ]
    run(*command, "--strict", status=1)


def test_first_invalid_rows_are_shown_and_all_counted(run: Command, topics: Settings, tmp_path: Path) -> None:
    """A file of the wrong kind does not flood the terminal."""
    file = tmp_path / "none.jsonl"
    file.write_text("{}\n" * 1000)
    done = run("import", file, "--json")
    assert json.loads(done.stdout) == {"sent": 0, "acknowledged": 0, "invalid": 1000}
    assert len([line for line in done.stderr.splitlines() if line.startswith("line ")]) == 10


def test_import_continues_after_kill(start: Start, run: Command, topics: Settings, many: Path) -> None:
    """Every row is sent, fewer than twice, and the counts are those of the whole file."""
    killed = start("import", many)
    _await_checkpoint(many)
    killed.kill()
    killed.wait(30)
    done = run("import", many, "--json")
    assert json.loads(done.stdout) == {"sent": MANY, "acknowledged": MANY, "invalid": 0}
    assert "many.jsonl: continuing after row " in done.stderr
    keys = [key for key, _ in records(topics)]
    assert len(set(keys)) == MANY
    assert len(keys) < 2 * MANY
    assert not _checkpoints(many)


def test_interrupted_import_continues_with_the_next_row(
    start: Start, run: Command, topics: Settings, many: Path
) -> None:
    """It ends between two rows, with what it sent acknowledged: no row is sent twice."""
    first = _interrupt(start("import", many, "--json"), many, signal.SIGINT)
    assert first["sent"] == first["acknowledged"] < MANY
    assert json.loads(run("import", many, "--json").stdout) == {"sent": MANY, "acknowledged": MANY, "invalid": 0}
    assert sorted(key for key, _ in records(topics)) == sorted(f"default/s-{n}" for n in range(MANY))


def test_import_begins_anew_on_a_topic_made_anew(start: Start, run: Command, topics: Settings, many: Path) -> None:
    """The new topic has none of the rows that the old one acknowledged."""
    _interrupt(start("import", many, "--json"), many, signal.SIGTERM)
    _make_anew(topics)
    assert "continuing" not in run("import", many).stderr
    assert len(records(topics)) == MANY


def test_restart_begins_at_the_first_row(start: Start, run: Command, topics: Settings, many: Path) -> None:
    """Whatever an interrupted import had already sent."""
    first = _interrupt(start("import", many, "--json"), many, signal.SIGINT)
    run("import", many, "--restart")
    assert len(records(topics)) == first["sent"] + MANY


def test_parquet_import_continues_after_kill(start: Start, run: Command, topics: Settings, tmp_path: Path) -> None:
    """As every other format: every row is sent, fewer than twice."""
    file = tmp_path / "many.parquet"
    numbers = range(MANY)
    columns = {
        "score_id": [f"s-{n}" for n in numbers],
        "name": ["x"] * MANY,
        "value": [*numbers],
        "trace_id": ["t"] * MANY,
    }
    parquet.write_table(pyarrow.table(columns), file, row_group_size=10_000)
    killed = start("import", file)
    _await_checkpoint(file)
    killed.kill()
    killed.wait(30)
    done = run("import", file, "--json")
    assert json.loads(done.stdout) == {"sent": MANY, "acknowledged": MANY, "invalid": 0}
    assert "continuing after row " in done.stderr
    keys = [key for key, _ in records(topics)]
    assert len(set(keys)) == MANY
    assert len(keys) < 2 * MANY


@pytest.mark.parametrize("name", FILES)
def test_second_import_of_an_export_sends_the_same(run: Command, topics: Settings, name: str) -> None:
    """Ids and content of every score, so that all of them are duplicates."""
    expected = json.loads((EXPORTS / "expected" / f"{name.partition('.')[0]}.json").read_text())
    counts = {"sent": len(expected), "acknowledged": len(expected), "invalid": 0}
    for _ in range(2):
        assert json.loads(run("import", EXPORTS / name, "--preset", preset_of(name), "--json").stdout) == counts
    sent = records(topics)
    assert len(sent) == 2 * len(expected)
    for score in expected:
        twice = [fields for key, fields in sent if key == f"default/{score['score_id']}"]
        assert len(twice) == 2
        assert twice[0] == twice[1]


def test_invalid_score_of_a_record_costs_only_itself(run: Command, topics: Settings, tmp_path: Path) -> None:
    """It is reported with the number of its record; the record's other scores are sent."""
    file = tmp_path / "log.json"
    samples = [
        {"id": n, "epoch": 1, "scores": {"a": {"value": n}, "b": {"value": {}}, "c": {"value": [[]]}}} for n in (1, 2)
    ]
    file.write_text(json.dumps({"eval": {"eval_id": "e", "task_id": "t"}, "samples": samples}))
    done = run("import", file, "--preset", "inspect", "--json")
    assert json.loads(done.stdout) == {"sent": 2, "acknowledged": 2, "invalid": 2}
    assert [line.split(":")[0] for line in done.stderr.splitlines() if "invalid_value" in line] == [
        "record 1",
        "record 2",
    ]
    assert sorted(key for key, _ in records(topics)) == ["default/e/t/1/1/a", "default/e/t/2/1/a"]


def test_dry_run_reports_what_would_be_rejected_and_needs_no_broker(run: Command, tmp_path: Path) -> None:
    """Reasons by count with the first rows, their field and the remedy; nothing is sent, no journal is written."""
    file = tmp_path / "mixed.jsonl"
    rows = [
        {"score_id": "a", "name": "x", "value": 1, "trace_id": "t"},
        {"score_id": "a", "name": "x", "value": "1.0", "data_type": "NUMERIC", "trace_id": "t", "service": "other"},
        {"score_id": "a", "name": "x", "value": 2, "trace_id": "t"},
        *({"score_id": f"n-{n}", "value": 1, "trace_id": "t"} for n in range(5)),
        {"score_id": "b", "name": "x", "value": 1},
        {"score_id": "c", "name": "x", "trace_id": "t"},
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows) + "{broken\n")
    command = ["import", file, "--dry-run"]
    found = json.loads(run(*command, "--json", kafka="localhost:1").stdout)
    assert {key: item for key, item in found.items() if key != "reasons"} == {
        "rows": 11,
        "valid": 1,
        "duplicate": 1,
        "without_score": 0,
        "rejected": 9,
    }
    assert [(item["reason"], item["field"], item["count"]) for item in found["reasons"]] == [
        ("missing_field", "name", 5),
        ("conflicting_duplicate", "score_id", 1),
        ("malformed_json", None, 1),
        ("missing_field", "value", 1),
        ("no_target", "trace_id, session_id or dataset_run_id", 1),
    ]
    missing, conflicting, *_ = found["reasons"]
    assert [example["line"] for example in missing["examples"]] == [4, 5, 6]
    assert missing["examples"][0] == {"line": 4, "detail": "name: required"}
    assert "--map name=" in missing["remedy"]
    assert conflicting["examples"][0]["line"] == 3
    shown = run(*command, kafka="localhost:1").stdout.splitlines()
    assert shown[0] == "11 rows; 1 would be sent, 9 rejected, 1 twice in the file"
    assert shown[2:8] == [
        "missing_field: 5",
        "  line 4: name: required",
        "  line 5: name: required",
        "  line 6: name: required",
        "  … and 2 more",
        "  fix: Fill it from a column, --map name='{column}', or with one text, --map name=TEXT.",
    ]
    run(*command, "--strict", kafka="localhost:1", status=1)
    assert not _checkpoints(file)


def test_dry_run_says_what_the_import_then_does(run: Command, topics: Settings, tmp_path: Path) -> None:
    """The same counts, on the same file, with the same mapping."""
    file = tmp_path / "rows.csv"
    file.write_text("id,value\n" + "".join(f"{n},{'nan' if n % 3 == 0 else n}\n" for n in range(30)))
    command = ["import", file, "--json", "--map", "score_id={id}", "--map", "name=x", "--map", "trace_id=t"]
    tried = json.loads(run(*command, "--dry-run").stdout)
    done = json.loads(run(*command).stdout)
    assert (tried["valid"], tried["rejected"]) == (done["acknowledged"], done["invalid"]) == (20, 10)


def test_truncated_file_sends_its_rows_and_fails(run: Command, topics: Settings, tmp_path: Path) -> None:
    """What could be read is counted and acknowledged."""
    file = tmp_path / "cut.jsonl.gz"
    whole = gzip.compress(scores(range(20_000)))
    file.write_bytes(whole[: len(whole) // 2])
    done = run("import", file, "--json", status=1)
    counts = json.loads(done.stdout)
    assert counts["sent"] == counts["acknowledged"] == len(records(topics)) > 1000
    assert "cut.jsonl.gz cannot be read to its end" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["scores.txt"], "give --format jsonl, json, csv or parquet"),
        (["scores.csv", "--preset", "mlflow"], "--preset mlflow reads json or jsonl, not csv"),
        (["scores.csv", "--preset", "langfuse", "--metadata-rest"], "--map metadata.KEY"),
        (["scores.csv", "--preset", "nobody"], "langsmith"),
        (["scores.csv", "--map", "nmae={x}"], "--map: 'nmae' is no field of a score"),
        (["none.csv"], "none.csv"),
        (["scores.csv", "--format", "xml"], "jsonl"),
    ],
)
def test_wrong_usage_ends_with_2(run: Command, tmp_path: Path, arguments: list[str], message: str) -> None:
    """Before Kafka is asked."""
    for name in ("scores.csv", "scores.txt"):
        (tmp_path / name).write_text("a\n1\n")
    name, *options = arguments
    assert message in run("import", tmp_path / name, *options, status=2).stderr


def test_missing_topics_fail_with_the_remedy(run: Command, many: Path) -> None:
    """Kafka must not create them on the way, with other settings than declared."""
    assert "create them with: scoreline topics" in run("import", many, status=1).stderr


def _checkpoints(file: Path) -> list[Path]:
    return list((file.parent / "xdg" / "scoreline" / "imports").glob("*.json"))


def _acknowledged(file: Path) -> int:
    return max((json.loads(path.read_bytes())["acknowledged"] for path in _checkpoints(file)), default=0)


def _await_checkpoint(file: Path) -> None:
    eventually(lambda: _acknowledged(file) > 0, "a checkpoint behind the first rows")


def _interrupt(process: subprocess.Popen[bytes], file: Path, number: int) -> dict[str, int]:
    """Interrupt an import behind its first checkpoint; its counts."""
    _await_checkpoint(file)
    process.send_signal(number)
    out, error = process.communicate(timeout=60)
    assert process.returncode == 130, error
    assert b"the same command goes on from here" in error
    return json.loads(out)


def _make_anew(settings: Settings) -> None:
    admin = AdminClient(client_options(settings))
    name = declare_topics(settings).raw.name
    admin.delete_topics([name])[name].result(30)
    eventually(lambda: name not in admin.list_topics(timeout=10).topics, "the topic is deleted")
    ensure_topics(settings)
