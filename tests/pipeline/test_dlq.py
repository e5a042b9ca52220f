"""Rejected scores mended and replayed, on the whole pipeline, with the commands that a person types."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from scoreline.kafka import client_options
from scoreline.topics import declare_topics
from scoreline_sink.dlq.letters import HISTORY_HEADER
from tests.running_pipeline import Pipeline
from tests.support import environment, eventually, headers_of, produce, read_topic

CONFIG = {"id": "acc", "name": "accuracy", "data_type": "NUMERIC", "min": 0, "max": 1}


def raw(score_id: str, **fields: object) -> tuple[bytes, bytes]:
    """A raw record that is valid but for `fields`."""
    record = {"score_id": score_id, "name": "accuracy", "value": 0.5, "trace_id": "t", "service": "svc"}
    return f"default/{score_id}".encode(), json.dumps(record | fields).encode()


def emit(pipeline: Pipeline, *records: tuple[bytes | None, bytes | None]) -> None:
    """Put records on the raw topic and wait until the pipeline is done with them."""
    produce(pipeline.settings, declare_topics(pipeline.settings).raw.name, records)
    pipeline.drain()


def put_config(pipeline: Pipeline, tmp_path: Path, **fields: object) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps(CONFIG | fields))
    pipeline.run("configs", "put", str(file))


def dlq(pipeline: Pipeline, *arguments: str, status: int = 0) -> Any:
    """What a `scoreline dlq` command prints as JSON."""
    return json.loads(pipeline.run("dlq", *arguments, "--json", status=status))


def reconciles(pipeline: Pipeline) -> dict[str, int]:
    """The proof's sums; fails where it does not hold."""
    pipeline.drain()
    proof = json.loads(pipeline.run("reconcile", "--json"))
    assert proof["ok"], proof
    return {name: proof[name] for name in ("raw", "stored", "duplicate", "rejected")}


def test_letters_are_replayed_once_the_config_exists(pipeline: Pipeline, tmp_path: Path) -> None:
    """The way of issue and remedy: stats, dry run, config, replay; then nothing is open and everything adds up."""
    emit(pipeline, *(raw(f"s-{n}", config_id="acc", value=n / 10) for n in range(20)))
    [count] = dlq(pipeline, "stats")
    assert (count["reason"], count["service"], count["letters"], count["share"]) == ("unknown_config", "svc", 20, 1.0)
    assert "scoreline configs put" in count["remedy"]
    dry = dlq(pipeline, "replay", "--dry-run", status=1)
    assert (dry["sent"], dry["not_sent"], dry["dry_run"]) == (0, 20, True)
    put_config(pipeline, tmp_path)
    assert dlq(pipeline, "replay", "--dry-run", status=1)["sent"] == 11
    assert reconciles(pipeline)["stored"] == 0
    done = dlq(pipeline, "replay", "--reason", "unknown_config", "--yes", status=1)
    [refusal] = done["refusals"]
    assert (done["chosen"], done["sent"], done["not_sent"]) == (20, 11, 9)
    assert (refusal["cause"], refusal["field"], refusal["letters"]) == ("out_of_range", "value", 9)
    assert reconciles(pipeline) == {"raw": 31, "stored": 11, "duplicate": 0, "rejected": 20}
    assert len(dlq(pipeline, "list")["letters"]) == 9
    assert len(dlq(pipeline, "list", "--all")["letters"]) == 20
    assert dlq(pipeline, "replay", "--yes", status=1)["sent"] == 0


def test_patched_letters_are_stored(pipeline: Pipeline) -> None:
    """A field under another name, and a key that is not the id's; dated by their first arrival."""
    _, value = raw("k")
    emit(pipeline, raw("n", trace_id=None, traceId="t-9"), (b"wrong", value))
    patched = dlq(pipeline, "replay", "--rename", "traceId=trace_id", "--set", "metadata.mended=yes", "--yes")
    assert patched["sent"] == 2
    assert reconciles(pipeline) == {"raw": 4, "stored": 2, "duplicate": 0, "rejected": 2}
    rows = pipeline.ask(
        "SELECT s.score_id, s.trace_id, s.metadata['mended'], s.timestamp = r.raw_timestamp FROM scores AS s "
        "JOIN rejected_scores AS r ON s.score_id = JSONExtractString(assumeNotNull(r.value), 'score_id') ORDER BY 1"
    )
    assert rows == [("k", "t", "yes", 1), ("n", "t-9", "yes", 1)]
    [letter] = dlq(pipeline, "show", "--id", "n")
    assert letter["handled"]["why"] == "--rename traceId=trace_id --set metadata.mended=yes"


def test_replay_that_is_rejected_again_carries_its_history(pipeline: Pipeline, tmp_path: Path) -> None:
    """The worker keeps the history in front of its new verdict, so that the count is real and it ends."""
    emit(pipeline, raw("s-1", config_id="acc"))
    [first] = dlq(pipeline, "list")["letters"]
    emit(pipeline, raw("s-1", value=0.7))
    put_config(pipeline, tmp_path)
    assert dlq(pipeline, "replay", first["letter"])["sent"] == 1
    pipeline.drain()
    [second] = dlq(pipeline, "list")["letters"]
    assert second["reason"] == "conflicting_duplicate"
    rejected = declare_topics(pipeline.settings).rejected.name
    [shown] = dlq(pipeline, "show", second["letter"])
    assert shown["replay_of"] == [f"{rejected}/{first['letter']}"]
    *_, message = sorted(read_topic(pipeline.settings, rejected), key=lambda message: message.timestamp()[1])
    assert headers_of(message)[HISTORY_HEADER].decode() == f"{rejected}/{first['letter']}"
    [refusal] = dlq(pipeline, "replay", second["letter"], status=1)["refusals"]
    assert refusal["cause"] == "id_is_taken"
    assert dlq(pipeline, "replay", second["letter"], "--set", "score_id=s-2")["sent"] == 1
    assert reconciles(pipeline) == {"raw": 4, "stored": 2, "duplicate": 0, "rejected": 2}


def test_record_that_comes_back_too_often_is_left(pipeline: Pipeline, tmp_path: Path) -> None:
    """Three replays, then a person has to say more."""
    topic = declare_topics(pipeline.settings).raw.name
    key, value = raw("s-1", config_id="acc")
    producer = Producer(client_options(pipeline.settings, partitioner="murmur2"))
    producer.produce(topic, value, key, headers=[(HISTORY_HEADER, b"scores.rejected/0/%d" % n) for n in range(3)])
    assert producer.flush(30) == 0
    pipeline.drain()
    put_config(pipeline, tmp_path)
    [refusal] = dlq(pipeline, "replay", status=1)["refusals"]
    assert refusal["cause"] == "replayed_too_often"
    assert dlq(pipeline, "replay", "--replays-max", "4")["sent"] == 1
    assert reconciles(pipeline)["stored"] == 1


KILLED_BEFORE_WRITING_DOWN = """
import os, signal, sys
from scoreline_sink.dlq.store import Store
Store.record = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
sys.argv = ["scoreline", "dlq", "replay", "--yes"]
from scoreline.cli import main
main()
"""


def test_killed_replay_goes_on_and_stores_each_score_once(pipeline: Pipeline, tmp_path: Path) -> None:
    """kill -9 between the acknowledgements and the writing down: the same command again makes duplicates, no more."""
    emit(pipeline, *(raw(f"s-{n}", config_id="acc") for n in range(50)))
    put_config(pipeline, tmp_path)
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_BEFORE_WRITING_DOWN],
        env=environment(pipeline.settings),
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    pipeline.drain()
    assert pipeline.ask("SELECT count() FROM scores") == [(50,)]
    assert dlq(pipeline, "replay", "--yes")["sent"] == 50
    assert reconciles(pipeline) == {"raw": 150, "stored": 50, "duplicate": 50, "rejected": 50}
    assert dlq(pipeline, "list")["letters"] == []


def test_interrupted_replay_goes_on_where_it_was(pipeline: Pipeline, tmp_path: Path) -> None:
    """Under a rate each second's batch is written down; Ctrl-C ends it, the same command does the rest."""
    emit(pipeline, *(raw(f"s-{n}", config_id="acc") for n in range(100)))
    put_config(pipeline, tmp_path)
    command = [sys.executable, "-m", "scoreline.cli", "dlq", "replay", "--yes", "--rate", "10"]
    slow = subprocess.Popen(command, env=environment(pipeline.settings), stderr=subprocess.DEVNULL)
    handled = "SELECT count() FROM dead_letter_actions"
    eventually(lambda: pipeline.ask(handled)[0][0] >= 20, "two batches written down")
    slow.send_signal(signal.SIGINT)
    assert slow.wait(60) == 130
    [(before,)] = pipeline.ask(handled)
    assert 20 <= before < 100
    assert dlq(pipeline, "replay", "--yes")["sent"] == 100 - before
    sums = reconciles(pipeline)
    assert (sums["stored"], sums["duplicate"] <= 10) == (100, True)


def test_discarded_letters_are_put_aside_and_exported(pipeline: Pipeline, tmp_path: Path) -> None:
    """Hidden, with the reason, and still there byte for byte."""
    hostile = b"\xff\x00 not a score"
    emit(pipeline, (b"default/a", hostile), (b"default/b", b"[]"), raw("c", value="x" * 10, trace_id=None))
    assert dlq(pipeline, "discard", "--reason", "malformed_json", "--why", "noise", "--yes") == {
        "chosen": 2,
        "discarded": 2,
    }
    assert [letter["score_id"] for letter in dlq(pipeline, "list")["letters"]] == ["c"]
    file = tmp_path / "letters.jsonl"
    assert dlq(pipeline, "export", "--all", "--output", str(file)) == {"letters": 3}
    letters = {letter["score_id"]: letter for letter in map(json.loads, file.read_text().splitlines())}
    assert letters["a"]["value_base64"] == "/wAgbm90IGEgc2NvcmU="
    assert (letters["b"]["value"], letters["b"]["handled"]["why"]) == ("[]", "noise")
    assert letters["c"]["handled"] is None
    assert pipeline.run("dlq", "export").count("\n") == 1


WRONG = [
    (["replay"], 2, "this would send 3 letters again; give --yes"),
    (["discard", "--why", "x"], 2, "this would discard 3 letters; give --yes"),
    (["discard", "--why", " ", "--yes"], 2, "say why nobody wants"),
    (["discard", "--yes"], 2, "--why"),
    (["replay", "--yes", "--set", "score_id=x"], 2, "3 letters would get the same id"),
    (["replay", "--yes", "--set", "colour=x"], 2, "'colour' is no field of a score"),
    (["replay", "77"], 2, "names no letter: give PARTITION/OFFSET"),
    (["list", "--reason", "nix"], 2, "no such reason; there are empty_record"),
    (["list", "--since", "yesterday"], 2, "no point in time"),
    (["show", "3/999"], 1, "no such letter"),
    (["list", "--service", "none"], 0, "no letter matches"),
    (["replay", "--service", "none"], 0, "no letter matches"),
]


def test_wrong_usage_is_refused_and_changes_nothing(pipeline: Pipeline) -> None:
    """0 done, 1 failed, 2 usage; the message says what to do."""
    emit(pipeline, *(raw(f"s-{n}", trace_id=None) for n in range(3)))
    for arguments, status, message in WRONG:
        done = subprocess.run(
            [sys.executable, "-m", "scoreline.cli", "dlq", *arguments],
            env=environment(pipeline.settings) | {"COLUMNS": "200"},
            capture_output=True,
            text=True,
            timeout=60,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        said = done.stdout + done.stderr
        assert (done.returncode, message in said) == (status, True), (arguments, said)
    assert pipeline.ask("SELECT count() FROM dead_letter_actions") == [(0,)]
