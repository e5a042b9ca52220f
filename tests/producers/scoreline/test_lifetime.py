"""Servers that start, fork and end processes in ways of their own: what was emitted there arrives."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from scoreline.kafka import ensure_topics
from scoreline.settings import Settings
from scoreline_local.ports import pick_free
from tests.producers.scoreline.emitting import ids_on, run
from tests.support import environment, eventually


@pytest.fixture
def unhurried(settings: Settings) -> Settings:
    """Nothing is sent before it is flushed: a flush that is left out shows."""
    ensure_topics(settings)
    return settings.model_copy(update={"kafka_options": {"linger.ms": "60000"}})


def served(settings: Settings, folder: Path, *command: str) -> subprocess.Popen[bytes]:
    """A server of the module that stands in `folder`, in a session of its own."""
    options = json.dumps(settings.kafka_options)
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-W", "ignore", *command],
            cwd=folder,
            env=environment(settings) | {"SCORELINE_KAFKA_OPTIONS": options},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def ended(process: subprocess.Popen[bytes], number: int) -> None:
    process.send_signal(number)
    try:
        process.wait(30)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(30)


UVICORN = """
import os, scoreline

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await scoreline.flush_async()
        await send({"type": "lifespan.shutdown.complete"})
        return
    await scoreline.create_score_async(name="n", value=1, trace_id="t", score_id=scope["path"][1:])
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_uvicorn_that_is_terminated_flushes_in_its_lifespan(unhurried: Settings, tmp_path: Path, workers: int) -> None:
    """It ends itself by the signal, without atexit: the lifespan is where a service can flush."""
    (tmp_path / "service.py").write_text(UVICORN)
    [port] = pick_free(1)
    server = served(unhurried, tmp_path, "-m", "uvicorn", "service:app", "--port", str(port), f"--workers={workers}")

    def answers(path: str) -> bool:
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=5).status == 200
        except OSError:
            return False

    try:
        eventually(lambda: answers("s-0"), "the service answers")
        assert all(answers(f"s-{number}") for number in range(1, 6))
    finally:
        ended(server, signal.SIGTERM)
    assert sorted(set(ids_on(unhurried))) == [f"s-{number}" for number in range(6)]


def test_child_of_billiard_flushes_before_it_ends(unhurried: Settings) -> None:
    """It ends without atexit and without multiprocessing's finalizers, but with its own."""
    pytest.importorskip("billiard", reason="comes with celery, which is not installed here")
    code = """
import billiard, scoreline
scoreline.create_score(name='n', value=1, trace_id='t', score_id='parent')
def emit(n): scoreline.create_score(name='n', value=n, trace_id='t', score_id=f'child-{n}')
children = [billiard.Process(target=emit, args=(n,)) for n in range(3)]
for child in children: child.start()
for child in children: child.join()
assert [child.exitcode for child in children] == [0, 0, 0]
"""
    done = run(code, unhurried)
    assert (done.returncode, done.stderr) == (0, "")
    assert ids_on(unhurried) == ["child-0", "child-1", "child-2", "parent"]


CELERY = """
import scoreline
from celery import Celery

folders = {"data_folder_in": "queue", "data_folder_out": "queue", "control_folder": "control"}
app = Celery("service", broker="filesystem://", broker_transport_options=folders)

@app.task
def judge(number):
    scoreline.create_score(name="n", value=number, trace_id="t", score_id=f"s-{number:02d}")
"""


@pytest.mark.parametrize("recycling", [(), ("--max-tasks-per-child=3",)])
def test_celery_workers_flush_before_they_end(unhurried: Settings, tmp_path: Path, recycling: tuple[str, ...]) -> None:
    """They end by os._exit: its signal `worker_process_shutdown` is what is left."""
    pytest.importorskip("celery", reason="celery is not installed here")
    (tmp_path / "service.py").write_text(CELERY)
    (tmp_path / "queue").mkdir()
    (tmp_path / "control").mkdir()
    tasks = [sys.executable, "-W", "ignore", "-c", "import service\nfor n in range(12): service.judge.delay(n)"]
    subprocess.run(tasks, cwd=tmp_path, env=environment(unhurried), check=True)
    command = ("-m", "celery", "-A", "service", "worker", "-c", "2", "-l", "info")
    worker = served(unhurried, tmp_path, *command, *recycling)
    try:
        eventually(lambda: (tmp_path / "log").read_text().count("succeeded in") == 12, "all tasks are done")
    finally:
        ended(worker, signal.SIGTERM)
    assert ids_on(unhurried) == [f"s-{number:02d}" for number in range(12)]


def test_pool_of_processes_sends_the_scores_of_its_workers(unhurried: Settings) -> None:
    """concurrent.futures, whatever the way its children start; the parent has a client already."""
    code = """
import multiprocessing, scoreline
from concurrent.futures import ProcessPoolExecutor
from functools import partial
scoreline.create_score(name='n', value=1, trace_id='t', score_id='parent')
for way in ('fork', 'forkserver', 'spawn'):
    emit = partial(scoreline.create_score, name='n', value=1, trace_id='t', score_id=way)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(way)) as pool:
        pool.submit(emit).result(30)
"""
    done = run(code, unhurried)
    assert (done.returncode, done.stderr) == (0, "")
    assert ids_on(unhurried) == ["fork", "forkserver", "parent", "spawn"]
