"""The data folder: only what is ours is taken over or deleted."""

from __future__ import annotations

from pathlib import Path

import pytest

from scoreline.errors import StackError
from scoreline_local.datadir import DataDir, adopt, erase, is_locked, locked, write_private


def test_folder_of_somebody_else_is_left_alone(data: DataDir) -> None:
    """A mistyped --data-dir must not scatter files into a home folder."""
    data.root.mkdir()
    (data.root / "thesis.tex").write_text("years of work")
    with pytest.raises(StackError, match=r"thesis\.tex.*--data-dir"):
        adopt(data)
    with pytest.raises(StackError, match="not emptied"):
        erase(data)
    assert [path.name for path in data.root.iterdir()] == ["thesis.tex"]


def test_fresh_deletes_what_the_stack_keeps_and_nothing_else(data: DataDir, tmp_path: Path) -> None:
    """Also where a link points out of the folder."""
    adopt(data)
    (data.kafka / "log").write_text("records")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept").touch()
    data.worker_state.rmdir()
    data.worker_state.symlink_to(elsewhere)
    (data.root / "notes.txt").touch()
    erase(data)
    assert sorted(path.name for path in data.root.iterdir()) == ["notes.txt", data.marker.name]
    assert (elsewhere / "kept").exists()


def test_folder_that_only_a_worker_has_used_is_taken_over(data: DataDir) -> None:
    """A worker run by hand keeps its state in `.scoreline/state` by default."""
    data.worker_state.mkdir(parents=True)
    adopt(data)
    assert data.marker.is_file()


def test_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """A file lies where the folder should be."""
    (tmp_path / "file").touch()
    with pytest.raises(StackError, match="cannot be used"):
        adopt(DataDir(tmp_path / "file"))


def test_lock_is_seen_while_it_is_held_and_not_after(tmp_path: Path) -> None:
    """It tells whether a supervisor lives, whatever pid a file still names."""
    path = tmp_path / "lock"
    assert not is_locked(path)
    with locked(path):
        assert is_locked(path)
        with pytest.raises(StackError, match="held by another process"), locked(path):
            pass
    assert not is_locked(path)


def test_private_file_is_replaced_whole(tmp_path: Path) -> None:
    """Who opened it before reads the old one to its end, and nothing is left beside it."""
    path = tmp_path / "state.json"
    write_private(path, "old")
    with path.open() as reader:
        write_private(path, "new")
        assert reader.read() == "old"
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]
