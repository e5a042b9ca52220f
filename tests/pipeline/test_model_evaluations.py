"""Real data through the whole pipeline: 21,372 published model evaluations, recomputed from the file in plain Python.

The file is not ours to publish: it is read from where the team shares it, and the test is skipped where it is absent.
"""

from __future__ import annotations

import gzip
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.documents import ROOT
from tests.running_pipeline import Pipeline

FILE = ROOT.parent / "shared" / "data" / "model-evaluations.jsonl.gz"
pytestmark = pytest.mark.skipif(not FILE.exists(), reason=f"{FILE} is absent: the shared score data is not published")

MAPPING = {
    "score_id": "{evaluation_id}/{evaluation_name}",
    "name": "{evaluation_name}",
    "value": "{score}",
    "dataset_run_id": "{evaluation_id}",
    "config_id": "{benchmark}/{evaluation_name}",
    "timestamp": "{retrieved_at}",
    "service": "{benchmark}",
    "metadata.model": "{model}",
    "metadata.benchmark": "{benchmark}",
}
MEAN_TOLERANCE = 1e-9

Row = dict[str, Any]
Aggregate = tuple[int, float, float, float]
"""count, mean, min, max"""


@dataclass
class Expected:
    """What one import of the rows, in their order, must lead to."""

    stored: dict[str, Row] = field(default_factory=dict)
    duplicates: int = 0
    rejected: Counter[str] = field(default_factory=Counter)

    def take(self, rows: Iterable[Row]) -> None:
        for row in rows:
            score_id = f"{row['evaluation_id']}/{row['evaluation_name']}"
            first = self.stored.get(score_id)
            if not row["min_score"] <= row["score"] <= row["max_score"]:
                self.rejected["out_of_range"] += 1
            elif first is None:
                self.stored[score_id] = row
            elif all(first[name] == row[name] for name in ("score", "model", "benchmark")):
                self.duplicates += 1
            else:
                self.rejected["conflicting_duplicate"] += 1


def aggregate(rows: Iterable[Row], key: Callable[[Row], Any]) -> dict[Any, Aggregate]:
    """count, mean, min and max of the scores of each group."""
    groups: dict[Any, list[float]] = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row["score"])
    return {group: (len(v), sum(v) / len(v), min(v), max(v)) for group, v in groups.items()}


def assert_equal(found: list[tuple[Any, ...]], expected: dict[Any, Aggregate], width: int) -> None:
    """Groups, counts, minima and maxima are equal, means within 1e-9."""
    by_group = {row[:width] if width > 1 else row[0]: row[width:] for row in found}
    assert by_group.keys() == expected.keys()
    for group, (count, mean, low, high) in expected.items():
        assert (by_group[group][0], by_group[group][2], by_group[group][3]) == (count, low, high), group
        assert abs(by_group[group][1] - mean) <= MEAN_TOLERANCE, group


def hour(row: Row) -> datetime:
    return datetime.fromtimestamp(row["retrieved_at"], UTC).replace(minute=0, second=0, microsecond=0)


def check_clickhouse(pipeline: Pipeline, expected: Expected) -> None:
    """Base rows and rollups against what was recomputed from the file."""
    rows = list(expected.stored.values())
    [(total, ids)] = pipeline.ask("SELECT count(), uniqExact(score_id) FROM scores")
    assert total == ids == len(rows)
    rejected = pipeline.ask("SELECT reason, count() FROM rejected_scores GROUP BY reason")
    assert dict(rejected) == dict(expected.rejected)

    aggregates = "count(), avg(value), min(value), max(value)"
    by_benchmark = aggregate(rows, lambda row: (row["benchmark"], row["evaluation_name"]))
    base = pipeline.ask(f"SELECT metadata['benchmark'] AS b, name, {aggregates} FROM scores GROUP BY b, name")
    assert_equal(base, by_benchmark, 2)
    rollup = pipeline.ask(
        "SELECT service, name, sum(n), sum(s) / sum(n), min(low), max(high) FROM ("
        "SELECT service, name, count(value) AS n, sum(value) AS s, min(value) AS low, max(value) AS high FROM scores "
        "GROUP BY project, name, data_type, label, service, environment, release, toStartOfDay(timestamp)"
        ") GROUP BY service, name SETTINGS force_optimize_projection = 1"
    )
    assert_equal(rollup, by_benchmark, 2)
    for view, bucket, key in (
        ("scores_by_minute", "toStartOfHour(minute)", hour),
        ("scores_by_hour", "hour", hour),
        ("scores_by_day", "toDateTime(day, 'UTC')", lambda row: hour(row).replace(hour=0)),
    ):
        found = pipeline.ask(
            f"SELECT name, {bucket} AS at, sum(value_count), sum(value_sum) / sum(value_count), min(value_min), "
            f"max(value_max) FROM {view} GROUP BY name, at"
        )
        aware = [(name, at.replace(tzinfo=UTC), *rest) for name, at, *rest in found]
        assert_equal(aware, aggregate(rows, lambda row, key=key: (row["evaluation_name"], key(row))), 2)


def test_published_evaluations_are_stored_and_aggregated_exactly(pipeline: Pipeline, tmp_path: Path) -> None:
    """Configs from the declared ranges, the file as it is, twice: ClickHouse agrees with plain Python each time."""
    with gzip.open(FILE, "rt") as lines:
        rows = [json.loads(line) for line in lines]
    ranges = {(row["benchmark"], row["evaluation_name"]): row for row in rows}
    configs = tmp_path / "configs.json"
    configs.write_text(
        json.dumps(
            [
                {
                    "id": f"{benchmark}/{name}",
                    "name": name,
                    "data_type": "NUMERIC",
                    "min": row["min_score"],
                    "max": row["max_score"],
                    "lower_is_better": row["lower_is_better"],
                }
                for (benchmark, name), row in ranges.items()
            ]
        )
    )
    pipeline.run("configs", "put", str(configs))

    expected = Expected()
    for _ in range(2):
        expected.take(rows)
        assert pipeline.import_file(FILE, MAPPING) == {"sent": len(rows), "acknowledged": len(rows), "invalid": 0}
        pipeline.drain()
        check_clickhouse(pipeline, expected)
    assert expected.duplicates + sum(expected.rejected.values()) + len(expected.stored) == 2 * len(rows)
    proof = json.loads(pipeline.run("reconcile", "--json"))
    sums = {"raw": 2 * len(rows), "stored": len(expected.stored), "duplicate": expected.duplicates}
    assert sums.items() <= proof.items()
    assert (proof["rejected"], proof["ok"]) == (expected.rejected.total(), True)
    normalized = pipeline.ask(
        "SELECT countIf(normalized < 0 OR normalized > 1), countIf(normalized IS NULL) FROM scores"
    )
    assert normalized == [(0, 0)]
