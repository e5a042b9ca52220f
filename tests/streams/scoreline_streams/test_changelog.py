"""A state and its changelog on a real broker: what is missing is read, what does not fit is rebuilt."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from scoreline.errors import StateError
from scoreline.kafka import client_options, ensure_topics
from scoreline.settings import Settings
from scoreline.topics import declare_topics
from scoreline_streams.changelog import FORMAT, pack, pack_position, restore
from scoreline_streams.deduplicate import id_hash, pack_seen
from scoreline_streams.state import State
from tests.support import eventually, log_end

A, B, C = (id_hash(name) for name in (b"a", b"b", b"c"))
RAW_ID = "raw-1"
SEEN = pack_seen(41, b"content1")
Entries = Mapping[bytes, bytes | None]


@pytest.fixture
def topic(settings: Settings) -> str:
    ensure_topics(settings)
    return declare_topics(settings).changelog.name


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state" / "0"


def append(settings: Settings, topic: str, *transactions: Entries, key: bytes = FORMAT) -> None:
    """A record and a marker for each."""
    producer = Producer(client_options(settings, transactional_id=f"{topic}.writer"))
    producer.init_transactions(30)
    for entries in transactions:
        producer.begin_transaction()
        for value in pack(entries):
            producer.produce(topic, value, key, partition=0, headers=pack_position(RAW_ID, 42))
        producer.commit_transaction(30)


def trim(settings: Settings, topic: str, first: int) -> None:
    """As retention does: the changelog begins at `first`."""
    admin = AdminClient(client_options(settings))
    for future in admin.delete_records([TopicPartition(topic, 0, first)]).values():
        future.result(30)


def left(folder: Path, changelog_next: int, entries: Entries) -> State:
    """A state as a stopped worker left it, opened again."""
    state = State(folder, "topic-1")
    state.changelog_next = changelog_next
    state.write(entries)
    state.close()
    return State(folder, "topic-1")


def restored(settings: Settings, topic: str, state: State) -> tuple[Sequence[bytes | None], int]:
    """What the state knows of A, B and C after restoring, and its position."""
    restore(settings, topic, 0, state, RAW_ID, lambda: False)
    found = state.look_up([A, B, C]), state.changelog_next
    state.close()
    return found


def test_older_state_is_brought_up_to_the_end(settings: Settings, topic: str, folder: Path) -> None:
    """A copy of last week: what came since is added, what was taken back since is gone."""
    append(settings, topic, {A: SEEN}, {B: SEEN, A: None}, {C: SEEN})
    assert restored(settings, topic, left(folder, 1, {A: SEEN})) == ([None, SEEN, SEEN], log_end(settings, topic))


def test_state_that_is_up_to_date_reads_nothing(settings: Settings, topic: str, folder: Path) -> None:
    """The usual start: only the position is compared."""
    append(settings, topic, {B: SEEN})
    state = left(folder, log_end(settings, topic), {A: SEEN})
    assert restore(settings, topic, 0, state, RAW_ID, lambda: False) == 0
    assert restored(settings, topic, state) == ([SEEN, None, None], log_end(settings, topic))


def test_state_older_than_the_changelog_is_rebuilt(
    settings: Settings, topic: str, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What it lacks is not there any more, and said that one of its entries was taken back: A was never stored."""
    append(settings, topic, {B: SEEN}, {A: None}, {C: SEEN})
    trim(settings, topic, 4)
    state = left(folder, 1, {A: SEEN, B: SEEN})
    assert restored(settings, topic, state) == ([None, None, SEEN], log_end(settings, topic))
    assert f"read {topic}[0] up to 1, which now begins at 4" in caplog.text


def test_state_of_position_zero_is_older_too(settings: Settings, topic: str, folder: Path) -> None:
    """Killed after its very first batch, before anything was committed."""
    append(settings, topic, {A: None}, {C: SEEN})
    trim(settings, topic, 2)
    assert restored(settings, topic, left(folder, 0, {A: SEEN})) == ([None, None, SEEN], log_end(settings, topic))


def test_new_state_begins_where_the_changelog_does(
    settings: Settings, topic: str, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing to rebuild, nothing to warn of."""
    append(settings, topic, {A: SEEN}, {C: SEEN})
    trim(settings, topic, 2)
    with caplog.at_level(logging.WARNING):
        found = restored(settings, topic, State(folder, "topic-1"))
    assert found == ([None, None, SEEN], log_end(settings, topic))
    assert caplog.text == ""


def test_state_that_has_read_more_than_there_is_is_rebuilt(
    settings: Settings, topic: str, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Kafka lost acknowledged records: the worker says so and goes on with what the changelog has."""
    append(settings, topic, {B: SEEN})
    state = left(folder, 1000, {A: SEEN, B: SEEN})
    assert restored(settings, topic, state) == ([None, SEEN, None], log_end(settings, topic))
    assert "Kafka has lost records" in caplog.text


def test_restore_that_is_killed_goes_on_where_it_was(settings: Settings, topic: str, folder: Path) -> None:
    """At every moment the files hold a position and exactly the entries before it."""
    keys = [id_hash(b"%d" % number) for number in range(400_000)]
    parts = [keys[start : start + 4000] for start in range(0, len(keys), 4000)]
    append(settings, topic, *(dict.fromkeys(part, SEEN) for part in parts))
    state = State(folder, "topic-1")

    def count(name: str) -> str | None:
        return state._db.property_value(f"rocksdb.{name}")  # type: ignore[union-attr]

    restore(settings, topic, 0, state, RAW_ID, lambda: count("num-files-at-level0") != "0")
    running = ("num-running-flushes", "mem-table-flush-pending", "num-running-compactions", "compaction-pending")
    eventually(lambda: all(count(name) == "0" for name in running), "files that nothing writes to")
    killed = folder.with_name("killed")
    shutil.copytree(folder, killed)
    state.close()
    again = State(killed, "topic-1")
    assert 0 < again.changelog_next < log_end(settings, topic), again.changelog_next
    known = sum(seen is not None for seen in again.look_up(keys))
    read = restore(settings, topic, 0, again, RAW_ID, lambda: False)
    assert 0 < known < len(keys)
    assert known + read == len(keys)
    assert None not in again.look_up(keys)
    again.close()


def test_record_of_another_format_is_refused(settings: Settings, topic: str, folder: Path) -> None:
    """Written by a later release: guessing would be a wrong memory."""
    append(settings, topic, {A: SEEN}, key=b"seen/2")
    state = State(folder, "topic-1")
    with pytest.raises(StateError, match="seen/2"):
        restore(settings, topic, 0, state, RAW_ID, lambda: False)
    state.close()


def test_changelog_of_another_raw_topic_is_refused(settings: Settings, topic: str, folder: Path) -> None:
    """Offsets of a topic that was made anew mean something else: the error says which topics to make anew together."""
    append(settings, topic, {A: SEEN})
    with pytest.raises(StateError, match=r"written from another raw topic \(id raw-1, now raw-2\).*made anew"):
        restore(settings, topic, 0, State(folder, "topic-1"), "raw-2", lambda: False)


def test_position_is_that_of_the_latest_batch(settings: Settings, topic: str, folder: Path) -> None:
    """Also of a batch without entries; and it is kept with the state."""
    append(settings, topic, {A: SEEN}, {})
    state = State(folder, "topic-1")
    restore(settings, topic, 0, state, RAW_ID, lambda: False)
    assert state.raw_next == 42
    state.close()
    assert State(folder, "topic-1").raw_next == 42
