"""What the dead-letter commands read and write, on real ClickHouse."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from scoreline.rejections import Reason
from scoreline.settings import Settings
from scoreline_sink.clickhouse import ClickHouse, rejected_scores_table
from scoreline_sink.dlq import store as module
from scoreline_sink.dlq.filters import Filter
from scoreline_sink.dlq.letters import Handled, Reference
from scoreline_sink.dlq.store import Store
from scoreline_sink.rows import REJECTED_COLUMNS, RejectedRecord, rejected_row
from tests.sinks.scoreline_sink.dlq.made import ARRIVED_MS, rejected

Reject = Callable[..., None]


@pytest.fixture
def reject(clickhouse: ClickHouse) -> Reject:
    """Stores rejected records as the sink does."""

    def reject(*records: RejectedRecord) -> None:
        token = f"{records[0].partition}/{records[0].offset}"
        table = rejected_scores_table(clickhouse, REJECTED_COLUMNS)
        table.insert([rejected_row(record) for record in records], token)

    return reject


@pytest.fixture
def store(settings: Settings, clickhouse: ClickHouse) -> Iterator[Store]:
    """The store of a migrated database."""
    opened = Store(settings)
    yield opened
    opened.close()


def offsets(letters: list[module.Entry]) -> list[int]:
    return [letter.reference.offset for letter in letters]


def test_newest_come_first_page_by_page_and_handled_ones_are_hidden(store: Store, reject: Reject) -> None:
    """A page goes on behind the last letter of the one before, also among letters of the same moment."""
    reject(*(rejected(offset, at_ms=ARRIVED_MS + offset // 4 * 1000) for offset in range(20)))
    store.record([Reference(0, 18), Reference(0, 3)], "discarded", "ada@host", "test")
    pages: list[list[int]] = []
    after = None
    while page := store.newest(Filter(), "open", 7, after):
        pages.append(offsets(page))
        after = page[-1].reference
    assert pages == [[19, 17, 16, 15, 14, 13, 12], [11, 10, 9, 8, 7, 6, 5], [4, 2, 1, 0]]
    first, second = store.newest(Filter(), "all", 2, None)
    assert (first.handled, second.handled and second.handled[0::2]) == (None, ("discarded", "ada@host"))


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        (Filter(reasons=("too_large", "no_target"), projects=("team",)), {2}),
        (Filter(services=("a'b\\", "none")), {1}),
        (Filter(names=("accuracy",), ids=("s-0", "s-3")), {0, 3}),
        (Filter(letters=(Reference(0, 2), Reference(1, 0))), {2}),
        (
            Filter(
                since=datetime.fromtimestamp(ARRIVED_MS / 1000 + 1, UTC),
                until=datetime.fromtimestamp(ARRIVED_MS / 1000 + 3, UTC),
            ),
            {1, 2},
        ),
    ],
)
def test_filter_chooses(store: Store, reject: Reject, chosen: Filter, expected: set[int]) -> None:
    """Every part must hold; of several values any; time from the first moment up to the second; quotes are no SQL."""
    reject(
        rejected(0),
        rejected(1, service="a'b\\"),
        rejected(2, project="team", reason=Reason.TOO_LARGE),
        rejected(3, reason=Reason.INVALID_VALUE),
    )
    assert set(offsets(store.newest(chosen, "open", 10, None))) == expected


def test_walk_gives_every_open_letter_once_in_bounded_batches(
    store: Store, reject: Reject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever their groups, moments and sizes; what comes later is not among them."""
    monkeypatch.setattr(module, "PAGE_BYTES", 10_000)
    reasons = (Reason.NO_TARGET, Reason.UNKNOWN_CONFIG, Reason.TOO_LARGE)
    for partition in range(2):
        reject(
            *(
                rejected(
                    n,
                    partition=partition,
                    at_ms=ARRIVED_MS + n // 10,
                    reason=reasons[n % 3],
                    comment="x" * (n * 37 % 3000),
                )
                for n in range(300)
            )
        )
    handled = [Reference(1, n) for n in range(0, 300, 7)]
    store.record(handled, "replayed", "me", "")
    census = store.census(Filter(), "open")
    reject(rejected(999))
    batches = list(store.walk(census, "open", letters_max=64))
    found = [letter.entry.reference for batch in batches for letter in batch]
    assert len(found) == len(set(found)) == census.letters == 600 - len(handled)
    assert not {Reference(0, 999), *handled} & set(found)
    assert all(sum(len(letter.value or b"") for letter in batch[:-1]) < 10_000 for batch in batches)
    assert {one for part in store.walk_references(census, "open") for one in part} == set(found)
    everything = store.census(Filter(), "all")
    assert sum(len(batch) for batch in store.walk(everything, "all", letters_max=64)) == everything.letters == 601


def test_walk_goes_on_where_letters_are_handled_meanwhile(store: Store, reject: Reject) -> None:
    """As a replay does it: each batch is written down before the next one is read."""
    reject(*(rejected(n) for n in range(50)))
    seen: list[int] = []
    for batch in store.walk(store.census(Filter(), "open"), "open", letters_max=8):
        seen += [letter.entry.reference.offset for letter in batch]
        store.record([letter.entry.reference for letter in batch], "replayed", "me", "")
    assert seen == list(range(50))
    assert store.census(Filter(), "open").letters == 0


def test_letter_has_its_original_bytes(store: Store, reject: Reject) -> None:
    """Bytes that are no text, no key, no value, and a header without content."""
    hostile = bytes(range(256))
    reject(rejected(1, value=hostile), RejectedRecord(0, 2, ARRIVED_MS, None, None, [("h", None), ("é", b"\xff")]))
    tombstone, letter = sorted(store.letters(Filter(), 10), key=lambda one: -one.entry.reference.offset)
    assert (letter.value, letter.key, letter.headers) == (hostile, b"default/s-1", (("traceparent", b"00-a-b-01"),))
    assert (letter.raw_topic, letter.raw_partition, letter.raw_offset) == ("scores.raw", 0, 1001)
    assert letter.raw_timestamp_ms == ARRIVED_MS + 1000
    assert (tombstone.key, tombstone.value, tombstone.headers) == (None, None, (("h", None), ("é", b"\xff")))


def test_latest_word_on_a_letter_counts(store: Store, reject: Reject) -> None:
    """Written down twice is harmless."""
    reject(rejected(1))
    store.record([Reference(0, 1)], "discarded", "ada", "noise")
    store.record([Reference(0, 1)], "replayed", "bob", "--drop comment")
    [letter] = store.letters(Filter(letters=(Reference(0, 1),)), 1)
    assert letter.entry.handled is not None
    assert letter.entry.handled == Handled("replayed", letter.entry.handled.at_ms, "bob", "--drop comment")


def test_statistics_add_up(store: Store, reject: Reject) -> None:
    """By reason and service, with the latest letter as the example; by time where asked."""
    day_ms = 24 * 60 * 60 * 1000
    reject(
        rejected(0, service="a", detail="first"),
        rejected(1, service="a", detail="latest"),
        rejected(2, service="b"),
        rejected(3, service="a", reason=Reason.TOO_LARGE, at_ms=ARRIVED_MS + day_ms),
    )
    counts = store.stats(Filter(), "open", None, 10)
    assert [(c.reason, c.service, c.letters, c.total) for c in counts] == [
        ("no_target", "a", 2, 4),
        ("no_target", "b", 1, 4),
        ("too_large", "a", 1, 4),
    ]
    assert (counts[0].example, counts[0].detail, counts[0].time_ms) == (Reference(0, 1), "latest", None)
    assert [c.letters for c in store.stats(Filter(), "open", None, 2)] == [2, 1]
    assert store.stats(Filter(), "open", None, 1)[0].total == 4
    store.record([Reference(0, 0)], "discarded", "me", "x")
    days = store.stats(Filter(services=("a",)), "open", "day", 10)
    start_ms = ARRIVED_MS // day_ms * day_ms
    assert [(c.time_ms, c.reason, c.letters) for c in days] == [
        (start_ms, "no_target", 1),
        (start_ms + day_ms, "too_large", 1),
    ]
