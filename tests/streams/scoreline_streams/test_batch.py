"""One batch from bytes to everything its transaction writes."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoreline.configs import ScoreConfig
from scoreline.enriched import decode_enriched
from scoreline.events import DataType
from scoreline.rejections import Reason
from scoreline_streams.batch import Known, Outcome, id_hashes, read, settle
from tests.payloads import RECEIVED_MS, Payload, invalid_payloads, valid_payloads

CONFIG = ScoreConfig(id="c", name="accuracy", data_type=DataType.NUMERIC, min=0.0, max=1.0, version=2)
CONFIGS = {CONFIG.key: CONFIG, b"team-a/c": CONFIG.model_copy(update={"project": "team-a"})}


@dataclass(frozen=True)
class Record:
    """A consumed record."""

    key: bytes | None
    value: bytes | None
    offset: int
    timestamp: int = RECEIVED_MS
    headers: Sequence[tuple[str, bytes]] = ()


def score(score_id: str, offset: int, **fields: Any) -> Record:
    event = {"score_id": score_id, "name": "accuracy", "value": 0.5, "trace_id": "t"} | fields
    return Record(f"default/{score_id}".encode(), json.dumps(event).encode(), offset)


class Store:
    """What the state remembers, in memory."""

    def __init__(self) -> None:
        self.seen: dict[bytes, bytes] = {}

    def look_up(self, hashes: list[bytes]) -> list[bytes | None]:
        return [self.seen.get(hashed) for hashed in hashes]

    def write(self, entries: Mapping[bytes, bytes | None]) -> None:
        for hashed, seen in entries.items():
            if seen is None:
                self.seen.pop(hashed, None)
            else:
                self.seen[hashed] = seen


def process(
    records: Sequence[Record], store: Store, configs: Mapping[bytes, ScoreConfig] = CONFIGS, partition: int = 0
) -> Outcome:
    hashes = id_hashes(records)
    known = Known(configs, {})
    outcome = settle("scores.raw", partition, records, read(records), hashes, store.look_up(hashes), known)
    store.write(outcome.entries)
    return outcome


def ids(outcome: Outcome) -> list[str]:
    return [json.loads(value)["score_id"] for _, value in outcome.enriched]


def reasons(outcome: Outcome) -> list[Reason]:
    return [letter.rejection.reason for letter in outcome.rejected]


@pytest.mark.parametrize("payload", valid_payloads(), ids=lambda payload: payload.name)
def test_valid_payload_becomes_an_enriched_score(payload: Payload) -> None:
    """Every valid payload comes out as a record that the contract's own decoder takes, at its place in raw."""
    outcome = process([Record(payload.key, payload.value, 7)], Store(), partition=3)
    assert reasons(outcome) == []
    enriched = decode_enriched(outcome.enriched[0][1])
    assert outcome.enriched[0][0] == payload.key
    assert (enriched.raw_partition, enriched.raw_offset) == (3, 7)
    assert enriched.timestamp.tzname() == "UTC"
    fields = json.loads(payload.value)
    for name in ("score_id", "name", "trace_id", "comment", "service"):
        assert getattr(enriched, name) == fields.get(name)
    assert enriched.metadata == (fields.get("metadata") or {})


def test_score_gains_its_target_and_its_delay() -> None:
    """The most specific id decides the target; what arrives more than an hour after it was judged is late."""
    received = datetime.fromtimestamp(RECEIVED_MS / 1000, UTC)
    ids: list[dict[str, Any]] = [
        {"dataset_run_id": "r"},
        {"dataset_run_id": "r", "session_id": "s"},
        {"dataset_run_id": "r", "session_id": "s", "trace_id": "t"},
        {"trace_id": "t", "observation_id": "o"},
    ]
    records = [
        score(
            f"s-{n}", n, **{"trace_id": None, **given}, timestamp=(received - timedelta(hours=1, seconds=n)).isoformat()
        )
        for n, given in enumerate(ids)
    ]
    scores = [decode_enriched(value) for _, value in process(records, Store()).enriched]
    assert [enriched.target for enriched in scores] == ["dataset_run", "session", "trace", "observation"]
    assert [enriched.delay_s for enriched in scores] == [3600, 3601, 3602, 3603]
    assert [enriched.late for enriched in scores] == [False, True, True, True]


def test_failed_score_is_enriched_without_a_value() -> None:
    """A judge that crashed leaves a score with its error; the same again is a duplicate, a result a conflict."""
    failed = {"value": None, "status": "failed", "error": "timed out"}
    outcome = process([score("a", 0, **failed), score("a", 1, **failed), score("a", 2)], Store())
    [enriched] = [decode_enriched(value) for _, value in outcome.enriched]
    assert (enriched.status, enriched.error, enriched.value, enriched.data_type) == ("failed", "timed out", None, None)
    assert (outcome.duplicates, reasons(outcome)) == (1, [Reason.CONFLICTING_DUPLICATE])


def test_invalid_payloads_never_disturb_their_neighbours() -> None:
    """Between any two good events every kind of bad one: all the good ones pass, each bad one keeps its reason."""
    bad = invalid_payloads()
    records: list[Record] = []
    for payload in bad:
        records.append(score(f"good-{len(records)}", len(records)))
        records.append(Record(payload.key, payload.value, len(records)))
    outcome = process(records, Store())
    assert len(outcome.enriched) == len(bad)
    assert reasons(outcome) == [payload.reason for payload in bad]
    assert [letter.record.value for letter in outcome.rejected] == [payload.value for payload in bad]


def test_first_occurrence_stays_and_same_content_is_a_duplicate() -> None:
    """A retried call has another time and host and is still the same score."""
    store = Store()
    outcome = process([score("a", 0), score("a", 1, timestamp="2026-01-31T12:00:00Z", service="other")], store)
    assert (ids(outcome), outcome.duplicates) == (["a"], 1)
    later = process([score("a", 2, value="0.5", data_type="NUMERIC")], store)
    assert (ids(later), later.duplicates, reasons(later)) == ([], 1, [])


@pytest.mark.parametrize(
    "changed",
    [
        {"value": 0.6},
        {"name": "relevance"},
        {"trace_id": "u"},
        {"comment": "x"},
        {"metadata": {"a": 1}},
        {"evaluator": {"name": "judge"}},
        {"value": "0.5"},
    ],
)
def test_same_id_with_other_content_is_rejected(changed: dict[str, Any]) -> None:
    """Nothing vanishes silently: the second one is a dead letter that names the first one's offset."""
    outcome = process([score("a", 4), score("a", 5, **changed)], Store())
    assert ids(outcome) == ["a"]
    assert reasons(outcome) == [Reason.CONFLICTING_DUPLICATE]
    assert "offset 4" in outcome.rejected[0].rejection.detail


def test_replayed_batch_gives_the_same_outcome_on_a_dirty_store() -> None:
    """A store that a killed process left ahead of its commit must not turn events into duplicates."""
    records = [score("a", 0), score("b", 1), score("a", 2), score("b", 3, value=0.1)]
    store = Store()
    first = process(records, store)
    again = process(records, store)
    assert again == first
    assert ids(again) == ["a", "b"]


def test_config_change_between_attempts_leaves_no_trace() -> None:
    """An uncommitted attempt accepted offset 0; now its config is gone: a later event with the id is the first one."""
    store = Store()
    process([score("a", 0, config_id="c")], store)
    replay = process([score("a", 0, config_id="c"), score("a", 1)], store, configs={})
    assert (ids(replay), reasons(replay), replay.duplicates) == (["a"], [Reason.UNKNOWN_CONFIG], 0)
    assert json.loads(replay.enriched[0][1])["raw_offset"] == 1


def test_span_of_a_score_stays_with_it_among_duplicates_and_rejections() -> None:
    """And nothing but a `traceparent` of a sampled span counts as one."""
    parent = b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01"
    headers: list[Sequence[tuple[str, bytes]]] = [
        [],
        [("traceparent", parent)],
        [("traceparent", parent)],
        [("traceparent", parent)],
        [("traceparent", parent[:-2] + b"00"), ("tracestate", b"x")],
        [("other", parent)],
        [("traceparent", b"\xff")],
        [("traceparent", parent.upper())],
        [("x", b""), ("traceparent", b"?"), ("traceparent", parent)],
    ]
    names = ["a", "a", "bad", "b", "c", "d", "e", "f", "g"]
    records = [
        replace(score(name, offset, **({"name": None} if name == "bad" else {})), headers=headers[offset])
        for offset, name in enumerate(names)
    ]
    outcome = process(records, Store())
    assert [key for key, _ in outcome.enriched] == [f"default/{name}".encode() for name in "abcdefg"]
    assert outcome.parents == {1: parent, 6: parent}


def test_earlier_event_takes_over_from_a_dirty_later_one() -> None:
    """An uncommitted attempt rejected offset 0 and accepted offset 1; now the config exists and offset 0 is first."""
    store = Store()
    process([score("a", 0, config_id="c"), score("a", 1)], store, configs={})
    replay = process([score("a", 0, config_id="c"), score("a", 1)], store)
    assert ids(replay) == ["a"]
    assert json.loads(replay.enriched[0][1])["raw_offset"] == 0
    assert reasons(replay) == [Reason.CONFLICTING_DUPLICATE]


def test_rejected_id_can_be_sent_again() -> None:
    """An id is remembered only when its score was taken."""
    store = Store()
    assert reasons(process([score("a", 0, config_id="c", value=7)], store)) == [Reason.OUT_OF_RANGE]
    assert ids(process([score("a", 1, config_id="c", value=1)], store)) == ["a"]


_events = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from([0.1, 0.2, 9.0]), st.sampled_from([None, "c"])), max_size=12
)


@given(_events, st.lists(st.integers(0, 12), max_size=6), st.lists(st.booleans(), min_size=12, max_size=12))
def test_any_crashes_and_batch_bounds_give_the_outcome_of_one_calm_run(
    events: list[tuple[str, float, str | None]], cuts: list[int], crashes: list[bool]
) -> None:
    """Batches cut anywhere, each possibly processed, lost before its commit and processed again: same result."""
    records = [
        score(score_id, offset, value=value, **({"config_id": config} if config else {}))
        for offset, (score_id, value, config) in enumerate(events)
    ]
    calm = process(records, Store())
    store, enriched, rejected, duplicates = Store(), [], [], 0
    bounds = sorted({0, len(records), *(cut for cut in cuts if cut <= len(records))})
    for index, (start, end) in enumerate(itertools.pairwise(bounds)):
        if crashes[index % len(crashes)]:
            process(records[start : (start + end + 1) // 2], store)
        outcome = process(records[start:end], store)
        enriched += outcome.enriched
        rejected += outcome.rejected
        duplicates += outcome.duplicates
    assert (enriched, rejected, duplicates) == (calm.enriched, calm.rejected, calm.duplicates)
    assert len(enriched) + len(rejected) + duplicates == len(records)
