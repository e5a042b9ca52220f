"""The state on disk: RocksDB and the packed changelog's format."""

from __future__ import annotations

from pathlib import Path

import pytest

from scoreline.errors import StateError
from scoreline_streams.changelog import ENTRIES_MAX, pack, unpack
from scoreline_streams.deduplicate import OFFSET_MAX, first_offset, id_hash, pack_seen, same_content
from scoreline_streams.state import State

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


def test_corrupt_state_is_rebuilt(tmp_path: Path) -> None:
    """Broken files mean an empty state, to be filled from the changelog, not a worker that cannot start."""
    folder = tmp_path / "0"
    state = State(folder, "topic-1")
    state.write({A: SEEN})
    state.close()
    (folder / "CURRENT").write_bytes(b"nonsense")
    again = State(folder, "topic-1")
    assert again.look_up([A]) == [None]
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
