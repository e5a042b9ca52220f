"""The worker as a process on a real broker."""

from __future__ import annotations

import itertools
import json
import random
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from scoreline.configs import ScoreConfig, encode_config
from scoreline.events import DataType
from scoreline.kafka import client_options, ensure_topics
from scoreline.lookups import Lookup, encode_lookup
from scoreline.rejections import Reason
from scoreline.settings import Settings
from scoreline.stores import ConfigStore
from scoreline.topics import Topics, declare_groups, declare_topics
from scoreline_streams.partition import CRASHED
from tests.payloads import invalid_payloads, valid_payloads
from tests.support import DEADLINE_S, Running, environment, eventually, headers_of, lag, log_end, produce, read_topic


@pytest.fixture
def topics(settings: Settings) -> Topics:
    ensure_topics(settings)
    return declare_topics(settings)


@pytest.fixture
def worker(settings: Settings, topics: Topics, tmp_path: Path) -> Iterator[Running]:
    with Running(settings, tmp_path, "worker") as running:
        yield running.await_ready()


def score(score_id: str, **fields: Any) -> tuple[bytes, bytes]:
    event = {"score_id": score_id, "name": "accuracy", "value": 0.5, "trace_id": "t"} | fields
    return f"default/{score_id}".encode(), json.dumps(event).encode()


def await_processed(settings: Settings, topics: Topics) -> None:
    group = declare_groups(settings).worker
    eventually(lambda: lag(settings, group, topics.raw.name) == 0, "worker has read all of raw")


def enriched_ids(settings: Settings, topics: Topics) -> list[str]:
    return [json.loads(message.value() or b"")["score_id"] for message in read_topic(settings, topics.enriched.name)]


def test_good_scores_are_enriched_and_bad_ones_rejected_with_their_bytes(
    settings: Settings, topics: Topics, worker: Running
) -> None:
    """Every payload file through the real worker: each ends in exactly one topic, bad ones byte for byte."""
    good = [(f"default/good-{n}".encode(), score(f"good-{n}")[1]) for n in range(100)]
    bad = [(payload.key, payload.value) for payload in invalid_payloads() if payload.reason is not None]
    # dated for a fixed day of receipt in the pure tests; for a real broker two days ahead is not
    records = [record for pair in zip(good, bad, strict=False) for record in pair] + [(None, b"no key"), (b"k", None)]
    produce(settings, topics.raw.name, records)
    await_processed(settings, topics)
    sent_good = sum(1 for key, _ in records if key and key.startswith(b"default/good-"))
    rejected = read_topic(settings, topics.rejected.name)
    reasons = {headers_of(message)["scoreline.reason"].decode() for message in rejected}
    enriched = enriched_ids(settings, topics)
    assert len([score_id for score_id in enriched if score_id.startswith("good-")]) == sent_good
    assert len(enriched) + len(rejected) == len(records)
    assert {"malformed_json", "invalid_value", "no_target", "too_large", "empty_record"} <= reasons
    raw = {(message.partition(), message.offset()): message for message in read_topic(settings, topics.raw.name)}
    for message in rejected:
        headers = headers_of(message)
        assert headers["scoreline.topic"].decode() == topics.raw.name
        source = raw[int(headers["scoreline.partition"]), int(headers["scoreline.offset"])]
        assert (message.key(), message.value()) == (source.key(), source.value())
        assert message.partition() == source.partition()


def test_duplicates_are_dropped_and_conflicts_rejected(settings: Settings, topics: Topics, worker: Running) -> None:
    """The same id again: same content vanishes, other content is a dead letter, also across batches."""
    produce(settings, topics.raw.name, [score("a"), score("a"), score("b")])
    await_processed(settings, topics)
    produce(settings, topics.raw.name, [score("a", timestamp="2026-01-01T00:00:00Z"), score("b", value=0.9)])
    await_processed(settings, topics)
    assert sorted(enriched_ids(settings, topics)) == ["a", "b"]
    [conflict] = read_topic(settings, topics.rejected.name)
    assert headers_of(conflict)["scoreline.reason"].decode() == Reason.CONFLICTING_DUPLICATE
    assert headers_of(conflict)["scoreline.stage"] == b"deduplicate"


def test_config_acknowledged_before_a_score_is_applied_to_it(
    settings: Settings, topics: Topics, worker: Running
) -> None:
    """A running worker knows a config from the moment its producer got the acknowledgement; a bad one is skipped."""
    config = ScoreConfig(id="c", name="accuracy", data_type=DataType.NUMERIC, min=0.0, max=2.0, version=4)
    produce(settings, topics.configs.name, [(b"default/bad", b"{nonsense"), (config.key, encode_config(config))])
    produce(settings, topics.raw.name, [score("a", config_id="c"), score("b", config_id="c", value=3)])
    produce(settings, topics.raw.name, [score("c", config_id="nowhere")])
    await_processed(settings, topics)
    [message] = read_topic(settings, topics.enriched.name)
    enriched = json.loads(message.value() or b"")
    assert (enriched["score_id"], enriched["normalized"], enriched["config_version"]) == ("a", 0.25, 4)
    reasons = {headers_of(message)["scoreline.reason"] for message in read_topic(settings, topics.rejected.name)}
    assert reasons == {b"out_of_range", b"unknown_config"}


def test_changed_config_affects_later_scores_only(settings: Settings, topics: Topics, worker: Running) -> None:
    """A running worker judges by the config as it was when the score came, and `config_version` resolves to it."""
    store = ConfigStore(settings)
    produce(settings, topics.raw.name, [score("early", config_id="c")])
    await_processed(settings, topics)
    config = ScoreConfig(id="c", name="accuracy", data_type=DataType.NUMERIC, min=0.0, max=1.0)
    store.put([config])
    produce(settings, topics.raw.name, [score("early", config_id="c"), score("one", config_id="c")])
    await_processed(settings, topics)
    store.put([config.model_copy(update={"max": 5.0})])
    _await_outcome(settings, topics, b"2")
    produce(settings, topics.raw.name, [score("two", config_id="c")])
    await_processed(settings, topics)
    store.archive("c")
    _await_outcome(settings, topics, b"config_mismatch")
    enriched = [json.loads(message.value() or b"") for message in read_topic(settings, topics.enriched.name)]
    judged = {row["score_id"]: (row["config_version"], row["normalized"]) for row in enriched}
    assert (judged["early"], judged["one"], judged["two"]) == ((1, 0.5), (1, 0.5), (2, 0.1))
    by_version = {version.config.version: version.config for version in store.history("c")}
    assert (by_version[1].max, by_version[2].max, by_version[3].archived) == (1.0, 5.0, True)
    rejected = read_topic(settings, topics.rejected.name)
    reasons = {message.key(): headers_of(message)["scoreline.reason"] for message in rejected}
    assert reasons.pop(b"default/early") == b"unknown_config"
    assert set(reasons.values()) == {b"config_mismatch"}
    assert "failed" not in worker.log


def _await_outcome(settings: Settings, topics: Topics, outcome: bytes) -> None:
    """Send scores until one ends so: a worker hears of a changed config within moments, not at once."""
    numbers = itertools.count()

    def is_reached() -> bool:
        produce(settings, topics.raw.name, [score(f"probe-{outcome!r}-{next(numbers)}", config_id="c")])
        await_processed(settings, topics)
        if outcome.isdigit():
            rows = [json.loads(message.value() or b"") for message in read_topic(settings, topics.enriched.name)]
            return any(row["config_version"] == int(outcome) for row in rows)
        reasons = [headers_of(message)["scoreline.reason"] for message in read_topic(settings, topics.rejected.name)]
        return outcome in reasons

    eventually(is_reached, f"{outcome!r} is what becomes of a score")


def test_lookups_are_joined_to_the_scores_that_carry_their_value(
    settings: Settings, topics: Topics, tmp_path: Path
) -> None:
    """What stands in the topic when the worker starts is joined; a bad record is skipped, a tombstone forgets."""
    lookup = Lookup(field="service", value="chat", attributes={"team": "assist"})
    gone = Lookup(field="service", value="search", attributes={"team": "find"})
    records = [(b"default/service/bad", b"{nonsense"), (lookup.key, encode_lookup(lookup))]
    produce(settings, topics.lookups.name, [*records, (gone.key, encode_lookup(gone)), (gone.key, None)])
    with Running(settings, tmp_path, "worker") as running:
        running.await_ready()
        produce(settings, topics.raw.name, [score("a", service="chat"), score("b", service="search")])
        await_processed(settings, topics)
    joined = {
        json.loads(m.value() or b"")["score_id"]: json.loads(m.value() or b"")["lookups"]
        for m in read_topic(settings, topics.enriched.name)
    }
    assert joined == {"a": {"service.team": "assist"}, "b": {}}


def _is_left(settings: Settings, topics: Topics, records: int) -> bool:
    """Whether the worker has at most so many records to read."""
    behind = lag(settings, declare_groups(settings).worker, topics.raw.name)
    return behind is not None and behind <= records


def test_killed_worker_loses_and_doubles_nothing(settings: Settings, topics: Topics, tmp_path: Path) -> None:
    """kill -9 at random moments under load, once with the state directory deleted: each id once in enriched."""
    chance = random.Random(7)
    static = settings.model_copy(update={"instance_id": "w-1", "batch_events_max": 200})
    sent: list[str] = []
    for kill in range(4):
        with Running(static, tmp_path, "worker") as running:
            running.await_ready()
            batch = [f"{kill}-{chance.randrange(3000)}" for _ in range(4000)]
            produce(settings, topics.raw.name, (score(score_id) for score_id in batch))
            sent += batch
            left = chance.randrange(1, 4000)
            eventually(lambda left=left: _is_left(static, topics, left), f"{left} records left")
            running.kill()
        if kill == 1:
            shutil.rmtree(settings.state_dir)
    with Running(static, tmp_path, "worker") as running:
        running.await_ready()
        await_processed(settings, topics)
        assert running.stop() == 0
        assert not running.ready_file.exists()
    ids = enriched_ids(settings, topics)
    assert len(ids) == len(set(ids)) == len(set(sent))
    assert set(ids) == set(sent)
    assert read_topic(settings, topics.rejected.name) == []


def test_state_is_rebuilt_from_the_changelog(settings: Settings, topics: Topics, tmp_path: Path) -> None:
    """A worker on another machine, without the state directory, still knows every id."""
    with Running(settings, tmp_path, "worker") as running:
        running.await_ready()
        produce(settings, topics.raw.name, (score(f"s-{n}") for n in range(500)))
        await_processed(settings, topics)
        assert running.stop() == 0
    elsewhere = settings.model_copy(update={"state_dir": tmp_path / "elsewhere"})
    with Running(elsewhere, tmp_path, "worker", name="second") as running:
        running.await_ready()
        produce(settings, topics.raw.name, (score(f"s-{n}") for n in range(500)))
        await_processed(settings, topics)
        assert "restored" in running.log
    assert len(enriched_ids(settings, topics)) == 500


def test_older_state_put_back_gives_the_same_answers(settings: Settings, topics: Topics, tmp_path: Path) -> None:
    """Killed, and its state directory replaced by the backup of an earlier day: each id once, repeats dropped."""
    static = settings.model_copy(update={"instance_id": "w-1", "batch_events_max": 200})
    backup = tmp_path / "backup"
    with Running(static, tmp_path, "worker") as running:
        running.await_ready()
        produce(settings, topics.raw.name, (score(f"s-{n}") for n in range(2000)))
        await_processed(settings, topics)
        assert running.stop() == 0
    shutil.copytree(settings.state_dir, backup)
    with Running(static, tmp_path, "worker") as running:
        running.await_ready()
        produce(settings, topics.raw.name, (score(f"s-{n}") for n in range(1000, 6000)))
        eventually(lambda: len(enriched_ids(settings, topics)) > 4000, "more than the backup knows")
        running.kill()
    shutil.rmtree(settings.state_dir)
    backup.rename(settings.state_dir)
    with Running(static, tmp_path, "worker") as running:
        running.await_ready()
        produce(settings, topics.raw.name, (score(f"s-{n}") for n in range(7000)))
        await_processed(settings, topics)
        assert "rebuilding" not in running.log
    ids = enriched_ids(settings, topics)
    assert len(ids) == len(set(ids)) == 7000
    assert read_topic(settings, topics.rejected.name) == []


def test_damage_in_the_state_ends_the_worker_and_the_next_start_mends_it(settings: Settings, tmp_path: Path) -> None:
    """Damaged blocks open well and show at a look-up: no id is taken for new, and the damage is met only once."""
    static = settings.model_copy(update={"instance_id": "w-1", "partitions": 2})
    ensure_topics(static)
    topics = declare_topics(static)
    with Running(static, tmp_path, "worker") as running:
        running.await_ready()
        produce(settings, topics.raw.name, (score(f"s-{n}") for n in range(4000)))
        await_processed(settings, topics)
        assert running.stop() == 0
    tables = list(settings.state_dir.rglob("*.sst"))
    assert tables
    for table in tables:
        content = bytearray(table.read_bytes())
        content[64:128] = bytes(64)
        table.write_bytes(content)
    with Running(static, tmp_path, "worker", name="damaged") as running:
        running.await_ready()
        produce(settings, topics.raw.name, (score(f"s-{n}") for n in range(8000)))
        assert running.process.wait(60) == 70
        assert "block checksum mismatch" in running.log
    eventually(lambda: _drains(static, tmp_path, topics), "every damaged partition is rebuilt")
    ids = enriched_ids(settings, topics)
    assert len(ids) == len(set(ids)) == 8000


def _drains(settings: Settings, folder: Path, topics: Topics) -> bool:
    """Start the worker as its supervisor would; whether it processes all there is before it ends."""
    group = declare_groups(settings).worker
    with Running(settings, folder, "worker", name="next") as running:
        eventually(
            lambda: running.process.poll() is not None or lag(settings, group, topics.raw.name) == 0, "all or the end"
        )
        return running.process.poll() is None


def test_two_workers_share_the_partitions(settings: Settings, topics: Topics, tmp_path: Path) -> None:
    """A second worker joins under load and the first one leaves: each id once."""
    quick = {"session_timeout_s": 6.0}
    first = settings.model_copy(update=quick | {"state_dir": tmp_path / "one"})
    second = settings.model_copy(update=quick | {"state_dir": tmp_path / "two"})
    with Running(first, tmp_path, "worker", name="one") as one, Running(second, tmp_path, "worker", name="two") as two:
        one.await_ready()
        produce(settings, topics.raw.name, (score(f"s-{n}") for n in range(3000)))
        two.await_ready()
        produce(settings, topics.raw.name, (score(f"s-{n}") for n in range(1500, 4500)))
        assert one.stop() == 0
        produce(settings, topics.raw.name, (score(f"s-{n}") for n in range(3000, 6000)))
        await_processed(settings, topics)
    ids = enriched_ids(settings, topics)
    assert len(ids) == len(set(ids)) == 6000


def test_worker_frozen_past_its_session_is_fenced_when_it_wakes(
    settings: Settings, topics: Topics, tmp_path: Path
) -> None:
    """SIGSTOP under load, a successor takes over and goes on, SIGCONT: what the old owner had open comes to nothing."""
    quick = {"session_timeout_s": 6.0, "batch_events_max": 20}
    first = settings.model_copy(update=quick | {"state_dir": tmp_path / "one"})
    second = settings.model_copy(update=quick | {"state_dir": tmp_path / "two", "batch_events_max": 4000})
    produce(settings, topics.raw.name, (score(f"s-{n}") for n in range(20_000)))
    with Running(first, tmp_path, "worker", name="one") as one:
        # one that is frozen before it has opened a partition opens it when it wakes, and ends the successor
        eventually(lambda: one.log.count("open at offset") == topics.raw.partitions, "the first worker has all open")
        eventually(
            lambda: log_end(settings, topics.enriched.name, topics.enriched.partitions) > 1000,
            "the first worker is under way",
        )
        one.process.send_signal(signal.SIGSTOP)
        with Running(second, tmp_path, "worker", name="two") as two:
            # until it has fenced the frozen one, the group's offsets may be in an open transaction
            two.await_ready()
            taken_over = sum(int(offset) for offset in re.findall(r"open at offset (\d+)", two.log))
            assert 0 < taken_over < 20_000, "frozen too early or too late to be under way"
            await_processed(settings, topics)
            one.process.send_signal(signal.SIGCONT)
            produce(settings, topics.raw.name, (score(f"s-{n}") for n in range(10_000, 25_000)))
            await_processed(settings, topics)
            assert two.process.poll() is None, two.log
    ids = enriched_ids(settings, topics)
    assert len(ids) == len(set(ids)) == 25_000


@pytest.mark.parametrize("state", ["kept", "lost"])
def test_offset_that_was_set_back_writes_nothing_twice(
    settings: Settings, topics: Topics, tmp_path: Path, state: str
) -> None:
    """The group's offset expires or is reset: the changelog says what is settled, and the offset is mended."""
    broken = [(b"default/x", b"{broken")] * 3
    group = declare_groups(settings).worker
    with Running(settings, tmp_path, "worker") as running:
        running.await_ready()
        produce(settings, topics.raw.name, [*(score(f"s-{n}") for n in range(500)), *broken])
        await_processed(settings, topics)
        assert running.stop() == 0
    admin = AdminClient(client_options(settings))
    for future in admin.delete_consumer_groups([group]).values():
        future.result(30)
    if state == "lost":
        shutil.rmtree(settings.state_dir)
    with Running(settings, tmp_path, "worker") as running:
        running.await_ready()
        produce(settings, topics.raw.name, [score(f"s-{n}") for n in range(400, 600)])
        await_processed(settings, topics)
    assert "was set back or has expired" in running.log
    assert sorted(enriched_ids(settings, topics)) == sorted(f"s-{n}" for n in range(600))
    assert len(read_topic(settings, topics.rejected.name)) == len(broken)


def test_transactions_of_a_producer_are_read_as_it_meant_them(
    settings: Settings, topics: Topics, worker: Running
) -> None:
    """Aborted events are not scores, and the gaps that control records leave in the log stop nothing."""
    producer = Producer(client_options(settings, transactional_id=f"{settings.topic_prefix}emitter"))
    producer.init_transactions(30)
    for number in range(12):
        producer.begin_transaction()
        for part in range(3):
            key, value = score(f"{'good' if number % 3 else 'aborted'}-{number}-{part}")
            producer.produce(topics.raw.name, value, key, partition=0)
        producer.flush(30)
        if number % 3:
            producer.commit_transaction(30)
        else:
            producer.abort_transaction(30)
    await_processed(settings, topics)
    ids = enriched_ids(settings, topics)
    assert sorted(ids) == sorted(f"good-{number}-{part}" for number in range(12) if number % 3 for part in range(3))
    assert "failed" not in worker.log


def test_worker_that_no_longer_hears_of_configs_ends(settings: Settings, topics: Topics, worker: Running) -> None:
    """It would judge by old ones for ever: it says so and ends, and its next start names the missing topic."""
    admin = AdminClient(client_options(settings))
    admin.delete_topics([topics.configs.name])[topics.configs.name].result(30)
    assert worker.process.wait(DEADLINE_S) == CRASHED
    assert f"{topics.configs.name}: " in worker.log
    assert "create it with: scoreline topics; ending this process" in worker.log


def test_flood_of_rejections_stops_its_partition_loudly(settings: Settings, topics: Topics, tmp_path: Path) -> None:
    """One partition full of broken records stops and says why; the others go on, and the dead letters stay few."""
    careful = settings.model_copy(update={"reject_run_max": 50, "batch_events_max": 20})
    with Running(careful, tmp_path, "worker") as running:
        running.await_ready()
        produce(settings, topics.raw.name, ((b"default/same-key", b"{broken") for _ in range(500)))
        eventually(lambda: "rejections in a row (SCORELINE_REJECT_RUN_MAX=50)" in running.log, "the partition stops")
        produce(settings, topics.raw.name, (score(f"s-{n}") for n in range(200)))
        flooded = read_topic(settings, topics.rejected.name)[0].partition()
        expected = {m.value() for m in read_topic(settings, topics.raw.name) if m.partition() != flooded}
        eventually(
            lambda: len(read_topic(settings, topics.enriched.name)) == len(expected), "other partitions are processed"
        )
        assert not running.ready_file.exists()
        assert "malformed_json" in running.log
    assert len(read_topic(settings, topics.rejected.name)) < 50


def test_missing_topic_is_an_error(settings: Settings, tmp_path: Path) -> None:
    """Not an idle worker: it says which topics are missing and how they are made, and ends with status 1."""
    with Running(settings, tmp_path, "worker") as running:
        assert running.process.wait(60) == 1
        assert f"{settings.topic_prefix}scores.raw" in running.log
        assert "scoreline topics" in running.log


def test_wrong_setting_ends_the_start(settings: Settings) -> None:
    """The message names the setting; no traceback."""
    wrong = environment(settings) | {"SCORELINE_BATCH_EVENTS_MAX": "many"}
    command = [sys.executable, "-m", "scoreline.cli", "worker"]
    ended = subprocess.run(command, env=wrong, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 1
    assert "SCORELINE_BATCH_EVENTS_MAX" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_worker_waits_for_kafka_and_says_so(settings: Settings, tmp_path: Path) -> None:
    """Kafka away at start is waited for, naming address and setting."""
    away = settings.model_copy(update={"kafka": "127.0.0.1:1"})
    with Running(away, tmp_path, "worker") as running:
        eventually(lambda: "waiting for Kafka at 127.0.0.1:1 (SCORELINE_KAFKA)" in running.log, "message")
        assert running.process.poll() is None
        running.stop(signal.SIGINT)


def test_faust_command_runs_the_worker(settings: Settings, topics: Topics, tmp_path: Path) -> None:
    """`faust -A scoreline_streams.app worker` is the same worker, and opens no port."""
    log = tmp_path / "faust.log"
    with log.open("wb") as output:
        command = [sys.executable, "-m", "faust", "-A", "scoreline_streams.app", "worker", "-l", "info"]
        process = subprocess.Popen(command, env=environment(settings), stdout=output, stderr=output)
    try:
        produce(settings, topics.raw.name, [score(f"s-{n}") for n in range(50)])
        await_processed(settings, topics)
        listening = subprocess.run(["ss", "-ltnp"], capture_output=True, text=True, check=True).stdout
        assert f"pid={process.pid}," not in listening
    finally:
        process.terminate()
        assert process.wait(60) == 0
    assert len(enriched_ids(settings, topics)) == 50


def test_valid_payloads_reach_the_enriched_topic(settings: Settings, topics: Topics, worker: Running) -> None:
    """The shared valid payloads, each under an id of its own, through the real worker."""
    configs = [
        ScoreConfig(id="c", project=p, name="accuracy", data_type=DataType.NUMERIC) for p in ("default", "team-a")
    ]
    produce(settings, topics.configs.name, [(config.key, encode_config(config)) for config in configs])
    records = []
    for payload in valid_payloads():
        fields = json.loads(payload.value) | {"score_id": payload.name}
        key = f"{fields.get('project', 'default')}/{payload.name}".encode()
        records.append((key, json.dumps(fields).encode()))
    produce(settings, topics.raw.name, records)
    await_processed(settings, topics)
    assert sorted(enriched_ids(settings, topics)) == sorted(payload.name for payload in valid_payloads())
