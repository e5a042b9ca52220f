"""Several worker processes under one parent, as real processes on a real broker."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterable, Iterator
from pathlib import Path

import psutil
import pytest

from scoreline.kafka import ensure_topics
from scoreline.settings import Settings
from scoreline.topics import Topics, declare_groups, declare_topics
from scoreline_streams import processes
from scoreline_streams.processes import BACKOFF_S_MAX, backoff_s, own_settings
from tests.support import Running, eventually, lag, log_end, produce, read_topic


@pytest.fixture
def static(settings: Settings) -> Settings:
    """Static members: a process that was killed takes its partitions over at once when it is back."""
    return settings.model_copy(update={"instance_id": "w", "batch_events_max": 200})


@pytest.fixture
def topics(settings: Settings) -> Topics:
    ensure_topics(settings)
    return declare_topics(settings)


def scores(numbers: Iterable[int]) -> Iterator[tuple[bytes, bytes]]:
    for number in numbers:
        event = {"score_id": f"s-{number}", "name": "n", "value": 0.5, "trace_id": "t"}
        yield f"default/s-{number}".encode(), json.dumps(event).encode()


def await_processed(settings: Settings, topics: Topics) -> None:
    group = declare_groups(settings).worker
    eventually(lambda: lag(settings, group, topics.raw.name) == 0, "the workers have read all of raw")


def require_each_once(settings: Settings, topics: Topics, count: int) -> None:
    ids = [json.loads(message.value() or b"")["score_id"] for message in read_topic(settings, topics.enriched.name)]
    assert len(ids) == len(set(ids)) == count
    assert read_topic(settings, topics.rejected.name) == []


def children(running: Running) -> dict[str, psutil.Process]:
    """The living worker processes under a parent, by name."""
    found = {f"worker-{child.cmdline()[3]}": child for child in psutil.Process(running.process.pid).children()}
    return {name: child for name, child in found.items() if child.status() != psutil.STATUS_ZOMBIE}


def test_processes_have_folder_membership_and_ready_file_of_their_own() -> None:
    """All below the one state folder; no membership is made up where none is set."""
    settings = Settings(state_dir=Path("s"), instance_id="pod-0")
    own = [own_settings(settings, number) for number in (1, 2)]
    assert [each.state_dir for each in own] == [Path("s/worker-1"), Path("s/worker-2")]
    assert [each.instance_id for each in own] == ["pod-0-1", "pod-0-2"]
    assert len({each.ready_file for each in own}) == 2
    assert own_settings(Settings(), 1).instance_id is None


def test_waits_before_a_restart_grow_up_to_a_bound() -> None:
    """The first restart is quick; a process that cannot live does not use the machine up."""
    waits = [backoff_s(deaths) for deaths in range(1, 100)]
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (0.25, BACKOFF_S_MAX)


@pytest.mark.parametrize(("quota", "expected"), [("150000 100000", 2), ("50000 100000", 1), ("max 100000", 64)])
def test_cores_are_those_that_the_control_group_grants(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, quota: str, expected: int
) -> None:
    """A container with two cores on a machine of 64 runs two processes, not 64."""
    (tmp_path / "cpu.max").write_text(f"{quota}\n")
    monkeypatch.setattr(processes, "CGROUP_CPU", tmp_path / "cpu.max")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))
    assert processes.cores() == expected


def test_killed_process_comes_back_and_nothing_is_lost_or_doubled(
    static: Settings, topics: Topics, tmp_path: Path
) -> None:
    """kill -9 of one process under load: ready goes away and comes back; SIGTERM then ends all with status 0."""
    with Running(static, tmp_path, "worker", "--processes", "2") as running:
        running.await_ready()
        before = children(running)
        assert sorted(before) == ["worker-1", "worker-2"]
        produce(static, topics.raw.name, scores(range(6000)))
        eventually(lambda: log_end(static, topics.enriched.name, topics.enriched.partitions) > 500, "under way")
        before["worker-2"].kill()
        eventually(lambda: not running.ready_file.exists(), "not ready while one is away")
        produce(static, topics.raw.name, scores(range(3000, 9000)))
        running.await_ready()
        after = children(running)
        assert after["worker-1"].pid == before["worker-1"].pid
        assert after["worker-2"].pid != before["worker-2"].pid
        await_processed(static, topics)
        assert running.stop() == 0
        assert not running.ready_file.exists()
        assert not any(child.is_running() for child in after.values())
    assert "worker-2: killed by SIGKILL; starting it again in 0.25 s" in running.log
    opened = {name: set(re.findall(rf"{name}: partition (\d) open", running.log)) for name in after}
    assert all(opened.values())
    assert (static.state_dir / "worker-1" / topics.raw.name).is_dir()
    require_each_once(static, topics, 9000)


def test_processes_end_with_a_killed_parent(static: Settings, topics: Topics, tmp_path: Path) -> None:
    """kill -9 of the parent under load leaves no process that keeps partitions; the next start goes on."""
    with Running(static, tmp_path, "worker", "--processes", "2") as running:
        running.await_ready()
        left = children(running)
        produce(static, topics.raw.name, scores(range(6000)))
        eventually(lambda: log_end(static, topics.enriched.name, topics.enriched.partitions) > 500, "under way")
        running.kill()
        eventually(
            lambda: all(not c.is_running() or c.status() == psutil.STATUS_ZOMBIE for c in left.values()), "all end", 5.0
        )
    with Running(static, tmp_path, "worker", "--processes", "2", name="next") as running:
        running.await_ready()
        await_processed(static, topics)
        assert running.stop(signal.SIGINT) == 0
    require_each_once(static, topics, 6000)


def test_process_that_cannot_start_ends_all(settings: Settings, tmp_path: Path) -> None:
    """Without topics there is no restart loop: status 1, and the log says what is missing, in one process's name."""
    with Running(settings, tmp_path, "worker", "--processes", "2") as running:
        assert running.process.wait(60) == 1
    assert re.search(r"worker-\d: missing at .*scores\.raw.* create them with: scoreline topics", running.log)
    assert re.search(r"worker-\d cannot start \(exit status 1; its log says why\): ending all", running.log)
    assert running.log.count(": started, pid") == 2
    assert "Traceback" not in running.log


def test_more_processes_than_partitions_are_told(settings: Settings, tmp_path: Path) -> None:
    """They start, for another may end; but nobody has to wonder why they do nothing."""
    one = settings.model_copy(update={"partitions": 1})
    ensure_topics(one)
    with Running(one, tmp_path, "worker", "--processes", "2") as running:
        running.await_ready()
        assert "2 processes for 1 partitions (SCORELINE_PARTITIONS): 1 have nothing to do" in running.log
        assert running.stop() == 0
