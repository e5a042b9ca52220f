"""The release before runs beside this one while its processes are replaced, one by one, under load."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from scoreline.settings import Settings
from scoreline_sink.plan import Plan, Range, decode_all, encode_all
from tests.load import Load
from tests.running_pipeline import Pipeline
from tests.support import Running, environment

ROOT = Path(__file__).parents[2]
PREVIOUS = Path(__file__).with_name("previous.txt")
MIGRATIONS = "sinks/scoreline_sink/migrations"
ROOTS = ("producers", "streams", "sinks", "deploy/local")


@pytest.fixture
def previous(tmp_path: Path) -> dict[str, str]:
    """The environment in which Python imports the release before, out of this repository's history."""
    commit = PREVIOUS.read_text().strip()
    packed = subprocess.run(["git", "archive", commit, *ROOTS], cwd=ROOT, capture_output=True, check=False)
    if packed.returncode:
        pytest.skip(f"{commit}, the release before, is not in this clone's history (shallow?)")
    folder = tmp_path / "previous"
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        archive.extractall(folder, filter="data")
    # until the first release, migrations were rewritten: the programs before this one's meet this one's tables
    shutil.copytree(ROOT / MIGRATIONS, folder / MIGRATIONS, dirs_exist_ok=True)
    return {"PYTHONPATH": os.pathsep.join(str(folder / root) for root in ROOTS)}


def test_processes_of_two_releases_work_side_by_side(
    settings: Settings, tmp_path: Path, previous: dict[str, str]
) -> None:
    """Two workers and two sinks, replaced one by one in the documented order, one new sink killed while an old one
    runs: nothing is lost or doubled."""

    def begin(command: str, slot: str, environ: dict[str, str], name: str) -> Running:
        own = {"state_dir": tmp_path / "state" / slot, "instance_id": f"{command}-{slot}", "session_timeout_s": 6.0}
        own |= {"insert_rows_max": 50, "insert_linger_s": 0.02}
        return Running(settings.model_copy(update=own), tmp_path, command, name=f"{command}-{name}", environ=environ)

    code = "import scoreline_sink.plan as plan; print(plan.__file__, hasattr(plan, 'OPEN_PLANS_MAX'))"
    where = subprocess.run([sys.executable, "-c", code], env=os.environ | previous, capture_output=True, text=True)
    assert where.stdout.split() == [str(tmp_path / "previous/sinks/scoreline_sink/plan.py"), "False"]

    for command in ("topics", "migrate"):
        subprocess.run([sys.executable, "-m", "scoreline.cli", command], env=environment(settings), check=True)
    slots = ("a", "b")
    running = {
        (command, slot): begin(command, slot, previous, f"old-{slot}")
        for command in ("worker", "sink")
        for slot in slots
    }
    try:
        for each in running.values():
            each.await_ready()
        with Load(settings) as load:
            load.goes_on()
            for command, slot in (("worker", "a"), ("sink", "a"), ("sink", "b"), ("worker", "b")):
                assert running[command, slot].stop() == 0, running[command, slot].log
                running[command, slot] = begin(command, slot, {}, f"new-{slot}")
                running[command, slot].await_ready()
                load.goes_on()
                if (command, slot) == ("sink", "a"):
                    running[command, slot].kill()
                    load.goes_on()
                    running[command, slot] = begin(command, slot, {}, f"again-{slot}")
                    running[command, slot].await_ready()
                    if running["sink", "b"].process.poll() is not None:
                        assert "no plan that this release reads" in running["sink", "b"].log
                        running["sink", "b"] = begin("sink", "b", previous, "old-again-b").await_ready()
        pipeline = Pipeline(settings, running["worker", "a"], running["sink", "a"])
        pipeline.drain()
        proof = json.loads(pipeline.run("reconcile", "--json"))
        assert (proof["ok"], proof["raw"], proof["stored"]) == (True, load.sent, load.ids)
        assert (proof["duplicate"], proof["unverifiable"]) == (load.sent - load.ids, 0)
        assert pipeline.ask("SELECT count(), uniqExact(score_id) FROM scores") == [(load.ids, load.ids)]
    finally:
        for each in running.values():
            if each.process.poll() is None:
                each.kill()


def test_commit_metadata_is_read_both_ways_or_refused_with_the_remedy(previous: dict[str, str]) -> None:
    """The release before reads a plan of this one, and ends at two: so all sinks are replaced before long. This one
    reads what the other writes."""
    plans = [Plan((Range(partition, 10, 29, 20), Range(partition + 1, 5, 5, 1)), partition) for partition in (0, 7)]
    code = "import sys; from scoreline_sink.plan import decode, encode; print(encode(decode(sys.argv[1])))"

    def read_by_previous(metadata: str) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-c", code, metadata]
        return subprocess.run(line, env=os.environ | previous, capture_output=True, text=True, check=False)

    one = encode_all(plans[:1])
    assert decode_all(read_by_previous(one).stdout.strip()) == (plans[0],)
    assert "run the release that wrote it once more until its lag is 0" in read_by_previous(encode_all(plans)).stderr
