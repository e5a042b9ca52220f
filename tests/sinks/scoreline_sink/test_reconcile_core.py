"""The pure parts of reconcile: offsets against offsets, a claim against the row of its id, options, sums."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoreline.errors import QueryError
from scoreline.events import ScoreEvent
from scoreline.reading import Event, event_of
from scoreline_sink.reconcile.claims import (
    Claim,
    Judgement,
    Memory,
    StoredScore,
    differing_field,
    judge_claim,
    latest_before,
    parse,
)
from scoreline_sink.reconcile.compare import Fault, Window
from scoreline_sink.reconcile.options import partitions_of
from scoreline_sink.reconcile.tally import Report, Tally

OFFSETS = st.lists(st.integers(0, 30))
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
STORED = StoredScore(
    "default", "s", 3, "n", "ok", "NUMERIC", 0.5, "", "t", "", "", "", "note", "", "judge", "1", ""
)  # fmt: skip


@given(present=st.sets(st.integers(0, 30)), stored=OFFSETS, rejected=OFFSETS, cut=st.integers(0, 30))
def test_every_record_has_exactly_one_verdict(
    present: set[int], stored: list[int], rejected: list[int], cut: int
) -> None:
    """Whatever the tables hold: a record is stored, rejected, faulty or claimed, and each for its own reason."""
    window = Window(stored, rejected)
    records = sorted(present)
    claimed = window.add(records[:cut]) | window.add(records[cut:])
    compared = window.close()
    rows = {offset: (stored.count(offset), rejected.count(offset)) for offset in range(31)}
    assert claimed == {offset for offset in present if rows[offset] == (0, 0)}
    assert compared.stored == sum(rows[offset] == (1, 0) for offset in present)
    assert compared.rejected == sum(rows[offset] == (0, 1) for offset in present)
    assert compared.stored + compared.rejected + len(compared.faulty) + len(claimed) == len(present)
    assert dict(compared.faulty) == {o: _fault(*rows[o]) for o in present if sum(rows[o]) > 1}
    assert list(compared.unknown) == [o for o in range(31) if sum(rows[o]) and o not in present]


def _fault(stored: int, rejected: int) -> Fault:
    if stored and rejected:
        return Fault.STORED_AND_REJECTED
    return Fault.STORED_TWICE if stored else Fault.REJECTED_TWICE


def _event(**fields: Any) -> Event:
    event = {"score_id": "s", "name": "n", "value": 0.5, "trace_id": "t", "comment": "note"}
    event["evaluator"] = {"name": "judge", "version": "1"}  # pyright: ignore[reportArgumentType]
    return event_of(ScoreEvent.model_validate_json(json.dumps(event | fields)))


@pytest.mark.parametrize(
    ("fields", "differs"),
    [
        ({}, None),
        ({"value": "0.5", "data_type": "NUMERIC"}, None),
        ({"metadata": {"a": 1}, "source": "EVAL", "author": "ada"}, None),
        ({"value": 0.5000001}, "value"),
        ({"value": "0.5"}, "data_type"),
        ({"name": "other"}, "name"),
        ({"comment": None}, "comment"),
        ({"session_id": "x"}, "session_id"),
        ({"evaluator": {"name": "judge", "version": "2"}}, "evaluator_version"),
        ({"config_id": "c"}, "config_id"),
    ],
)
def test_duplicate_has_the_stored_content(fields: dict[str, Any], differs: str | None) -> None:
    """What was judged decides; when, by whom and from where does not."""
    event = _event(**fields)
    assert differing_field(event, STORED) == differs
    judged = judge_claim(event, STORED)
    assert (judged and judged.fault) == (differs and Fault.OTHER_CONTENT)


def test_config_says_the_data_type_of_both() -> None:
    """An event without a data type was judged under its config's, which the stored row shows."""
    stored = STORED._replace(config_id="c", data_type="BOOLEAN", value=1.0, label="true")
    assert differing_field(_event(config_id="c", value="true"), stored) is None
    assert differing_field(_event(config_id="c", value=0), stored) == "value"
    assert differing_field(_event(config_id="c", value="good"), stored) == "value"


def test_broken_record_in_no_table_is_lost() -> None:
    """It can be no duplicate: only valid events are looked up by id."""
    judged = parse(Claim(4, 1_700_000_000_000, b"default/s", b"{"))
    assert isinstance(judged, Judgement)
    assert (judged.fault, "malformed_json" in judged.detail) == (Fault.LOST, True)


def test_first_occurrence_is_the_latest_before() -> None:
    """Of several rows of one id the worker remembers the latest; one behind the claim is none."""
    rows = [STORED._replace(raw_offset=offset) for offset in (1, 7, 4)]
    assert [latest_before(offset, rows) for offset in (1, 7, 8)] == [None, rows[2], rows[1]]


@pytest.mark.parametrize(
    ("memory", "holds"),
    [
        (Memory(from_offset=7, from_ms=900, log_start=0, horizon_ms=100), True),
        (Memory(from_offset=0, from_ms=990, log_start=5, horizon_ms=100), True),
        (Memory(from_offset=7, from_ms=900, log_start=5, horizon_ms=100), True),
        (Memory(from_offset=7, from_ms=901, log_start=5, horizon_ms=100), False),
        (Memory(from_offset=7, from_ms=1, log_start=5, horizon_ms=None), False),
        (Memory(from_offset=None, from_ms=None, log_start=5, horizon_ms=100), False),
    ],
)
def test_missing_id_is_judged_only_where_its_first_must_be_held(memory: Memory, holds: bool) -> None:
    """The topic or the tables reach back to the first record, or the tables over the horizon."""
    assert memory.holds_first_of(Claim(20, 1000, b"", b"")) is holds


def test_culprits_are_bounded_and_all_are_counted() -> None:
    """Of many faults the first are kept, in each partition and in the whole report."""
    tallies = (Tally(0, 0, 9, culprits_max=2), Tally(1, 0, 9, culprits_max=2))
    for tally in tallies:
        for offset in range(3):
            tally.add_faulty(offset, "k", Fault.LOST, "")
        assert len(tally.culprits) == 2
    fields = Report(tallies, 2).fields()
    assert (fields["fault_count"], fields["faulty"], fields["ok"]) == (6, 6, False)
    assert Counter(fault["partition"] for fault in fields["faults"]) == {0: 2}


def test_partition_that_is_not_there_is_refused() -> None:
    """None asked for means all of them."""
    assert (partitions_of((), 3), partitions_of((2, 0, 2), 3)) == ((0, 1, 2), (0, 2))
    with pytest.raises(QueryError, match=r"--partition 3.*0\.\.2"):
        partitions_of((3,), 3)
