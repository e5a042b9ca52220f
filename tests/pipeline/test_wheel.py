"""The built wheel in an environment of its own, as a new user has it."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.documents import ROOT
from tests.running_pipeline import Pipeline
from tests.support import environment

FIRST_SCORE = """
python -m pip --python env/bin/python install --quiet --no-deps --no-index dist/*.whl
export PATH=$PWD/env/bin:$PATH
python - <<END
import scoreline
scoreline.create_score(name="accuracy", value=0.92, trace_id="abcdef1234567890abcdef1234567890")
END
until scoreline query --name accuracy | grep 0.92; do sleep 0.2; done
"""


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    """A folder with the wheel in `dist` and an environment in `env` that has what the wheel asks for, locked as here,
    and nothing of this checkout."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path / "dist"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "env"], check=True)
    [packages] = tmp_path.glob("env/lib/python*/site-packages")
    # folders that a .pth file names are not searched for .pth files, so that the editable install stays out
    (packages / "locked.pth").write_text(sysconfig.get_path("purelib"))
    return tmp_path


def test_wheel_in_a_fresh_environment_to_a_row_in_clickhouse_in_under_ten_lines(
    pipeline: Pipeline, fresh: Path
) -> None:
    """Install, emit, ask: no gateway, no configuration but where Kafka and ClickHouse are."""
    assert len(FIRST_SCORE.strip().splitlines()) < 10
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    shell = {**environment(pipeline.settings), "PATH": path, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    done = subprocess.run(
        ["bash", "-euc", FIRST_SCORE], cwd=fresh, env=shell, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "0.92" in done.stdout
    assert pipeline.ask("SELECT name, value FROM scores") == [("accuracy", 0.92)]
    ask = "import scoreline, scoreline_sink; print(scoreline.__file__, scoreline_sink.__file__)"
    installed = subprocess.run(
        [fresh / "env/bin/python", "-c", ask], cwd=fresh, check=True, capture_output=True, text=True
    ).stdout.split()
    assert all(Path(file).is_relative_to(fresh) for file in installed)


def test_wheel_types_its_users(fresh: Path) -> None:
    """`py.typed` is in it, and the types of the calls reach whoever uses them."""
    install = ["install", "--quiet", "--no-deps", "--no-index", *map(str, fresh.glob("dist/*.whl"))]
    subprocess.run([sys.executable, "-m", "pip", "--python", fresh / "env/bin/python", *install], check=True)
    assert len(list(fresh.glob("env/lib/python*/site-packages/scoreline*/py.typed"))) >= 5
    (fresh / "service.py").write_text(
        "import scoreline\n"
        "from typing_extensions import reveal_type\n"
        'reveal_type(scoreline.create_score(name="n", value=1, trace_id="t"))\n'
        'reveal_type(scoreline.submit(name="n", value=1).wait(1).offset)\n'
        'reveal_type(scoreline.score_current_span(name="n", error="e"))\n'
        'scoreline.create_score(nme="n")\n'
        'scoreline.score_many([{"name": "n", "value": object()}])\n'
        "reveal_type(scoreline.consume)\n"
    )
    pyright = Path(sys.executable).with_name("pyright")
    shown = subprocess.run(
        [pyright, "--pythonpath", fresh / "env/bin/python", "service.py"],
        cwd=fresh,
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    assert 'Type of "scoreline.create_score(name="n", value=1, trace_id="t")" is "str"' in shown
    assert 'is "int | None"' in shown
    assert 'is "str | None"' in shown
    assert 'No parameter named "nme"' in shown
    assert '"object" is not assignable' in shown
    assert "ScoreConsumer" in shown
