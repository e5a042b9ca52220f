"""What the dead-letter commands ask of ClickHouse, and the one thing they write: what was done about which letters."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

import orjson
from clickhouse_connect.driver.exceptions import ClickHouseError
from urllib3.exceptions import HTTPError

from scoreline.settings import Settings
from scoreline_sink.clickhouse import JSON_ROWS, ClickHouse
from scoreline_sink.dlq.filters import Filter, Shown, Step
from scoreline_sink.dlq.letters import Entry, Handled, Letter, Reference, text
from scoreline_sink.server_errors import translate

Action = Literal["replayed", "discarded"]

PAGE_LETTERS = 20_000
"""Letters of one page of a walk."""
PAGE_BYTES = 16 << 20
"""Bytes of the letters that are read at once; one letter can be more."""

ASKED_AT_ONCE = 5_000
"""Letters that one query names: the server bounds the length of its text."""

_COORDINATES = "src_partition, src_offset"
_ENTRY = (
    "src_partition, src_offset, toUnixTimestamp64Milli(rejected_at), reason, detail, stage, project, score_id, name, "
    "service"
)
_RAW = "key, value, headers, raw_topic, raw_partition, raw_offset, toUnixTimestamp64Milli(raw_timestamp)"
_AT = f"rejected_at, {_COORDINATES}"
"""What the letters of a group are walked by."""


class Group(NamedTuple):
    """How many letters one project has for one reason."""

    project: str
    reason: str
    letters: int


class Census(NamedTuple):
    """What a filter chooses, as it was at one moment."""

    chosen: Filter
    """The filter, closed to what comes later."""
    groups: tuple[Group, ...]

    @property
    def letters(self) -> int:
        return sum(group.letters for group in self.groups)


class Slice(NamedTuple):
    """Letters that are read at once: what stands between two places of a group, without those that are handled."""

    group: Group
    first: tuple[int, int, int]
    last: tuple[int, int, int]
    """Milliseconds of rejection, partition, offset; both inclusive."""
    references: frozenset[Reference]


class Count(NamedTuple):
    """One line of the statistics."""

    time_ms: int | None
    """Start of the hour or day; None without a step."""
    reason: str
    service: str
    letters: int
    last_rejected_ms: int
    example: Reference
    """The latest one."""
    detail: str
    """Of the example."""
    total: int
    """Letters of all lines, those too that a limit left out."""


class Store(ClickHouse):
    """One connection. Every method raises as `scoreline_sink.server_errors.translate` says."""

    def __init__(self, settings: Settings) -> None:
        # They log every failed attempt with its URL; what matters of it is in the error.
        for library in ("clickhouse_connect", "urllib3"):
            logging.getLogger(library).setLevel(logging.CRITICAL)
        super().__init__(settings)
        self._rejected = f"{self.database}.rejected_scores"
        self._actions = f"{self.database}.dead_letter_actions"

    def newest(self, chosen: Filter, shown: Shown, limit: int, after: Reference | None) -> list[Entry]:
        """At most `limit` letters, the latest rejection first; those that follow `after`, if it is given."""
        conditions, parameters = chosen.conditions()
        behind = "1"
        if after is not None:
            behind = f"({_AT}) < (SELECT {_AT} FROM {self._rejected} WHERE {_is(after)} LIMIT 1)"
        rows = self.query(
            f"SELECT {_ENTRY} FROM {self._rejected} WHERE {conditions} AND {behind} AND {self._which(shown)} "
            f"ORDER BY rejected_at DESC, src_partition DESC, src_offset DESC LIMIT {limit}",
            parameters,
        )
        handled = self._handled([Reference(*row[:2]) for row in rows])
        return [_entry(row, handled) for row in rows]

    def letters(self, chosen: Filter, limit: int) -> list[Letter]:
        """At most `limit` whole letters, handled or not, the latest first."""
        conditions, parameters = chosen.conditions()
        rows = self._rows(
            f"SELECT {_ENTRY}, {_RAW} FROM {self._rejected} WHERE {conditions} ORDER BY rejected_at DESC LIMIT {limit}",
            parameters,
        )
        handled = self._handled([Reference(*row[:2]) for row in rows])
        return [_letter(row, handled) for row in rows]

    def census(self, chosen: Filter, shown: Shown) -> Census:
        """Count what a filter chooses now, and close it to what comes later."""
        [(now_ms,)] = self.query("SELECT toUnixTimestamp64Milli(now64(3))")
        closed = replace(chosen, inserted_until_ms=now_ms)
        conditions, parameters = closed.conditions()
        rows = self.query(
            f"SELECT project, reason, count() FROM {self._rejected} WHERE {conditions} AND {self._which(shown)} "
            "GROUP BY project, reason ORDER BY project, reason",
            parameters,
        )
        return Census(closed, tuple(Group(*row) for row in rows))

    def walk(self, census: Census, shown: Shown, letters_max: int = PAGE_LETTERS) -> Iterator[list[Letter]]:
        """All letters of a census, group by group, in batches bounded by number and bytes.

        Reads along the table's order, so that a batch costs the same whether thousands or millions are stored, and
        holds nothing open between two batches.
        """
        for group in census.groups:
            for part in self._slices(census.chosen, group, shown, letters_max):
                yield self._read(census.chosen, part, shown)

    def walk_references(self, census: Census, shown: Shown) -> Iterator[frozenset[Reference]]:
        """As `walk`, without reading the letters."""
        for group in census.groups:
            for part in self._slices(census.chosen, group, shown, PAGE_LETTERS):
                yield part.references

    def stats(self, chosen: Filter, shown: Shown, step: Step | None, limit: int) -> list[Count]:
        """Letters by reason and service, and by hour or day; the largest first inside of each time."""
        conditions, parameters = chosen.conditions()
        time = {None: "NULL", "hour": "toStartOfHour(rejected_at)", "day": "toStartOfDay(rejected_at)"}[step]
        rows = self.query(
            f"SELECT toUnixTimestamp({time}) AS time, reason, service, count() AS letters, "
            "toUnixTimestamp64Milli(max(rejected_at)), sum(letters) OVER (), "
            f"argMax(tuple({_COORDINATES}, detail), rejected_at) AS example "
            f"FROM {self._rejected} WHERE {conditions} AND {self._which(shown)} "
            f"GROUP BY time, reason, service ORDER BY time, letters DESC, reason, service LIMIT {limit}",
            parameters,
        )
        return [
            Count(
                None if time is None else time * 1000,
                reason,
                service,
                letters,
                last,
                Reference(*example[:2]),
                example[2],
                total,
            )
            for time, reason, service, letters, last, total, example in rows
        ]

    def record(self, references: Iterable[Reference], action: Action, by: str, why: str) -> None:
        """Write down what was done about these letters. The latest word on a letter counts; twice is harmless."""
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        rows = [
            orjson.dumps(
                {"src_partition": partition, "src_offset": offset, "action": action, "at": at, "by": by, "why": why}
            )
            for partition, offset in references
        ]
        if rows:
            self.insert("dead_letter_actions", None, JSON_ROWS, rows, f"dlq-{uuid.uuid4()}")

    def _slices(self, chosen: Filter, group: Group, shown: Shown, letters_max: int) -> Iterator[Slice]:
        conditions, parameters = chosen.conditions()
        last: tuple[int, int, int] | None = None
        while True:
            page = self._page(f"{conditions} AND {_OF_GROUP}", parameters | _of(group), last, letters_max)
            first = 0
            size = 0
            for index, row in enumerate(page):
                size += row[3]
                if size >= PAGE_BYTES or index == len(page) - 1:
                    part = page[first : index + 1]
                    wanted = frozenset(Reference(*r[1:3]) for r in part if shown == "all" or not r[4])
                    if wanted:
                        yield Slice(group, part[0][:3], part[-1][:3], wanted)
                    first, size = index + 1, 0
            if len(page) < letters_max:
                return
            last = page[-1][:3]

    def _page(
        self, conditions: str, parameters: Mapping[str, Any], last: tuple[int, int, int] | None, limit: int
    ) -> list[Any]:
        """Places of the letters behind `last`, their bytes, and whether they are handled; no more than these columns
        are read."""
        behind = "1" if last is None else f"rejected_at >= {_moment(last[0])} AND ({_AT}) > {_place(last)}"
        page = (
            f"SELECT {_AT}, length(key) + length(value) AS bytes FROM {self._rejected} "
            f"WHERE {conditions} AND {behind} ORDER BY {_AT} LIMIT {limit}"
        )
        return self.query(
            f"WITH page AS ({page}) SELECT toUnixTimestamp64Milli(rejected_at), {_COORDINATES}, ifNull(bytes, 0), "
            f"({_COORDINATES}) GLOBAL IN (SELECT {_COORDINATES} FROM {self._actions} "
            f"WHERE ({_COORDINATES}) GLOBAL IN (SELECT {_COORDINATES} FROM page)) FROM page ORDER BY {_AT}",
            parameters,
        )

    def _read(self, chosen: Filter, part: Slice, shown: Shown) -> list[Letter]:
        conditions, parameters = chosen.conditions()
        rows = self._rows(
            f"SELECT {_ENTRY}, {_RAW} FROM {self._rejected} WHERE {conditions} AND {_OF_GROUP} "
            f"AND rejected_at BETWEEN {_moment(part.first[0])} AND {_moment(part.last[0])} "
            f"AND ({_AT}) >= {_place(part.first)} AND ({_AT}) <= {_place(part.last)} ORDER BY {_AT}",
            parameters | _of(part.group),
        )
        handled = self._handled(list(part.references)) if shown == "all" else {}
        return [_letter(row, handled) for row in rows if Reference(*row[:2]) in part.references]

    def _handled(self, references: Sequence[Reference]) -> dict[Reference, Handled]:
        """What was done about those of these letters that are handled."""
        handled: dict[Reference, Handled] = {}
        for first in range(0, len(references), ASKED_AT_ONCE):
            some = references[first : first + ASKED_AT_ONCE]
            pairs = ", ".join(f"({partition}, {offset})" for partition, offset in some)
            rows = self.query(
                f"SELECT {_COORDINATES}, action, toUnixTimestamp64Milli(at), by, why FROM {self._actions} FINAL "
                f"WHERE ({_COORDINATES}) IN ({pairs})"
            )
            handled |= {Reference(*row[:2]): Handled(*row[2:]) for row in rows}
        return handled

    def _which(self, shown: Shown) -> str:
        # A cluster refuses to ask one spread table inside another on every shard.
        handled = f"SELECT {_COORDINATES} FROM {self._actions}"
        return "1" if shown == "all" else f"({_COORDINATES}) GLOBAL NOT IN ({handled})"

    def _rows(self, sql: str, parameters: Mapping[str, Any]) -> list[Any]:
        """As `query`, with key, value and headers as the bytes that they are."""
        try:
            return self._client.query(
                sql, parameters=dict(parameters), column_formats=dict.fromkeys(("key", "value", "headers"), "bytes")
            ).result_rows
        except (ClickHouseError, HTTPError, OSError) as error:
            raise translate(error, self.server) from error


_OF_GROUP = "project = {of_project:String} AND reason = {of_reason:String}"


def _of(group: Group) -> dict[str, str]:
    return {"of_project": group.project, "of_reason": group.reason}


def _moment(milliseconds: int) -> str:
    return f"fromUnixTimestamp64Milli(toInt64({milliseconds}), 'UTC')"


def _place(place: tuple[int, int, int]) -> str:
    return f"({_moment(place[0])}, {place[1]}, {place[2]})"


def _is(reference: Reference) -> str:
    return f"src_partition = {reference.partition} AND src_offset = {reference.offset}"


def _entry(row: Sequence[Any], handled: Mapping[Reference, Handled]) -> Entry:
    reference = Reference(row[0], row[1])
    return Entry._make((reference, *row[2:10], handled.get(reference)))


def _letter(row: Sequence[Any], handled: Mapping[Reference, Handled]) -> Letter:
    key, value, headers, *raw = row[10:]
    own = tuple([(text(header["name"]), header["value"]) for header in headers])
    return Letter(_entry(row, handled), key, value, own, *raw)
