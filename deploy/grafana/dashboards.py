"""The dashboards: what is shown, by which query. Views answer from the rollups; what needs a row reads `scores`."""

from __future__ import annotations

import json
from pathlib import Path

from deploy.grafana.panels import Json, dashboard, panel, variable

FOLDER = Path(__file__).with_name("dashboards")

_PROJECT = variable("project", "Project", "SELECT DISTINCT project FROM scores_by_day ORDER BY project")
_NAME = variable(
    "name",
    "Score",
    "SELECT DISTINCT name FROM scores_by_day WHERE project IN (${project:singlequote}) ORDER BY name",
    multi=False,
)
_SENDER = variable(
    "project",
    "Project",
    "SELECT DISTINCT project FROM rejections_by_hour ORDER BY project",
)
_OF = "project IN (${project:singlequote})"
_ONE = f"{_OF} AND name = ${{name:singlequote}}"
_HOURS = "$__timeInterval(hour) AS time"
_MEAN = "sum(value_sum) / nullIf(sum(value_count), 0)"
_SD = (
    "sqrt(greatest(0, (sum(value_squares) - pow(sum(value_sum), 2) / nullIf(sum(value_count), 0)) "
    "/ nullIf(sum(value_count) - 1, 0)))"
)
_INSERTED = "inserted_at >= $__fromTime AND inserted_at <= $__toTime AND received_at >= $__fromTime - INTERVAL 15 DAY"


def dashboards() -> dict[str, Json]:
    """Every dashboard by the name of its file."""
    return {"overview": _overview(), "score": _score(), "rejections": _rejections(), "pipeline": _pipeline()}


def text_of(dashboard: Json) -> str:
    """The file's text."""
    return json.dumps(dashboard, indent=1, ensure_ascii=False) + "\n"


def _overview() -> Json:
    hours = f"FROM scores_by_hour WHERE $__timeFilter(hour) AND {_OF}"
    return dashboard(
        "scoreline-overview",
        "scoreline: overview",
        [_PROJECT],
        [
            panel("stat", "Scores", f"SELECT sum(scores) AS scores {hours}", width=6, height=4),
            panel("stat", "Failed", f"SELECT sum(failed) AS failed {hours}", width=6, height=4),
            panel("stat", "Score names", f"SELECT uniqExact(name) AS names {hours}", width=6, height=4),
            panel(
                "stat",
                "Rejected",
                f"SELECT sum(rejections) AS rejected FROM rejections_by_hour WHERE $__timeFilter(hour) AND {_OF}",
                width=6,
                height=4,
            ),
            panel(
                "timeseries",
                "Mean of each score",
                f"SELECT {_HOURS}, name, {_MEAN} AS mean {hours} GROUP BY time, name ORDER BY time",
                width=12,
                height=10,
                description="Of true/false scores the share of true.",
            ),
            panel(
                "timeseries",
                "Scores",
                f"SELECT {_HOURS}, name, sum(scores) AS n {hours} GROUP BY time, name ORDER BY time",
                width=12,
                height=10,
            ),
            panel(
                "table",
                "Every score name",
                f"SELECT project, name, data_type, sum(scores) AS n, sum(failed) AS failed, {_MEAN} AS mean, "
                f"{_SD} AS sd, min(value_min) AS min, max(value_max) AS max, max(hour) AS last_hour {hours} "
                "GROUP BY project, name, data_type ORDER BY n DESC",
                width=24,
                height=12,
            ),
        ],
    )


def _score() -> Json:
    hours = f"FROM scores_by_hour WHERE $__timeFilter(hour) AND {_ONE}"
    rows = f"FROM scores WHERE $__timeFilter(timestamp) AND {_ONE}"
    figures = "countIf(status != 'failed') AS n, countIf(status = 'failed') AS failed, avg(value) AS mean"

    def by(title: str, column: str) -> Json:
        sql = f"SELECT {column}, {figures}, median(value) AS p50 {rows} GROUP BY {column} ORDER BY n DESC LIMIT 50"
        return panel("table", title, sql, width=8)

    return dashboard(
        "scoreline-score",
        "scoreline: one score",
        [_PROJECT, _NAME],
        [
            panel(
                "timeseries",
                "Mean, least and greatest",
                f"SELECT {_HOURS}, {_MEAN} AS mean, min(value_min) AS least, max(value_max) AS greatest "
                f"{hours} GROUP BY time ORDER BY time",
                width=12,
                height=9,
            ),
            panel(
                "barchart",
                "Distribution",
                "WITH (SELECT (min(value), max(value)) "
                f"{rows}) AS ends, greatest((ends.2 - ends.1) / 20, 1e-9) AS width "
                "SELECT toString(round(ends.1 + least(floor((value - ends.1) / width), 19) * width, 4)) AS from, "
                f"count() AS n {rows} AND isNotNull(value) GROUP BY from ORDER BY toFloat64(from)",
                width=12,
                height=9,
            ),
            panel(
                "timeseries",
                "Scores and failed ones",
                f"SELECT {_HOURS}, sum(scores) AS n, sum(failed) AS failed {hours} GROUP BY time ORDER BY time",
                width=12,
            ),
            panel(
                "barchart",
                "Categories",
                f"SELECT label, count() AS n {rows} AND label != '' GROUP BY label ORDER BY n DESC LIMIT 30",
                width=12,
            ),
            by("By service", "service"),
            by("By release", "release"),
            by("By model of the judge", "evaluator_model"),
            panel(
                "table",
                "The worst",
                f"SELECT timestamp, value, normalized, trace_id, service, evaluator_name, comment {rows} "
                "AND status != 'failed' AND isNotNull(ifNull(normalized, value)) "
                "ORDER BY ifNull(normalized, value), timestamp DESC LIMIT 50",
                width=24,
                height=12,
            ),
        ],
    )


def _rejections() -> Json:
    hours = f"FROM rejections_by_hour WHERE $__timeFilter(hour) AND {_OF}"

    def over_time(title: str, column: str) -> Json:
        sql = f"SELECT {_HOURS}, {column}, sum(rejections) AS n {hours} GROUP BY time, {column} ORDER BY time"
        return panel("timeseries", title, sql, width=12)

    return dashboard(
        "scoreline-rejections",
        "scoreline: rejections",
        [_SENDER],
        [
            over_time("By reason", "reason"),
            over_time("By service", "service"),
            panel(
                "table",
                "Who sends what",
                f"SELECT project, service, reason, name, sum(rejections) AS n, max(last_rejected_at) AS last {hours} "
                "GROUP BY project, service, reason, name ORDER BY n DESC LIMIT 200",
                width=24,
                height=9,
                description="An empty service or name: it could not be read of the record.",
            ),
            panel(
                "table",
                "The latest",
                "SELECT rejected_at, concat(toString(src_partition), '/', toString(src_offset)) AS letter, project, "
                f"service, reason, detail, score_id FROM rejected_scores WHERE $__timeFilter(rejected_at) AND {_OF} "
                "ORDER BY rejected_at DESC LIMIT 100",
                width=24,
                height=12,
                description="scoreline dlq show LETTER tells what to do.",
            ),
        ],
    )


def _pipeline() -> Json:
    rows = f"FROM scores WHERE {_INSERTED} AND {_OF}"

    def latency(title: str, since: str, description: str) -> Json:
        seconds = f"greatest(dateDiff('microsecond', {since}, toDateTime64(inserted_at, 6)) / 1e6, 0)"
        only = "" if since == "received_at" else " AND NOT late"
        sql = (
            "SELECT $__timeInterval(inserted_at) AS time, "
            + ", ".join(f"quantile({q})({seconds}) AS p{round(q * 100)}" for q in (0.5, 0.9, 0.99))
            + f" {rows}{only} GROUP BY time ORDER BY time"
        )
        return panel("timeseries", title, sql, width=12, unit="s", description=description)

    return dashboard(
        "scoreline-pipeline",
        "scoreline: pipeline",
        [_PROJECT],
        [
            panel(
                "timeseries",
                "Stored scores a second",
                f"SELECT $__timeInterval(inserted_at) AS time, count() / $__interval_s AS per_s {rows} "
                "GROUP BY time ORDER BY time",
                width=12,
            ),
            panel(
                "timeseries",
                "Late and failed",
                "SELECT $__timeInterval(inserted_at) AS time, countIf(late) AS late, "
                f"countIf(status = 'failed') AS failed {rows} GROUP BY time ORDER BY time",
                width=12,
                description="Late: judged more than an hour before it was received.",
            ),
            latency("From the judgement to a query", "timestamp", "Without late scores."),
            latency("From the broker to a query", "received_at", "How long worker and sink take."),
            panel(
                "table",
                "Raw partitions",
                f"SELECT raw_partition, count() AS n, max(raw_offset) AS last_offset, max(received_at) AS last {rows} "
                "GROUP BY raw_partition ORDER BY raw_partition",
                width=24,
            ),
        ],
        since="now-1h",
    )
