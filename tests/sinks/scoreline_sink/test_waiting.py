"""What can pass is waited out: never a dropped row, never a dead letter."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from scoreline.settings import Settings
from scoreline.topics import declare_topics
from scoreline_sink.clickhouse import ClickHouse
from tests.conftest import Stack
from tests.sinks.scoreline_sink.conftest import StartSink
from tests.sinks.scoreline_sink.records import Writer, encoded, enriched, values
from tests.sinks.scoreline_sink.server import PutProfiles, users
from tests.sinks.scoreline_sink.test_sink import await_stored
from tests.support import Running, eventually, read_topic

Trouble = Callable[[ClickHouse, PutProfiles], Iterator[None]]
USER = "limited"


def altered(setting: str, value: int) -> Trouble:
    """The table has this setting for a while."""

    def trouble(clickhouse: ClickHouse, _put: PutProfiles) -> Iterator[None]:
        clickhouse.query(f"ALTER TABLE {clickhouse.database}.scores MODIFY SETTING {setting} = {value}")
        yield
        clickhouse.query(f"ALTER TABLE {clickhouse.database}.scores RESET SETTING {setting}")

    return trouble


def profile(settings: str) -> Trouble:
    """The sink's user has this profile for a while."""

    def trouble(_clickhouse: ClickHouse, put: PutProfiles) -> Iterator[None]:
        put({USER: (settings, "")})
        yield
        put({USER: ("", "")})

    return trouble


TROUBLES: dict[str, tuple[Trouble, str]] = {
    "too many parts": (altered("parts_to_throw_insert", 1), "TOO_MANY_PARTS (code 252)"),
    "no space to begin": (altered("min_free_disk_bytes_to_perform_insert", 10**18), "NOT_ENOUGH_SPACE (code 243)"),
    "memory": (profile("<max_memory_usage>3000000</max_memory_usage>"), "MEMORY_LIMIT_EXCEEDED (code 241)"),
    "read-only": (profile("<readonly>1</readonly>"), "READONLY (code 164)"),
}


@pytest.mark.parametrize("name", TROUBLES)
def test_what_can_pass_is_waited_for_with_its_name(
    stack: Stack, settings: Settings, pipeline: ClickHouse, start_sink: StartSink, name: str
) -> None:
    """The sink says what it waits for; once it has passed, every row is there once, and none was rejected."""
    trouble, message = TROUBLES[name]
    with users(stack, pipeline, {USER: ("", "")}) as put:
        writer = Writer(settings)
        sink: Running = start_sink(clickhouse_user=USER).await_ready()
        pipeline.query(f"SYSTEM STOP MERGES {pipeline.database}.scores")
        writer.commit(list(values(0, 99)))
        await_stored(pipeline, settings, 100)
        with contextmanager(trouble)(pipeline, put):
            writer.commit([encoded(enriched(n, comment="x" * 2000)) for n in range(100, 3000)])
            eventually(lambda: message in sink.log, f"the sink waits for {name}")
        await_stored(pipeline, settings, 3000)
        assert sink.stop() == 0
    assert read_topic(settings, declare_topics(settings).rejected.name) == []
