"""What reconcile asks ClickHouse. Everything is asked by raw partition and raw offset."""

from __future__ import annotations

import logging
from array import array
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Literal, cast

import orjson
from clickhouse_connect.driver.exceptions import ClickHouseError
from clickhouse_connect.driver.external import ExternalData
from urllib3.exceptions import HTTPError

from scoreline.rejections import Stage
from scoreline.settings import Settings
from scoreline_sink.clickhouse import ClickHouse
from scoreline_sink.reconcile.claims import ScoreId, StoredScore
from scoreline_sink.server_errors import translate

GROUP_BYTES_MAX = 512 * 1024 * 1024
"""Memory that counting ids takes on the server before it goes on on the server's disk."""
TWICE_MAX = 10_000
"""Ids stored twice that are counted at most, by partition."""
_WORKER_STAGES = [Stage.VALIDATE.value, Stage.DEDUPLICATE.value]
_OF_RANGE = "raw_partition = {partition:UInt16} AND raw_offset >= {first:UInt64} AND raw_offset < {end:UInt64}"
_ARRIVALS_MS = "arraySort(groupArray(toUnixTimestamp64Milli(toDateTime64(received_at, 3))))"
_NEAREST_MS = f"arrayMin(arrayPopFront(arrayDifference({_ARRIVALS_MS})))"
_REJECTED = "raw_topic = {topic:String} AND "


class Store(ClickHouse):
    """One connection for questions about what is stored and rejected of one raw topic.

    Every method raises as `scoreline_sink.server_errors.translate` says.
    """

    def __init__(self, settings: Settings, raw_topic: str) -> None:
        # They log every failed attempt with its URL; what matters of it is in the error.
        for library in ("clickhouse_connect", "urllib3"):
            logging.getLogger(library).setLevel(logging.CRITICAL)
        super().__init__(settings)
        self._topic = raw_topic

    def offsets(self, table: Literal["scores", "rejected_scores"], partition: int, first: int, end: int) -> array[int]:
        """Raw offsets within [first, end) that rows of the table name, one for each row, in no order."""
        condition = _OF_RANGE if table == "scores" else _REJECTED + _OF_RANGE
        sql = f"SELECT raw_offset FROM {self.database}.{table} WHERE {condition}"
        try:
            body = self._client.raw_query(
                sql, parameters=self._range(partition, first, end), fmt="RowBinary", use_database=False
            )
        except (ClickHouseError, HTTPError, OSError) as error:
            raise translate(error, self.server) from error
        return array("Q", cast(bytes, body))

    def scores_of(self, partition: int, ids: Iterable[ScoreId], below: int) -> dict[ScoreId, list[StoredScore]]:
        """What is stored of these ids in this raw partition before the offset `below`; ids without a row are absent."""
        sql = (
            f"SELECT {', '.join(StoredScore._fields)} FROM {self.database}.scores "
            "WHERE raw_partition = {partition:UInt16} AND raw_offset < {end:UInt64} "
            "AND score_id IN (SELECT score_id FROM claimed) "
            "AND (project, score_id) IN (SELECT project, score_id FROM claimed)"
        )
        found: dict[ScoreId, list[StoredScore]] = defaultdict(list)
        for row in self._about(sql, ids, self._range(partition, 0, below)):
            score = StoredScore(*row)
            found[score.project, score.score_id].append(score)
        return found

    def scores_elsewhere(self, partition: int, ids: Iterable[ScoreId]) -> dict[ScoreId, list[tuple[int, StoredScore]]]:
        """What other raw partitions stored of these ids, and when the record arrived, Unix milliseconds.

        An id has another partition only since the topic was given more of them.
        """
        sql = (
            "SELECT toUnixTimestamp64Milli(toDateTime64(received_at, 3, 'UTC')), "
            f"{', '.join(StoredScore._fields)} FROM {self.database}.scores "
            "WHERE raw_partition != {partition:UInt16} AND score_id IN (SELECT score_id FROM claimed) "
            "AND (project, score_id) IN (SELECT project, score_id FROM claimed)"
        )
        found: dict[ScoreId, list[tuple[int, StoredScore]]] = defaultdict(list)
        for arrived_ms, *row in self._about(sql, ids, self._range(partition, 0, 0)):
            score = StoredScore(*row)
            found[score.project, score.score_id].append((arrived_ms, score))
        return found

    def refused(self, partition: int, ids: Iterable[ScoreId], below: int) -> dict[ScoreId, int]:
        """Id → lowest raw offset, of those scores that the worker took and a later stage rejected."""
        sql = (
            f"SELECT project, score_id, min(raw_offset) FROM {self.database}.rejected_scores "
            f"WHERE {_REJECTED}{_OF_RANGE} AND stage NOT IN {{stages:Array(String)}} "
            "AND (project, score_id) IN (SELECT project, score_id FROM claimed) GROUP BY project, score_id"
        )
        rows = self._about(sql, ids, self._range(partition, 0, below) | {"stages": _WORKER_STAGES})
        return {(project, score_id): offset for project, score_id, offset in rows}

    def oldest(self, partition: int) -> tuple[int | None, int | None]:
        """Lowest raw offset that either table holds, and the oldest Kafka timestamp of `scores` in milliseconds."""
        parameters = self._range(partition, 0, 0)
        [(offset, milliseconds)] = self.query(
            "SELECT minOrNull(raw_offset), toUnixTimestamp64Milli(toDateTime64(minOrNull(received_at), 3, 'UTC')) "
            f"FROM {self.database}.scores WHERE raw_partition = {{partition:UInt16}}",
            parameters,
        )
        [(rejected,)] = self.query(
            f"SELECT minOrNull(raw_offset) FROM {self.database}.rejected_scores "
            f"WHERE {_REJECTED}raw_partition = {{partition:UInt16}}",
            parameters,
        )
        return min((o for o in (offset, rejected) if o is not None), default=None), milliseconds

    def ids_stored_twice(
        self, partition: int, first: int, end: int, horizon_ms: int | None
    ) -> list[tuple[str, str, list[int]]]:
        """(project, score_id, raw offsets) of ids that two records within [first, end) stored, nearer than the horizon.

        At most `TWICE_MAX`. Counted by a 128-bit hash, on the server's disk where `GROUP_BYTES_MAX` does not do.
        """
        hashed = "sipHash128(project, score_id)"
        source = f"FROM {self.database}.scores WHERE {_OF_RANGE}"
        near = "" if horizon_ms is None else f" AND {_NEAREST_MS} < {horizon_ms}"
        return self.query(
            f"SELECT project, score_id, arraySort(groupUniqArray(raw_offset)) {source} "
            f"AND {hashed} IN (SELECT {hashed} {source} GROUP BY {hashed} HAVING min(raw_offset) != max(raw_offset)) "
            f"GROUP BY project, score_id HAVING uniqExact(raw_offset) > 1{near} LIMIT {TWICE_MAX} "
            f"SETTINGS max_bytes_before_external_group_by = {GROUP_BYTES_MAX}",
            self._range(partition, first, end),
        )

    def keys(self, partition: int, offsets: Sequence[int]) -> dict[int, str]:
        """Raw offset → key, as far as a row names it."""
        rows = self.query(
            f"SELECT raw_offset, concat(project, '/', score_id) FROM {self.database}.scores "
            "WHERE raw_partition = {partition:UInt16} AND raw_offset IN {offsets:Array(UInt64)} "
            f"UNION ALL SELECT raw_offset, ifNull(key, '') FROM {self.database}.rejected_scores "
            f"WHERE {_REJECTED}raw_partition = {{partition:UInt16}} AND raw_offset IN {{offsets:Array(UInt64)}}",
            self._range(partition, 0, 0) | {"offsets": list(offsets)},
        )
        return {offset: key if isinstance(key, str) else repr(key) for offset, key in rows}

    def _range(self, partition: int, first: int, end: int) -> dict[str, Any]:
        return {"topic": self._topic, "partition": partition, "first": first, "end": end}

    def _about(self, sql: str, ids: Iterable[ScoreId], parameters: dict[str, Any]) -> list[Any]:
        body = b"\n".join(orjson.dumps({"project": project, "score_id": score_id}) for project, score_id in ids)
        claimed = ExternalData(
            file_name="claimed", data=body, fmt="JSONEachRow", structure="project String, score_id String"
        )
        try:
            return self._client.query(sql, parameters=parameters, external_data=claimed).result_rows
        except (ClickHouseError, HTTPError, OSError) as error:
            raise translate(error, self.server) from error
