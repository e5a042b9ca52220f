"""The state on disk: RocksDB and the packed changelog's format."""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path

import pytest
from rocksdict import AccessType, Options, Rdict

from scoreline.errors import StateError
from scoreline_streams.changelog import ENTRIES_MAX, pack, unpack
from scoreline_streams.deduplicate import OFFSET_MAX, first_offset, id_hash, pack_seen, same_content
from scoreline_streams.state import State
from tests.support import eventually

A, B, C = (id_hash(name) for name in (b"a", b"b", b"c"))
SEEN = pack_seen(41, b"content1")


def test_entry_gives_back_offset_and_content() -> None:
    """48 bits of offset, 8 bytes of content."""
    for offset in (0, 1, OFFSET_MAX):
        seen = pack_seen(offset, b"content1")
        assert first_offset(seen) == offset
        assert same_content(seen, b"content1")
        assert not same_content(seen, b"content2")


def test_state_survives_closing(tmp_path: Path) -> None:
    """What was written is there again, with the changelog position that belongs to it."""
    state = State(tmp_path / "0", "topic-1")
    state.changelog_next = 12
    state.write({A: SEEN, B: SEEN})
    state.write({B: None})
    state.close()
    again = State(tmp_path / "0", "topic-1")
    assert again.look_up([A, B, C, A]) == [SEEN, None, None, SEEN]
    assert again.changelog_next == 12
    again.close()


def test_state_of_another_topic_is_not_used(tmp_path: Path) -> None:
    """A recreated cluster with an old state directory must not drop scores as duplicates."""
    state = State(tmp_path / "0", "topic-1")
    state.changelog_next = 12
    state.write({A: SEEN})
    state.close()
    other = State(tmp_path / "0", "topic-2")
    assert other.look_up([A]) == [None]
    assert other.changelog_next == 0
    other.close()


def test_horizon_forgets_old_ids_and_can_be_changed(tmp_path: Path) -> None:
    """RocksDB drops expired entries when it compacts; for ever keeps them; both have one form on disk."""
    days = 10
    state = State(tmp_path / "0", "topic-1", days)
    state.write({A: SEEN})
    assert state.look_up([A]) == [SEEN]
    state.close()
    forever = State(tmp_path / "0", "topic-1", None)
    assert forever.look_up([A]) == [SEEN]
    forever.close()
    options = Options(raw_mode=True)
    short = Rdict(str(tmp_path / "0"), options, access_type=AccessType.with_ttl(1))
    written = time.monotonic()
    eventually(lambda: time.monotonic() - written > 2.0, "older than the horizon of a second")
    short.compact_range(None, None)
    short.close()
    again = State(tmp_path / "0", "topic-1", days)
    assert again.look_up([A]) == [None]
    again.close()


@pytest.mark.parametrize(("file", "at"), [("CURRENT", 0.5), ("MANIFEST-*", 0.5), ("*.sst", 0.999)])
def test_state_that_cannot_be_opened_is_rebuilt(tmp_path: Path, file: str, at: float) -> None:
    """Broken files mean an empty state, to be filled from the changelog, not a worker that cannot start."""
    folder, keys = tmp_path / "0", _written(tmp_path / "0")
    _damage(folder, file, at)
    again = State(folder, "topic-1")
    assert again.look_up(keys) == [None] * len(keys)
    assert again.changelog_next == 0
    assert again.is_empty
    again.close()


@pytest.mark.parametrize("file", ["*.sst", "CURRENT", "MANIFEST-*"])
def test_cut_or_missing_files_are_rebuilt(tmp_path: Path, file: str) -> None:
    """What a full disk or a careless hand leaves."""
    for cut in (lambda path: os.truncate(path, path.stat().st_size // 2), Path.unlink):
        folder, keys = tmp_path / "0", _written(tmp_path / "0")
        for path in folder.glob(file):
            cut(path)
        again = State(folder, "topic-1")
        assert again.look_up(keys) == [None] * len(keys)
        assert again.changelog_next == 0
        again.close()


def test_damage_found_by_a_look_up_is_no_unseen_id(tmp_path: Path) -> None:
    """It raises, and the next start has an empty state: never the same damage again, never a wrong answer."""
    folder, keys = tmp_path / "0", _written(tmp_path / "0")
    _damage(folder, "*.sst", 0.3)
    state = State(folder, "topic-1")
    assert state.changelog_next == 7
    with pytest.raises(StateError, match="rebuilt at the next start"):
        state.look_up(keys)
    state.close()
    again = State(folder, "topic-1")
    assert again.is_empty
    assert again.look_up(keys) == [None] * len(keys)
    again.close()


def test_damage_found_by_a_compaction_is_not_met_again(tmp_path: Path) -> None:
    """RocksDB takes no more writes then, in this life and in every later one with these files."""
    folder, _ = tmp_path / "0", _written(tmp_path / "0")
    _damage(folder, "*.sst", 0.3)
    state = State(folder, "topic-1")
    state.write({A: SEEN})
    _compact(state)
    with pytest.raises(StateError, match="rebuilt at the next start"):
        state.write({B: SEEN})
    state.close()
    again = State(folder, "topic-1")
    assert again.is_empty
    again.write({A: SEEN})
    assert again.look_up([A]) == [SEEN]
    again.close()


def test_state_without_a_position_is_rebuilt(tmp_path: Path) -> None:
    """The position is an entry like any other and can expire before its neighbours do."""
    folder, keys = tmp_path / "0", _written(tmp_path / "0")
    state = State(folder, "topic-1")
    state._db.delete(b"\xffmeta")  # type: ignore[union-attr]
    state.close()
    again = State(folder, "topic-1")
    assert again.look_up(keys) == [None] * len(keys)
    again.close()


def test_state_that_is_in_use_is_left_alone(tmp_path: Path) -> None:
    """Two workers on one folder: the second one says so and deletes nothing."""
    state = State(tmp_path / "0", "topic-1")
    state.write({A: SEEN})
    with pytest.raises(StateError, match="SCORELINE_STATE_DIR"):
        State(tmp_path / "0", "topic-1")
    assert state.look_up([A]) == [SEEN]
    state.close()
    again = State(tmp_path / "0", "topic-1")
    assert again.look_up([A]) == [SEEN]
    again.close()


def test_fault_of_the_machine_does_not_cost_the_state(tmp_path: Path) -> None:
    """No file handles left is no reason to rebuild: the remedy is named and the state stays."""
    folder, keys = tmp_path / "0", _written(tmp_path / "0")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(list(Path("/proc/self/fd").iterdir())) + 1, hard))
    try:
        with pytest.raises(StateError, match="ulimit"):
            State(folder, "topic-1")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    again = State(folder, "topic-1")
    assert None not in again.look_up(keys)
    again.close()


def test_changelog_gives_back_what_was_packed() -> None:
    """Entries and what was taken back, in as many records as they need."""
    entries = {index.to_bytes(16, "big"): pack_seen(index, b"content1") for index in range(ENTRIES_MAX + 3)} | {A: None}
    values = list(pack(entries))
    assert len(values) == 2
    assert {key: seen for value in values for key, seen in unpack(value).items()} == entries


def test_cut_changelog_record_is_refused() -> None:
    """Half an entry would be a wrong memory."""
    with pytest.raises(StateError, match="33 bytes"):
        unpack(b"x" * 33)


@pytest.mark.parametrize("horizon_days", [30, None])
def test_compaction_of_a_reopened_state_forgets_nothing(tmp_path: Path, horizon_days: int | None) -> None:
    """Restarts and compactions alternate for as long as a worker lives; ids younger than the horizon stay."""
    keys = [id_hash(b"%d" % number) for number in range(4000)]
    seen = {key: pack_seen(number, key[:8]) for number, key in enumerate(keys)}
    for life in range(4):
        state = State(tmp_path / "0", "topic-1", horizon_days)
        state.write({key: seen[key] for key in keys[life::4]})
        state.close()
    state = State(tmp_path / "0", "topic-1", horizon_days)
    _compact(state)
    assert state.look_up(keys) == [seen[key] for key in keys]
    state.close()


def test_id_takes_at_most_48_bytes_on_disk(tmp_path: Path) -> None:
    """Index and filter included, before and after a compaction: what operators plan disks by."""
    count = 100_000
    state = State(tmp_path / "0", "topic-1", 30)
    for start in range(0, count, 4000):
        keys = [id_hash(b"%d" % number) for number in range(start, start + 4000)]
        state.write({key: pack_seen(start + index, key[8:]) for index, key in enumerate(keys)})
    state.close()
    for _ in range(2):
        assert sum(path.stat().st_size for path in (tmp_path / "0").glob("*.sst")) <= 48 * count
        state = State(tmp_path / "0", "topic-1", 30)
        _compact(state)
        state.close()


def _written(folder: Path) -> list[bytes]:
    """Keys of a closed state of several blocks, at changelog position 7."""
    keys = [id_hash(b"%d" % number) for number in range(2000)]
    state = State(folder, "topic-1")
    state.changelog_next = 7
    state.write({key: pack_seen(41, key[:8]) for key in keys})
    state.close()
    return keys


def _damage(folder: Path, file: str, at: float) -> None:
    """Flip a few bytes at this share of the file."""
    for path in folder.glob(file):
        content = bytearray(path.read_bytes())
        start = int(len(content) * at)
        content[start : start + 8] = bytes(byte ^ 0xFF for byte in content[start : start + 8])
        path.write_bytes(content)


def _compact(state: State) -> None:
    state._db.compact_range(None, None)  # type: ignore[union-attr]
