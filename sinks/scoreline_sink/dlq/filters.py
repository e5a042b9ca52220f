"""Which letters: a filter as SQL conditions with bound parameters. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

from scoreline_sink.dlq.letters import Reference

Shown = Literal["open", "all"]
"""Letters without an action, or all of them."""
Step = Literal["hour", "day"]


class Conditions(NamedTuple):
    """SQL that stands behind WHERE, and the parameters in it."""

    sql: str
    parameters: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Filter:
    """Every field that is given must hold; of several values for one field any will do."""

    letters: tuple[Reference, ...] = ()
    reasons: tuple[str, ...] = ()
    projects: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    """Score ids."""
    since: datetime | None = None
    """Rejected then or later."""
    until: datetime | None = None
    """Rejected earlier."""
    inserted_until_ms: int | None = None
    """In the table by then, by the server's clock: what comes later is not part of what was asked."""

    def conditions(self) -> Conditions:
        """The filter on columns of `rejected_scores`."""
        texts = {
            "reason": self.reasons,
            "project": self.projects,
            "service": self.services,
            "name": self.names,
            "score_id": self.ids,
        }
        sql = [f"{column} IN {{{column}s:Array(String)}}" for column, wanted in texts.items() if wanted]
        parameters: dict[str, Any] = {f"{column}s": list(wanted) for column, wanted in texts.items() if wanted}
        for bound, moment, comparison in (("since", self.since, ">="), ("until", self.until, "<")):
            if moment is not None:
                parameters[bound] = moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
                sql.append(f"rejected_at {comparison} {{{bound}:DateTime64(6, 'UTC')}}")
        if self.inserted_until_ms is not None:
            parameters["inserted_until"] = self.inserted_until_ms
            sql.append("inserted_at <= fromUnixTimestamp64Milli({inserted_until:Int64}, 'UTC')")
        if self.letters:
            # numbers only, so that they need not be bound
            pairs = ", ".join(f"({partition}, {offset})" for partition, offset in self.letters)
            sql.append(f"(src_partition, src_offset) IN ({pairs})")
        return Conditions(" AND ".join(sql) or "1", parameters)
