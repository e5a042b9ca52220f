"""Kafka's jars: fetched once, checked against `kafka-4.3.0.lock`, kept in the user's cache folder.

The lock file names every jar by Maven coordinate and SHA-256. slf4j-simple is the one that Kafka does not ask for:
without a binding Kafka logs nothing, not even why it could not start. Other jars are had the same way, by a `JarSet`.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from scoreline.errors import StackError
from scoreline_local.datadir import locked

FETCH_S_MAX = 600.0
_REQUEST_S_MAX = 60
_CONNECTIONS_MAX = 8


@dataclass(frozen=True, slots=True)
class Jar:
    """One jar of the lock file."""

    sha256: str
    group: str
    artifact: str
    version: str

    @property
    def file_name(self) -> str:
        return f"{self.artifact}-{self.version}.jar"


@dataclass(frozen=True, slots=True)
class JarSet:
    """Jars that are fetched together."""

    name: str
    """Of their folder in the cache, and of the lock file, which is `<name>.lock`."""
    title: str
    """What they are, for people."""
    megabytes: int
    package: str
    """The Python package that holds the lock file."""

    @property
    def lock_name(self) -> str:
        return f"{self.name}.lock"


KAFKA = JarSet("kafka-4.3.0", "Kafka 4.3.0", 44, "scoreline_local")


def locked_jars(jar_set: JarSet = KAFKA) -> tuple[Jar, ...]:
    """Every jar of the lock file."""
    text = resources.files(jar_set.package).joinpath(jar_set.lock_name).read_text("ascii")
    rows = (line.split() for line in text.splitlines())
    return tuple(Jar(sha256, *coordinate.split(":")) for sha256, coordinate in rows)


def cache_folder(jar_set: JarSet = KAFKA) -> Path:
    """Where the jars lie: `$XDG_CACHE_HOME/scoreline/kafka-4.3.0`, by default below `~/.cache`."""
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    cache = given if given.is_absolute() else Path.home() / ".cache"
    return cache / "scoreline" / jar_set.name


def ensure_jars(tell: Callable[[str], None], jar_set: JarSet = KAFKA) -> Path:
    """The folder that holds exactly the locked jars; fetches them when they are not there yet.

    Two processes may ask at once: one fetches, the other waits for it.
    Raises StackError: nothing could fetch them, or a fetched jar is not the locked one.
    """
    folder = cache_folder(jar_set)
    jars = locked_jars(jar_set)
    if _complete(folder, jars):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with locked(folder.with_name(folder.name + ".lock"), wait_s=FETCH_S_MAX):
        if not _complete(folder, jars):
            tell(f"fetching {jar_set.title} ({len(jars)} jars, {jar_set.megabytes} MB) into {folder}")
            with tempfile.TemporaryDirectory(dir=folder.parent, prefix="fetch-") as staging:
                fetched = Path(staging) / "jars"
                fetched.mkdir()
                try:
                    _fetch(jars, fetched)
                except StackError as error:
                    raise StackError(
                        f"{jar_set.title} could not be fetched: {error}. Give this machine access to a Maven "
                        f"repository, or copy {folder} from one that has it"
                    ) from error
                check_jars(fetched, jars, jar_set)
                shutil.rmtree(folder, ignore_errors=True)
                fetched.rename(folder)
    return folder


def check_jars(folder: Path, jars: tuple[Jar, ...], jar_set: JarSet = KAFKA) -> None:
    """Raises StackError naming each jar that is missing in `folder` or is not the locked one."""
    wrong = [jar.file_name for jar in jars if _sha256(folder / jar.file_name) != jar.sha256]
    if wrong:
        raise StackError(
            f"{', '.join(wrong)}: not what {jar_set.lock_name} names by SHA-256; "
            "the Maven repository this machine is set to serves something else"
        )


def _complete(folder: Path, jars: tuple[Jar, ...]) -> bool:
    return all((folder / jar.file_name).is_file() for jar in jars)


def _sha256(path: Path) -> str | None:
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fetch(jars: tuple[Jar, ...], into: Path) -> None:
    failures: list[str] = []
    for way in (_fetch_by_mvn, _fetch_by_jgo):
        try:
            way(jars, into)
        except StackError as error:
            failures.append(str(error))
        else:
            return
    raise StackError("; ".join(failures))


def pom(jars: tuple[Jar, ...]) -> str:
    """A Maven project that depends on exactly these jars and on nothing that they ask for."""
    alone = "<exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion></exclusions>"
    dependencies = "\n".join(
        f"<dependency><groupId>{jar.group}</groupId><artifactId>{jar.artifact}</artifactId>"
        f"<version>{jar.version}</version>{alone}</dependency>"
        for jar in jars
    )
    return (
        "<project><modelVersion>4.0.0</modelVersion><groupId>scoreline</groupId><artifactId>local-kafka</artifactId>"
        f"<version>1</version><packaging>pom</packaging>\n<dependencies>\n{dependencies}\n</dependencies></project>\n"
    )


def _fetch_by_mvn(jars: tuple[Jar, ...], into: Path) -> None:
    mvn = shutil.which("mvn")
    if mvn is None:
        raise StackError("mvn is not on PATH")
    project = into.parent / "pom.xml"
    project.write_text(pom(jars), "utf-8")
    command = [mvn, "-q", "-B", "-f", str(project), "dependency:copy-dependencies", f"-DoutputDirectory={into}"]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=FETCH_S_MAX)
    except subprocess.TimeoutExpired as error:
        raise StackError(f"mvn took longer than {FETCH_S_MAX:.0f} s") from error
    except subprocess.CalledProcessError as error:
        said = next((line for line in error.stdout.splitlines() if "ERROR" in line), error.stderr.strip())
        raise StackError(f"mvn failed: {said[:500]}") from error


def _fetch_by_jgo(jars: tuple[Jar, ...], into: Path) -> None:
    try:
        from jgo.maven import MavenContext, PythonResolver
    except ImportError as error:
        raise StackError("jgo is not installed (pip install 'scoreline[local]')") from error
    maven = MavenContext(
        resolver=PythonResolver(), repo_cache=into.parent / "jgo", local_repos=[], timeout=_REQUEST_S_MAX
    )

    def take(jar: Jar) -> None:
        artifact = maven.project(jar.group, jar.artifact).at_version(jar.version).artifact()
        shutil.move(artifact.resolve(), into / jar.file_name)

    try:
        with ThreadPoolExecutor(_CONNECTIONS_MAX) as threads:
            list(threads.map(take, jars))
    except (OSError, RuntimeError) as error:
        raise StackError(f"jgo failed: {str(error)[:500]}") from error
