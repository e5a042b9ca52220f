"""The engines of the race: where each is had from, and how each is started.

`ours` is the installed worker, started as a user starts it. Stock Faust is the faust-streaming that our worker is
built on. Quix Streams and Bytewax get an environment each, from lock files with hashes; Kafka Streams gets jars by
SHA-256 beside the broker's, and is compiled by Eclipse's compiler, which runs where there is no JDK.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from scoreline.errors import StackError
from scoreline.settings import Settings
from scoreline.topics import declare_topics
from scoreline_local.jars import JarSet, ensure_jars
from scoreline_local.java import find_java
from tests.benchmarks.harness import NotAvailable, say
from tests.support import environment

PEERS = Path(__file__).parent / "peers"
KAFKA_STREAMS = JarSet("kafka-streams-4.3.0", "Kafka Streams 4.3.0", 78, "tests.benchmarks.race")
JVM = ("-Xms1g", "-Xmx1g", "-XX:+UseParallelGC")
INSTALL_S_MAX = 600.0
OURS = "ours"


@dataclass(frozen=True)
class Turn:
    """One life of an engine."""

    settings: Settings
    group: str
    out: str
    """The topic that it writes to."""
    folder: Path
    """For its state; empty."""


@dataclass(frozen=True)
class Start:
    """A process to start."""

    command: list[str]
    environment: Mapping[str, str]
    before: list[str] = field(default_factory=list[str])
    """A command that has to run first."""


@dataclass(frozen=True)
class Engine:
    """One engine, provided and ready to be started."""

    name: str
    title: str
    guarantee: str
    is_quick: bool
    """Whether it gets the whole input; the others are stopped early."""
    start: Callable[[Turn], Start]


def provide(name: str, build: Path) -> Engine:
    """The engine of that name; installs below `build` what it needs. Raises NotAvailable."""
    return ENGINES[name](build)


def ours(_build: Path) -> Engine:
    """Our worker with everything on; writes to `scores.enriched`."""

    def start(turn: Turn) -> Start:
        settings = turn.settings.model_copy(update={"state_dir": turn.folder})
        return Start([sys.executable, "-m", "scoreline.cli", "worker"], environment(settings))

    return Engine(OURS, "scoreline worker", "exactly-once, changelog", True, start)


def kafka_streams(build: Path) -> Engine:
    """Kafka Streams in Java, one thread."""
    try:
        java, kafka, jars = find_java(), ensure_jars(say), ensure_jars(say, KAFKA_STREAMS)
    except StackError as error:
        raise NotAvailable(str(error)) from error
    class_path, classes = f"{kafka}/*:{jars}/*", build / "classes"
    compiler = [str(java), "-cp", class_path, "org.eclipse.jdt.internal.compiler.batch.Main", "-17", "-nowarn"]
    listed = ":".join(str(jar) for folder in (kafka, jars) for jar in sorted(folder.glob("*.jar")))
    _run([*compiler, "-cp", listed, "-d", str(classes), str(PEERS / "Race.java")], "the compiler")
    logging = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
    command = [str(java), *JVM, logging, "-cp", f"{classes}:{class_path}", "Race"]
    title = "Kafka Streams, one thread"
    return Engine("kafka-streams", title, "exactly-once, changelog", True, lambda turn: Start(command, _peer(turn)))


def faust(_build: Path) -> Engine:
    """Stock Faust as it is by default."""
    return _faust("faust", "stock Faust with a table", "at-least-once, changelog", "at_least_once")


def faust_eos(_build: Path) -> Engine:
    """Stock Faust with what it calls exactly-once."""
    return _faust("faust-eos", "  its exactly_once", "outputs in no transaction", "exactly_once")


def _faust(name: str, title: str, promised: str, guarantee: str) -> Engine:
    worker = ["-A", "faust_peer", "-L", "uvloop", "worker", "-l", "warn", "--without-web"]
    command = [sys.executable, "-m", "faust", *worker]
    return Engine(name, title, promised, False, lambda turn: Start(command, _peer(turn) | {"GUARANTEE": guarantee}))


def quix(build: Path) -> Engine:
    """Quix Streams, exactly-once."""
    python = _environment(build, "quix")
    command = [str(python), str(PEERS / "quix_peer.py")]
    return Engine("quix", "Quix Streams", "exactly-once, changelog", False, lambda turn: Start(command, _peer(turn)))


def bytewax(build: Path) -> Engine:
    """Bytewax with recovery."""
    python = str(_environment(build, "bytewax"))

    def start(turn: Turn) -> Start:
        folder = str(turn.folder)
        command = [python, "-m", "bytewax.run", "bytewax_peer", "-r", folder, "-s", "5", "-b", "0"]
        return Start(command, _peer(turn), [python, "-m", "bytewax.recovery", folder, "1"])

    return Engine("bytewax", "Bytewax", "at-least-once, snapshots", False, start)


ENGINES: dict[str, Callable[[Path], Engine]] = {
    OURS: ours,
    "kafka-streams": kafka_streams,
    "quix": quix,
    "bytewax": bytewax,
    "faust": faust,
    "faust-eos": faust_eos,
}
DEFAULT = (OURS, "kafka-streams", "quix", "bytewax", "faust")


def _peer(turn: Turn) -> dict[str, str]:
    """The environment of a peer's process."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("SCORELINE_", "PYTHON"))}
    return clean | {
        "KAFKA": turn.settings.kafka,
        "RAW": declare_topics(turn.settings).raw.name,
        "OUT": turn.out,
        "GROUP": turn.group,
        "STATE": str(turn.folder),
        "PYTHONPATH": str(PEERS),
    }


def _environment(build: Path, peer: str) -> Path:
    """The Python of a peer's own environment, made when its lock file has changed. Raises NotAvailable."""
    folder, lock = build / f"venv-{peer}", PEERS / f"{peer}.lock"
    python, mark = folder / "bin" / "python", folder / ".installed"
    wanted = hashlib.sha256(lock.read_bytes()).hexdigest()
    if not mark.is_file() or mark.read_text() != wanted:
        say(f"installing {peer} into {folder}")
        shutil.rmtree(folder, ignore_errors=True)
        _run([sys.executable, "-m", "venv", str(folder)], "venv")
        install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:"]
        _run([str(python), *install, "--require-hashes", "-r", str(lock)], "pip")
        mark.write_text(wanted)
    return python


def _run(command: list[str], what: str) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=INSTALL_S_MAX)
    except subprocess.TimeoutExpired as error:
        raise NotAvailable(f"{what} took longer than {INSTALL_S_MAX:.0f} s") from error
    except subprocess.CalledProcessError as error:
        said = (error.stderr or error.stdout).strip().splitlines()
        why = next((line for line in reversed(said) if "ERROR" in line.upper()), said[-1] if said else "")
        raise NotAvailable(f"{what} failed: {why[:300]}") from error
