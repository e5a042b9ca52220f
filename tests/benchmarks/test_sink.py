"""The benchmark of the sink can fail."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest

from scoreline.enriched import EnrichedScore
from scoreline.settings import Settings
from tests.benchmarks.sink.check import Found, Known, mismatches
from tests.benchmarks.sink.parts import bound_per_minute
from tests.benchmarks.sink.records import transactions, value_of

KNOWN = Known(rows=100, value_sum=12.5, bytes=80_000)
WHOLE = Found(rows=100, raw_records=100, enriched_records=100, value_sum=12.5, rolled_up=100)


def test_a_whole_table_passes() -> None:
    """Nothing is wrong where every record is there once."""
    assert mismatches(KNOWN, WHOLE) == []


@pytest.mark.parametrize("field", sorted(asdict(WHOLE)))
def test_a_table_that_is_not_the_backlog_is_noticed(field: str) -> None:
    """Whichever of its figures is off, by one row or by the smallest value."""
    for by in (-0.125, 0.125) if field == "value_sum" else (-1, 1):
        assert len(mismatches(KNOWN, replace(WHOLE, **{field: getattr(WHOLE, field) + by}))) == 1


def test_the_backlog_is_what_the_worker_writes() -> None:
    """Valid enriched scores, each raw offset once, in transactions of the asked length, with the known sum."""
    sent = list(transactions(rows=50, partitions=4, events_max=5))
    scores = [EnrichedScore.model_validate_json(message["value"]) for _, messages in sent for message in messages]
    assert len({(score.raw_partition, score.raw_offset) for score in scores}) == len(scores) == 50
    assert sum(score.value or 0.0 for score in scores) == sum(map(value_of, range(50)))
    assert max(len(messages) for _, messages in sent) == 5
    assert all(score.raw_partition == p for p, messages in sent for score in map(_decode, messages))


def _decode(message: dict[str, bytes]) -> EnrichedScore:
    return EnrichedScore.model_validate_json(message["value"])


def test_the_bound_on_parts_follows_the_settings() -> None:
    """Five inserts a second by lingering at the most, and one for every full batch."""
    settings = Settings(insert_linger_s=0.2, insert_rows_max=50_000)
    assert bound_per_minute(settings, 0) == 300
    assert bound_per_minute(settings, 50_000) == 360
