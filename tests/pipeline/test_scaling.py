"""Workers and sinks that come and go while scores are emitted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from scoreline.settings import Settings
from tests.load import Load
from tests.running_pipeline import Pipeline
from tests.support import Running, environment, eventually


def test_workers_and_sinks_are_added_and_removed_under_load(settings: Settings, tmp_path: Path) -> None:
    """A second of each joins, works, and the first ones leave, one of them by kill -9: lag returns to 0, and the proof
    finds every score stored or a duplicate, once."""

    def begin(command: str, name: str, *more: str) -> Running:
        own = {"state_dir": tmp_path / name, "instance_id": name, "session_timeout_s": 6.0}
        return Running(settings.model_copy(update=own), tmp_path, command, *more, name=name)

    for command in ("topics", "migrate"):
        subprocess.run([sys.executable, "-m", "scoreline.cli", command], env=environment(settings), check=True)
    with begin("worker", "worker-a") as worker_a, begin("sink", "sink-a") as sink_a, Load(settings) as load:
        worker_a.await_ready()
        sink_a.await_ready()
        load.goes_on()
        with begin("worker", "worker-b", "--processes", "2") as worker_b, begin("sink", "sink-b") as sink_b:
            worker_b.await_ready()
            sink_b.await_ready()
            eventually(lambda: "open at offset" in worker_b.log, "the new workers have partitions")
            eventually(lambda: "scores.enriched: assigned partitions [" in sink_b.log, "the new sink has partitions")
            load.goes_on()
            assert worker_a.stop() == 0
            sink_a.kill()
            load.goes_on()
            load.stop()
            pipeline = Pipeline(settings, worker_b, sink_b)
            pipeline.drain()
            proof = json.loads(pipeline.run("reconcile", "--json"))
            assert (proof["ok"], proof["raw"], proof["stored"]) == (True, load.sent, load.ids)
            assert (proof["duplicate"], proof["unverifiable"]) == (load.sent - load.ids, 0)
            assert pipeline.ask("SELECT count(), uniqExact(score_id) FROM scores") == [(load.ids, load.ids)]
            assert (worker_b.stop(), sink_b.stop()) == (0, 0)
