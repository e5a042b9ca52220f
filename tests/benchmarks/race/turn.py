"""One turn of the race: topics made anew, one engine started, watched and stopped, its outputs inspected."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from scoreline.kafka import client_options, ensure_topics
from scoreline.settings import Settings
from scoreline.topics import declare_groups, declare_topics
from tests.benchmarks.harness import consume, machine
from tests.benchmarks.race.check import Findings, Output, inspect
from tests.benchmarks.race.engines import OURS, Engine, Start, Turn
from tests.benchmarks.race.load import Log
from tests.benchmarks.race.measure import Speed, Watch, speeds
from tests.support import DEADLINE_S, eventually

POLL_S = 0.25
FIRST_OUTPUT_S_MAX = 120.0
QUIET_S = 5.0
"""An engine that has written as much as it must and nothing more for so long is done."""
STALLED_S = 40.0
EVENTS_PER_S_MIN = 2000
"""A quick engine that is slower than this is stopped early too."""
COMPLETE, STOPPED = COUNTED = ("complete", "stopped early")
APPEND_TIME = {"message.timestamp.type": "LogAppendTime"}


@dataclass
class Result:
    """What one turn found."""

    engine: str
    round: int
    ended: str
    """`complete`, or how it came to its end before it had written everything."""
    whole: Speed
    warm: Speed
    """The later half of the outputs."""
    peak_rss_mb: int
    load: float
    findings: Findings

    @property
    def is_wrong(self) -> bool:
        return self.ended not in COUNTED or self.findings.is_wrong(self.ended == COMPLETE)

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"wrong": self.is_wrong}


def take_turn(engine: Engine, settings: Settings, number: int, seconds: float, log: Log, folder: Path) -> Result:
    """Let one engine do the work, stop a slow one `seconds` after its first output, and look at what it wrote."""
    state = folder / "state"
    shutil.rmtree(state, ignore_errors=True)
    state.mkdir(parents=True)
    enriched = declare_topics(settings).enriched
    out = enriched.name if engine.name == OURS else f"race.{engine.name}.{number}"
    turn = Turn(settings, f"race.{engine.name}.{number}", out, state)
    admin = AdminClient(client_options(settings))
    _clear(admin, settings)
    _create(admin, NewTopic(out, settings.partitions, 1, config=enriched.config | APPEND_TIME))
    if engine.name == OURS:
        ensure_topics(settings)
    limit_s = log.records / EVENTS_PER_S_MIN if engine.is_quick else seconds
    told = folder / f"{engine.name}.log"
    process = _launch(engine.start(turn), told)
    try:
        with Watch(process.pid) as watch:
            ended, until = _await_end(process, settings, out, log.distinct, limit_s)
            _stop(process)
        findings, times_ms = inspect(log, _outputs(settings, out))
        if ended == STOPPED and not findings.missing:
            ended = COMPLETE
        whole, warm = speeds(watch, times_ms, log.records / log.distinct, until * 1000)
    finally:
        _stop(process)
        shutil.rmtree(state, ignore_errors=True)
    if ended not in COUNTED:
        ended += f"; see {told}"
    rss = round(watch.peak_rss_bytes / 2**20)
    return Result(engine.name, number, ended, whole, warm, rss, machine()["load_1_min"], findings)


def _launch(start: Start, log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        if start.before:
            # when it fails, so will the engine, which is reported
            subprocess.run(start.before, env=start.environment, check=False, stdout=output, stderr=output)
        return subprocess.Popen(
            start.command,
            env=start.environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def _await_end(
    process: subprocess.Popen[bytes], settings: Settings, out: str, wanted: int, limit_s: float
) -> tuple[str, float]:
    """Return how the engine came to its end, and the Unix time until which outputs count."""
    reader = Consumer(client_options(settings, group_id="race.watch"))
    places = [TopicPartition(out, partition) for partition in range(settings.partitions)]
    changed = time.time()
    first, written = 0.0, 0
    try:
        while True:
            time.sleep(POLL_S)
            now = time.time()
            end = sum(reader.get_watermark_offsets(place, timeout=10)[1] for place in places)
            if end > written:
                written, changed, first = end, now, first or now
            if process.poll() is not None:
                return f"ended by itself with status {process.returncode}", now
            if written >= wanted and now - changed > QUIET_S:
                return COMPLETE, now
            if first and now - first > limit_s:
                return STOPPED, now
            if now - changed > (STALLED_S if first else FIRST_OUTPUT_S_MAX):
                return f"wrote nothing for {now - changed:.0f} s" if first else "wrote nothing", now
    finally:
        reader.close()


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(DEADLINE_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(DEADLINE_S)


def _outputs(settings: Settings, out: str) -> Iterator[Output]:
    for messages in consume(settings, out):
        for message in messages:
            yield Output(message.partition(), message.key(), message.value(), message.timestamp()[1])


def _create(admin: AdminClient, topic: NewTopic) -> None:
    admin.create_topics([topic])[topic.topic].result(DEADLINE_S)
    eventually(lambda: topic.topic in admin.list_topics(timeout=10).topics, f"{topic.topic} is shown")


def _clear(admin: AdminClient, settings: Settings) -> None:
    """Delete every topic but the input, and our worker's group: each turn begins at the beginning."""
    raw = declare_topics(settings).raw.name

    def left() -> list[str]:
        return [name for name in admin.list_topics(timeout=10).topics if name != raw and not name.startswith("__")]

    for future in admin.delete_topics(left()).values():
        future.result(DEADLINE_S)
    eventually(lambda: not left(), "the topics of the turn before are deleted")
    group = declare_groups(settings).worker
    if group in {found.group_id for found in admin.list_consumer_groups().result(DEADLINE_S).valid}:
        eventually(lambda: _delete_group(admin, group), f"the group {group} is deleted")


def _delete_group(admin: AdminClient, group: str) -> bool:
    try:
        admin.delete_consumer_groups([group])[group].result(DEADLINE_S)
    except KafkaException:
        return False
    return True
