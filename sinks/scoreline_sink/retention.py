"""How long rows are kept: a TTL on when ClickHouse took them, so that none that the sink settles is already gone.

By the time of judging or of arrival, a row could expire between its insert and the probe that looks for it: the sink
would insert it for ever. A part goes as a whole once all its rows have expired, so rows stay for up to a month longer.
"""

from __future__ import annotations

import re

from scoreline_sink.clickhouse import ClickHouse
from scoreline_sink.layout import Layout

TABLES = ("scores", "rejected_scores")
_TTL = re.compile(r"\bTTL toDateTime\(inserted_at\) \+ toIntervalDay\((\d+)\)")


def changes(clickhouse: ClickHouse, layout: Layout, days: int | None) -> dict[str, str]:
    """Table → the statement that gives it this retention; only those that have another. None: rows are kept for ever.

    Raises as `translate` says.
    """
    tables = [layout.local(table) for table in TABLES]
    made_by = clickhouse.query(
        "SELECT name, create_table_query FROM system.tables WHERE database = {database:String} "
        "AND name IN {names:Array(String)}",
        {"database": clickhouse.database, "names": tables},
    )
    found = dict.fromkeys(tables) | {name: _days(text) for name, text in made_by}
    at = layout.variables["ON_CLUSTER"]
    return {
        table: f"ALTER TABLE {clickhouse.database}.{table}{at} {_clause(days)}"
        for table, kept in found.items()
        if kept != days
    }


def keep(clickhouse: ClickHouse, layout: Layout, days: int | None) -> tuple[str, ...]:
    """Give the tables this retention; returns those that had another. Raises as `translate` says."""
    todo = changes(clickhouse, layout, days)
    for statement in todo.values():
        clickhouse.query(statement)
    return tuple(todo)


def _days(made_by: str) -> int | None:
    found = _TTL.search(made_by)
    return int(found[1]) if found else None


def _clause(days: int | None) -> str:
    return "REMOVE TTL" if days is None else f"MODIFY TTL toDateTime(inserted_at) + toIntervalDay({days})"
