"""A compacted topic on a real broker, changed by two at the same time."""

from __future__ import annotations

import pytest

from scoreline.changes import Records, Writes
from scoreline.compacted import RECORDS_MAX, change_records, read_records
from scoreline.errors import ConflictingChange, MalformedRecord
from scoreline.kafka import ensure_topics
from scoreline.settings import Settings
from scoreline.topics import declare_topics


@pytest.fixture
def topic(settings: Settings) -> str:
    ensure_topics(settings)
    return declare_topics(settings).lookups.name


def put(settings: Settings, topic: str, writes: Writes) -> None:
    change_records(settings, topic, lambda _: (writes, None))


def interrupted(settings: Settings, topic: str, call: int, other: bytes) -> int:
    """Change `a`; while it is planned for the `call`-th time, somebody else changes `other`. Returns the calls."""
    calls = 0

    def plan(_records: Records) -> tuple[Writes, None]:
        nonlocal calls
        calls += 1
        if calls == call:
            put(settings, topic, {other: b"theirs"})
        return {b"a": b"mine"}, None

    change_records(settings, topic, plan)
    return calls


@pytest.mark.parametrize("call", [1, 2])
def test_key_changed_by_somebody_else_meanwhile_is_noticed(settings: Settings, topic: str, call: int) -> None:
    """Before the fence and behind it: theirs stays, and mine is told."""
    put(settings, topic, {b"a": b"first"})
    with pytest.raises(ConflictingChange, match="a was changed by somebody else at this moment"):
        interrupted(settings, topic, call, b"a")
    assert read_records(settings, topic)[b"a"].value == b"theirs"


@pytest.mark.parametrize(("call", "planned"), [(1, 2), (2, 3)])
def test_other_key_changed_meanwhile_is_no_conflict(settings: Settings, topic: str, call: int, planned: int) -> None:
    """Fenced, planned anew, stored; nobody's change is lost."""
    assert interrupted(settings, topic, call, b"b") == planned
    assert {key: record.value for key, record in read_records(settings, topic).items()} == {
        b"a": b"mine",
        b"b": b"theirs",
    }


def test_change_is_stored_as_a_whole_or_not_at_all(settings: Settings, topic: str) -> None:
    """A plan that raises, writes too much or nothing leaves the topic as it was."""
    with pytest.raises(MalformedRecord, match="b takes 300000 bytes, at most 262144 are taken"):
        put(settings, topic, {b"a": b"small", b"b": b"x" * 300_000})
    with pytest.raises(MalformedRecord, match=f"at most {RECORDS_MAX} are taken"):
        put(settings, topic, {b"%d" % number: b"x" for number in range(RECORDS_MAX + 1)})
    put(settings, topic, {})
    assert read_records(settings, topic) == {}
    put(settings, topic, {b"a": b"1", b"b": b"2"})
    put(settings, topic, {b"a": None})
    assert read_records(settings, topic).keys() == {b"b"}
