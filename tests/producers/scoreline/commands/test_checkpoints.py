"""How far an import got."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from scoreline.commands.checkpoints import Checkpoint, journal_of
from scoreline.errors import SettingsError


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file to import, and a state folder of its own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    file = tmp_path / "scores.csv"
    file.write_text("a\n1\n")
    return file


def test_checkpoint_is_found_again(file: Path) -> None:
    """Until it is removed."""
    assert journal_of(file, "m").load() == Checkpoint(0, 0, 0)
    journal_of(file, "m").save(Checkpoint(3, 2, 1))
    journal_of(file, "m").save(Checkpoint(30, 20, 10))
    assert journal_of(file, "m").load() == Checkpoint(30, 20, 10)
    assert journal_of(file, "m").path.parent == file.parent / "state" / "scoreline" / "imports"
    journal_of(file, "m").remove()
    assert journal_of(file, "m").load() == Checkpoint(0, 0, 0)


def test_other_file_mapping_or_target_is_another_import(file: Path) -> None:
    """A checkpoint says nothing about rows that were read otherwise."""
    journal_of(file, "m").save(Checkpoint(3, 2, 1))
    assert journal_of(file, "n").load() == Checkpoint()
    stat = file.stat()
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    assert journal_of(file, "m").load() == Checkpoint()


def test_damaged_checkpoint_starts_over_and_says_so(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Rows sent twice are duplicates; rows left out would be lost."""
    journal = journal_of(file)
    journal.save(Checkpoint(3, 2, 1))
    journal.path.write_text('{"rows": 3')
    assert journal.load() == Checkpoint()
    assert "starts over" in caplog.text


def test_unwritable_state_names_the_remedy(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An import that could not be resumed says so before it begins."""
    monkeypatch.setenv("XDG_STATE_HOME", str(file))
    with pytest.raises(SettingsError, match="set XDG_STATE_HOME"):
        journal_of(file).save(Checkpoint())
