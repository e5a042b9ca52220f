"""A server or a table that exactly-once cannot rest on is refused at the start."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest

from scoreline.errors import SchemaError, SettingsError
from scoreline.settings import Settings
from scoreline_sink import guarantee
from scoreline_sink.clickhouse import OPTIONAL, PINNED, ClickHouse
from scoreline_sink.guarantee import require_settings, require_tables
from tests.conftest import Stack
from tests.sinks.scoreline_sink.conftest import StartSink
from tests.sinks.scoreline_sink.server import users
from tests.sinks.scoreline_sink.test_sink import assert_ends

PROFILES = {
    "pins": ("<insert_deduplicate>0</insert_deduplicate>", "<insert_deduplicate><readonly/></insert_deduplicate>"),
    "bounds": ("", "<max_insert_threads><min>4</min></max_insert_threads>"),
    "reads": ("<readonly>1</readonly>", ""),
    "agrees": ("<async_insert>0</async_insert>", "<async_insert><readonly/></async_insert>"),
    "differs": ("<async_insert>1</async_insert><input_format_allow_errors_num>9</input_format_allow_errors_num>", ""),
}


@pytest.fixture(scope="module")
def with_users(stack: Stack) -> Iterator[Settings]:
    """The server with a user for each of `PROFILES`."""
    connection = ClickHouse(stack.settings)
    with users(stack, connection, PROFILES):
        yield stack.settings
    connection.close()


@pytest.mark.parametrize(
    ("user", "message"),
    [
        ("pins", r"holds insert_deduplicate=0 for user pins .*, exactly-once needs insert_deduplicate=1: .*profile"),
        ("bounds", "max_insert_threads=.* exactly-once needs max_insert_threads=1: "),
        ("reads", "async_insert=1 for user reads .* exactly-once needs async_insert=0: "),
    ],
)
def test_a_profile_that_forbids_what_exactly_once_needs_is_refused(
    with_users: Settings, user: str, message: str
) -> None:
    """With the setting, both values and the remedy: inserts would fail for ever, or be acknowledged and doubled."""
    with pytest.raises(SettingsError, match=message):
        require_settings(ClickHouse(with_users.model_copy(update={"clickhouse_user": user})))


@pytest.mark.parametrize("user", ["agrees", "differs", "default"])
def test_a_profile_that_leaves_the_sink_its_settings_is_taken(with_users: Settings, user: str) -> None:
    """What the profile says does not matter as long as a statement may say otherwise, or it says the same."""
    connection = ClickHouse(with_users.model_copy(update={"clickhouse_user": user}))
    require_settings(connection)
    in_force = connection.settings_in_force()
    assert in_force.keys() == PINNED.keys()
    assert in_force["async_insert"] == ("0", "0")


def test_the_sink_ends_before_it_stores_anything(
    with_users: Settings, settings: Settings, pipeline: ClickHouse, start_sink: StartSink
) -> None:
    """Status 1 and one line, as for every setting that is wrong."""
    assert_ends(start_sink(clickhouse_user="pins"), "insert_deduplicate=0 for user pins")
    pipeline.query(f"ALTER TABLE {pipeline.database}.scores DROP CONSTRAINT one_row_per_record")
    assert_ends(start_sink("again"), "lacks the constraint one_row_per_record")


def test_a_server_that_does_not_know_a_setting_is_refused(
    settings: Settings, clickhouse: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless it is one that older servers do not need."""
    monkeypatch.setitem(cast(Any, PINNED), "insert_deduplicate_of_tomorrow", 1)
    for name in OPTIONAL:
        monkeypatch.setitem(cast(Any, PINNED), f"{name}_of_tomorrow", 1)
    monkeypatch.setattr(guarantee, "OPTIONAL", frozenset(f"{name}_of_tomorrow" for name in OPTIONAL))
    with pytest.raises(SettingsError, match=r"does not know insert_deduplicate_of_tomorrow, .*; upgrade the server"):
        require_settings(ClickHouse(settings))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("MODIFY SETTING non_replicated_deduplication_window = 100", r"_window=100, at least 10000 is needed: ALTER"),
        ("RESET SETTING non_replicated_deduplication_window", r"_window=0, at least 10000"),
        ("DROP CONSTRAINT one_row_per_record", "lacks the constraint one_row_per_record"),
    ],
)
def test_a_table_that_was_altered_is_refused(clickhouse: ClickHouse, change: str, message: str) -> None:
    """The migrations are all applied, and still it is not the table that they made."""
    require_tables(clickhouse)
    clickhouse.query(f"ALTER TABLE {clickhouse.database}.scores {change}")
    with pytest.raises(SchemaError, match=message):
        require_tables(clickhouse)


def test_a_table_that_merges_rows_away_is_refused(clickhouse: ClickHouse) -> None:
    """An engine that replaces rows by key would lose scores."""
    table = f"{clickhouse.database}.rejected_scores"
    clickhouse.query(f"DROP TABLE {table} SYNC")
    clickhouse.query(f"CREATE TABLE {table} (a UInt8) ENGINE = ReplacingMergeTree ORDER BY a")
    with pytest.raises(SchemaError, match=r"rejected_scores .* is a ReplacingMergeTree; only MergeTree, "):
        require_tables(clickhouse)
