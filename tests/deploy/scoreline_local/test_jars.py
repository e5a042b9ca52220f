"""Kafka's jars: fetched by what is there, checked, installed whole or not at all."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest

from scoreline.errors import StackError
from scoreline_local import jars
from scoreline_local.jars import cache_folder, check_jars, ensure_jars, locked_jars


def _silent(_: str) -> None:
    pass


def test_lock_names_kafka_and_a_logger() -> None:
    """Without slf4j-simple Kafka would not even say why it cannot start."""
    names = {jar.file_name for jar in locked_jars()}
    assert {"kafka_2.13-4.3.0.jar", "kafka-server-4.3.0.jar", "slf4j-simple-1.7.36.jar"} <= names
    assert len(names) == len(locked_jars()) == 46


def test_altered_and_missing_jars_are_named(tmp_path: Path) -> None:
    """What a registry serves is believed only when its SHA-256 is the locked one."""
    some = locked_jars()[:2]
    (tmp_path / some[0].file_name).write_bytes(b"not the jar")
    with pytest.raises(StackError) as caught:
        check_jars(tmp_path, some)
    assert some[0].file_name in str(caught.value)
    assert some[1].file_name in str(caught.value)


def test_failed_fetch_leaves_nothing_and_names_both_ways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A half-filled cache would be worse than none; the error says what to do."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "jgo.maven", None)
    with pytest.raises(StackError, match=r"mvn is not on PATH; jgo is not installed.*Maven repository"):
        ensure_jars(_silent)
    assert [path.name for path in cache_folder().parent.iterdir()] == ["kafka-4.3.0.lock"]


def test_mvn_that_fails_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy or a wrong settings.xml shows only in what mvn says."""
    mvn = tmp_path / "mvn"
    mvn.write_text("#!/bin/sh\necho '[ERROR] no route to the repository'; exit 1\n")
    mvn.chmod(0o755)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    monkeypatch.setitem(sys.modules, "jgo.maven", None)
    with pytest.raises(StackError, match="no route to the repository"):
        ensure_jars(_silent)


def test_two_that_ask_at_once_fetch_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second waits for the first and finds the jars there."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    fetches: list[int] = []
    both_ask = threading.Barrier(2)

    def fetch(wanted: tuple[jars.Jar, ...], into: Path) -> None:
        fetches.append(1)
        for jar in wanted:
            (into / jar.file_name).touch()

    def ask() -> None:
        both_ask.wait(10)
        found.append(ensure_jars(_silent))

    monkeypatch.setattr(jars, "_fetch", fetch)
    monkeypatch.setattr(jars, "check_jars", lambda *_: None)
    found: list[Path] = []
    askers = [threading.Thread(target=ask) for _ in range(2)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join(30)
    assert found == [cache_folder()] * 2
    assert len(fetches) == 1


@pytest.mark.network
def test_machine_without_mvn_fetches_the_same_jars(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """jgo downloads what mvn would, byte for byte."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    check_jars(ensure_jars(_silent), locked_jars())
    assert [path.name for path in sorted(cache_folder().parent.iterdir())] == ["kafka-4.3.0", "kafka-4.3.0.lock"]
