"""What a supervisor shall run, as data."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from scoreline_local.plan import Backoff, ClickHouseEndpoint, Endpoints, Plan, ProcessSpec, stop_waves

BACKOFF = Backoff(first_s=0.25, most_s=15.0, healthy_s=5.0)


def _spec(name: str, *needs: str) -> ProcessSpec:
    return ProcessSpec(name=name, argv=("true",), needs=needs)


def test_wait_doubles_with_every_death_up_to_its_bound() -> None:
    """0.25 s, 0.5 s, 1 s … and never more than 15 s, however often it dies."""
    assert [BACKOFF.delay_s(deaths) for deaths in (1, 2, 3, 4, 7, 8, 10_000)] == [0.25, 0.5, 1.0, 2.0, 15.0, 15.0, 15.0]


def test_death_after_a_healthy_spell_counts_as_the_first() -> None:
    """A process that was ready for five seconds has recovered; one that was not has not."""
    assert BACKOFF.deaths(before=7, ready_s=5.0) == 1
    assert BACKOFF.deaths(before=7, ready_s=4.9) == 8


def test_what_is_needed_stops_after_what_needs_it() -> None:
    """Worker and sink first, the steps that ran once between, ClickHouse and Kafka together at the end."""
    specs = (
        _spec("kafka"),
        _spec("clickhouse"),
        _spec("topics", "kafka"),
        _spec("migrate", "clickhouse"),
        _spec("worker", "topics"),
        _spec("sink", "topics", "migrate"),
    )
    assert stop_waves(specs) == [["worker", "sink"], ["topics", "migrate"], ["kafka", "clickhouse"]]


@pytest.mark.parametrize("specs", [(_spec("a", "b"), _spec("b", "a")), (_spec("a", "gone"),), (_spec("a"), _spec("a"))])
def test_plan_with_needs_that_cannot_be_met_is_refused(specs: tuple[ProcessSpec, ...]) -> None:
    """A cycle, a need that is not there, a name used twice: each would wait for ever."""
    with pytest.raises(ValidationError, match="must be unique and come after what it needs"):
        Plan(data_dir=Path("/nowhere"), processes=specs)


def test_environment_carries_every_setting_a_client_needs() -> None:
    """What `scoreline status --env` prints reaches Kafka and ClickHouse and nothing else."""
    at = ClickHouseEndpoint(host="127.0.0.1", port=8123, user="scoreline", password="x y", database="scoreline")
    assert Endpoints(kafka="127.0.0.1:9092", clickhouse=at).environment == {
        "SCORELINE_KAFKA": "127.0.0.1:9092",
        "SCORELINE_CLICKHOUSE_HOST": "127.0.0.1",
        "SCORELINE_CLICKHOUSE_PORT": "8123",
        "SCORELINE_CLICKHOUSE_USER": "scoreline",
        "SCORELINE_CLICKHOUSE_PASSWORD": "x y",
        "SCORELINE_CLICKHOUSE_DATABASE": "scoreline",
        "SCORELINE_CLICKHOUSE_SECURE": "false",
    }
    assert "x y" not in repr(at)
