"""The toolchains that the examples need, and what they build, kept in the user's cache folder."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from scoreline_local.jars import cache_folder, ensure_jars
from tests.documents import ROOT

EXAMPLES = ROOT / "deploy" / "examples"
BUILD_S_MAX = 300
"""The first build of a machine compiles Go's standard library too: half a minute of two cores, more under load."""

Argv = list[str]
"""The command that runs an example; ids follow."""


def node() -> Argv:
    """The Node example with its locked packages."""
    program, npm = need("node", "Node.js 18 or newer"), need("npm", "npm")
    folder = kept(
        "node",
        lambda into: _build([npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"], into),
    )
    return [program, str(folder / "emit.js")]


def go() -> Argv:
    """The Go example, built from its locked modules."""
    program = need("go", "Go 1.26 or newer")
    folder = kept("go", lambda into: _build([program, "build", "-mod=readonly", "-o", "emit", "."], into))
    return [str(folder / "emit")]


def java() -> Argv:
    """The Java example on the jars of the local Kafka, which are what its pom.xml names."""
    program = need("java", "a JDK, 17 or newer")
    need("javac", "a JDK, 17 or newer: a Java machine alone compiles nothing")
    jars = ensure_jars(lambda _: None)
    return [program, "-Dfile.encoding=UTF-8", "-cp", f"{jars}/*", str(EXAMPLES / "java" / "EmitScores.java")]


def need(program: str, install: str) -> str:
    """Where `program` is; the test is skipped, with what to install, where it is nowhere."""
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not on PATH: install {install}")
    return found


def kept(example: str, build: Callable[[Path], None]) -> Path:
    """A copy of an example with what `build` made of it, once for each state of its files."""
    source = EXAMPLES / example
    files = sorted(path for path in source.iterdir() if path.is_file())
    digest = hashlib.sha256(b"".join(path.name.encode() + path.read_bytes() for path in files)).hexdigest()[:16]
    folder = cache_folder().parent / "examples" / f"{example}-{digest}"
    if folder.exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="build-") as staging:
        into = Path(staging) / example
        into.mkdir()
        for path in files:
            shutil.copy(path, into)
        build(into)
        try:
            into.rename(folder)
        except OSError:
            assert folder.exists(), "another run made it meanwhile"
    return folder


def pinned_jars() -> set[tuple[str, str]]:
    """Artifact and version of each dependency of the Java example."""
    pom = (EXAMPLES / "java" / "pom.xml").read_text()
    return set(re.findall(r"<artifactId>([^<]+)</artifactId>\s*<version>([^<]+)</version>\s*</dependency>", pom))


def _build(command: list[str], into: Path) -> None:
    environment = os.environ | {"CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false"}
    done = subprocess.run(
        command, cwd=into, env=environment, capture_output=True, text=True, timeout=BUILD_S_MAX, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
