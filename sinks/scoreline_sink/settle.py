"""The insert of one plan: every row of it in the table, once, whatever happens to ClickHouse meanwhile.

ClickHouse writes its deduplication log before it puts the part in place. Killed in between, it answers the same token
with "known" for rows that it does not have. So an answer after any doubt is worth nothing, and the table is asked: a
settled plan is one whose offsets were all seen.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from itertools import islice
from threading import Event

from scoreline.errors import ClickHouseUnavailable, MalformedRecord, PlanError
from scoreline_sink.clickhouse import Table
from scoreline_sink.patience import Patience
from scoreline_sink.plan import Sealed
from scoreline_sink.server_errors import RefusedRow

log = logging.getLogger(__name__)

REPAIRS_MAX = 20
"""Acknowledged inserts of rows that are then not there, before the server is not believed any more."""


def store(table: Table, sealed: Sealed, token: str, cancelled: Event) -> None:
    """Insert a plan that was never tried before.

    Raises MalformedRecord when ClickHouse refuses a row, ClickHouseUnavailable when cancelled; then the plan is as
    doubtful as after a crash.
    """
    try:
        _insert(table, sealed.rows, sealed.coordinates(), token)
    except ClickHouseUnavailable as error:
        patience = Patience(cancelled)
        patience.wait(error)
        _settle(table, sealed, token, patience)


def settle(table: Table, sealed: Sealed, token: str, cancelled: Event) -> None:
    """Insert what is missing of a plan until nothing is. Raises as `store`, PlanError when that never ends.

    Sound because one insert puts each table partition's rows into one part, all or none; because a token that was once
    logged never lands later; and because no two inserts of one token run at the same time (`ClickHouse.insert`).
    """
    _settle(table, sealed, token, Patience(cancelled))


def _settle(table: Table, sealed: Sealed, token: str, patience: Patience) -> None:
    acknowledged = 0
    while acknowledged <= REPAIRS_MAX:
        try:
            missing = _missing(table, sealed)
            if not missing:
                patience.over()
                return
            _insert_missing(table, sealed, missing, token if acknowledged == 0 else f"{token}:r{acknowledged}")
        except ClickHouseUnavailable as error:
            patience.wait(error)
        else:
            if acknowledged:
                log.warning("%s: %d rows were acknowledged and not there; inserted again", token, len(missing))
            acknowledged += 1
    raise PlanError(
        f"{token}: ClickHouse acknowledged {REPAIRS_MAX} inserts of rows that it does not show; "
        "look into its log, then start the sink again"
    )


def _missing(table: Table, sealed: Sealed) -> set[tuple[int, int]]:
    found = table.present(sealed.plan.ranges)
    present = set(found)
    if len(present) != len(found):
        log.error("%s holds %d rows twice in %s", table.name, len(found) - len(present), sealed.plan.ranges)
    return set(sealed.coordinates()) - present


def _insert_missing(table: Table, sealed: Sealed, missing: set[tuple[int, int]], token: str) -> None:
    chosen = [pair for pair in zip(sealed.rows, sealed.coordinates(), strict=True) if pair[1] in missing]
    _insert(table, [row for row, _ in chosen], [at for _, at in chosen], token)


def _insert(table: Table, rows: list[bytes], coordinates: Iterable[tuple[int, int]], token: str) -> None:
    try:
        table.insert(rows, token)
    except RefusedRow as error:
        where = f"one of {len(rows)} rows"
        if error.row is not None and 1 <= error.row <= len(rows):
            partition, offset = next(islice(coordinates, error.row - 1, None))
            where = f"partition {partition} offset {offset}"
        topic = token.partition(":")[0]
        raise MalformedRecord(f"{topic} {where}: ClickHouse refuses the row for {table.name}: {error}") from error
