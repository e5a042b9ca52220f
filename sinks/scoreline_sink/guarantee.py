"""What the guarantee rests on at the server's side, asked of it when the sink starts.

A profile can pin a setting to another value, forbid to change it or bound it; a table can have been altered by hand.
Each would be silent: rows stored twice, or dropped, at the next crash.
"""

from __future__ import annotations

import re

from scoreline.errors import SchemaError, SettingsError
from scoreline_sink.clickhouse import OPTIONAL, PINNED, ClickHouse
from scoreline_sink.server_errors import ONE_ROW_PER_RECORD

WINDOW_MIN = 10_000
"""Parts whose tokens a table must remember: a stopped sink can go on long after its successor."""
_ENGINES = {
    "MergeTree": "non_replicated_deduplication_window",
    "ReplicatedMergeTree": "replicated_deduplication_window",
    "SharedMergeTree": "replicated_deduplication_window",
}
"""Engines that keep every row → their setting for the number of remembered parts."""
_CONSTRAINTS = {"scores": (ONE_ROW_PER_RECORD,), "rejected_scores": ()}


def require_settings(clickhouse: ClickHouse) -> None:
    """Return if the pinned settings are in force where they are sent.

    Raises SettingsError naming the setting, what is wanted and found, and the remedy; ClickHouseUnavailable.
    """
    unknown = sorted(PINNED.keys() - clickhouse.pinned.keys() - OPTIONAL)
    if unknown:
        raise SettingsError(
            f"ClickHouse at {clickhouse.server} does not know {', '.join(unknown)}, which exactly-once rests on; "
            "upgrade the server"
        )
    for name, (wanted, found) in sorted(clickhouse.settings_in_force().items()):
        if wanted != found:
            raise SettingsError(
                f"ClickHouse at {clickhouse.server} holds {name}={found} for user {clickhouse.user} "
                f"(SCORELINE_CLICKHOUSE_USER), exactly-once needs {name}={wanted}: a settings profile pins it, or "
                "forbids to change it. Take the constraint out of the profile, or give the sink a user of its own"
            )


def require_tables(clickhouse: ClickHouse) -> None:
    """Return if both tables keep every row, refuse a second one of a record and remember enough tokens.

    Raises SchemaError naming the table, what is wanted and found, and the remedy; as `translate`.
    """
    tables = clickhouse.query(
        "SELECT name, engine, create_table_query FROM system.tables "
        "WHERE database = {database:String} AND name IN {names:Array(String)}",
        {"database": clickhouse.database, "names": [*_CONSTRAINTS]},
    )
    for name, engine, made_by in tables:
        where = f"{clickhouse.database}.{name} at {clickhouse.server}"
        if engine == "Distributed":
            raise SchemaError(
                f"{where} is spread over a cluster's shards; that a row is stored once is not proven there. Let the "
                "sink fill one server: scoreline migrate without --cluster, in another SCORELINE_CLICKHOUSE_DATABASE"
            )
        if engine not in _ENGINES:
            raise SchemaError(
                f"{where} is a {engine}; only {', '.join(_ENGINES)} keep every row and remember tokens. Make it anew "
                "with: scoreline migrate, in another SCORELINE_CLICKHOUSE_DATABASE"
            )
        window = _window(clickhouse, _ENGINES[engine], made_by)
        if window < WINDOW_MIN:
            raise SchemaError(
                f"{where} has {_ENGINES[engine]}={window}, at least {WINDOW_MIN} is needed: ALTER TABLE "
                f"{clickhouse.database}.{name} MODIFY SETTING {_ENGINES[engine]} = {WINDOW_MIN}"
            )
        for constraint in _CONSTRAINTS[name]:
            if not re.search(rf"\bCONSTRAINT `?{constraint}`? ", made_by):
                raise SchemaError(
                    f"{where} lacks the constraint {constraint}; put it back with ALTER TABLE … ADD CONSTRAINT, as "
                    "the first migration of scoreline migrate has it"
                )


def _window(clickhouse: ClickHouse, setting: str, made_by: str) -> int:
    own = re.search(rf"\b{setting} = (\d+)", made_by)
    if own is not None:
        return int(own[1])
    rows = clickhouse.query(
        "SELECT value FROM system.merge_tree_settings WHERE name = {name:String}", {"name": setting}
    )
    return int(rows[0][0]) if rows else 0
