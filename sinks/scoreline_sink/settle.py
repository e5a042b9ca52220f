"""The insert of one plan: every row of it in the table, once, whatever happens to ClickHouse meanwhile.

ClickHouse writes its deduplication log before it puts the part in place. Killed in between, it answers the same token
with "known" for rows that it does not have. So an answer after any doubt is worth nothing, and the table is asked: a
settled plan is one whose offsets were all seen, but for those that ClickHouse refuses.

A refused row takes its whole insert with it: nothing is stored, no token is logged. The insert is sent again without
it, **under the same token**. All tries of a plan, by whichever process, then share token and query id: no two of them
run at the same time, and of two that name different rows at most one lands. What the other held and the first did not
is missing at the next probe and goes in under the next token. A token of its own for the smaller set would allow a
stopped process and its successor to land both, should they ever judge a row differently; a row that is missing is
found, one that stands there twice is not taken back.
"""

from __future__ import annotations

import logging
from threading import Event

from scoreline.errors import ClickHouseUnavailable, MalformedRecord, PlanError, SchemaError
from scoreline.observe import catalogue, meter
from scoreline_sink.clickhouse import Table
from scoreline_sink.patience import Patience
from scoreline_sink.plan import Coordinates, Sealed
from scoreline_sink.server_errors import RefusedRow

log = logging.getLogger(__name__)

REPAIRS_MAX = 20
"""Acknowledged inserts of rows that are then not there, before the server is not believed any more."""
NO_OBJECT = "the value is not one compact JSON object"

Refusals = dict[Coordinates, str]
"""Where a record stands that makes no row → why, without any of its payload."""


def store(table: Table, sealed: Sealed, token: str, refused_max: int, cancelled: Event) -> Refusals:
    """Insert a plan that was never tried before; returns what of it the table does not take.

    Raises as `settle`; then the plan is as doubtful as after a crash.
    """
    patience = Patience(cancelled, f"inserts into {table.name}")
    if sealed.is_whole:
        try:
            table.insert(sealed.rows, token)
        except ClickHouseUnavailable as error:
            patience.wait(error)
        except RefusedRow as error:
            log.debug("%s: %s", token, error)  # settling meets it again, and there it is dealt with
        else:
            return {}
    return _settle(table, sealed, token, refused_max, patience)


def settle(table: Table, sealed: Sealed, token: str, refused_max: int, cancelled: Event) -> Refusals:
    """Insert what is missing of a plan until nothing is; returns what of it the table does not take.

    Raises MalformedRecord or SchemaError when that is more than `refused_max` records, PlanError when rows that were
    acknowledged are never there, ClickHouseUnavailable when cancelled.

    Sound because one insert puts each table partition's rows into one part, all or none; because a token that was once
    logged never lands later; and because no two inserts of one token run at the same time (`ClickHouse.insert`).
    """
    return _settle(table, sealed, token, refused_max, Patience(cancelled, f"inserts into {table.name}"))


def _settle(table: Table, sealed: Sealed, token: str, refused_max: int, patience: Patience) -> Refusals:
    judge = _Judge(table, sealed, token.partition(":")[0], refused_max)
    acknowledged = 0
    while acknowledged <= REPAIRS_MAX:
        try:
            missing = _missing(table, sealed)
            rows = {at: row for at, row in missing.items() if row is not None and at not in judge.refused}
            if not rows:
                patience.over()
                meter.add(catalogue.SINK_SETTLED, 1, table.name)
                return {at: why for at, why in judge.refused.items() if at in missing}
            try:
                table.insert(list(rows.values()), token if acknowledged == 0 else f"{token}:r{acknowledged}")
            except RefusedRow as error:
                judge.refuse(list(rows), error)
                continue
        except ClickHouseUnavailable as error:
            patience.wait(error)
        else:
            if acknowledged:
                log.warning("%s: %d rows were acknowledged and not there; inserted again", token, len(rows))
                meter.add(catalogue.SINK_REPAIRED, len(rows), table.name)
            acknowledged += 1
    raise PlanError(
        f"{token}: ClickHouse acknowledged {REPAIRS_MAX} inserts of rows that it does not show; "
        "look into its log, then start the sink again"
    )


def _missing(table: Table, sealed: Sealed) -> dict[Coordinates, bytes | None]:
    found = table.present(sealed.plan.ranges)
    present = set(found)
    if len(present) != len(found):
        log.error("%s holds %d rows twice in %s", table.name, len(found) - len(present), sealed.plan.ranges)
    return {at: row for at, row in sealed.records() if at not in present}


class _Judge:
    """Which records of one plan make no row."""

    def __init__(self, table: Table, sealed: Sealed, topic: str, refused_max: int) -> None:
        self._table, self._sealed, self._topic, self._refused_max = table, sealed, topic, refused_max
        self._all_read = False
        self.refused: Refusals = {at: NO_OBJECT for at, row in sealed.records() if row is None}
        self._bound()

    def refuse(self, sent: list[Coordinates], error: RefusedRow) -> None:
        """Note which of the records in an insert made ClickHouse refuse it.

        Where a record is broken JSON, ClickHouse may notice it only in the row behind, and name that one. So the
        first refusal of a plan has all its rows read here; ClickHouse is believed once each is one row by itself.
        """
        broken = {} if self._all_read else self._broken()
        self._all_read = True
        if broken:
            self.refused |= broken
        elif error.row is not None and 1 <= error.row <= len(sent):
            self.refused[sent[error.row - 1]] = str(error)
        else:
            raise MalformedRecord(
                f"{self._topic}: ClickHouse refuses one of {len(sent)} rows for {self._table.name} and does not say "
                f"which: {error}"
            ) from error
        self._bound()

    def _broken(self) -> Refusals:
        return {
            at: NO_OBJECT
            for at, row in self._sealed.records()
            if row is not None and at not in self.refused and not self._table.is_one_row(row)
        }

    def _bound(self) -> None:
        if len(self.refused) <= self._refused_max:
            return
        (partition, offset), why = next(iter(self.refused.items()))
        example = f"partition {partition} offset {offset}: ClickHouse refuses the row for {self._table.name}: {why}"
        if self._refused_max == 0:
            raise MalformedRecord(
                f"{self._topic} {example}; a dead letter of a dead letter would never end, so it stays where it is. "
                "Compare the table with the one that scoreline migrate makes"
            )
        raise SchemaError(
            f"{self._topic}: more than {self._refused_max} records of one insert are refused, e.g. {example}. So many "
            "mean a table that does not fit this release: bring it up to date with: scoreline migrate. If it is the "
            "records that are wrong, raise SCORELINE_REFUSED_ROWS_MAX and they go to the topic of rejected ones"
        )
