"""What people ask of many scores, as SQL on the tables and views: pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

ROLLUP_MS, POINT_MS, AD_HOC_MS = 100, 50, 2000
_ROW = "score_id, name, value, label, comment, timestamp"
_QUARTER = "since = {since:String}, until = {until:String}"
_MONTH = "timestamp >= {month:DateTime64(6, 'UTC')} AND timestamp < {month:DateTime64(6, 'UTC')} + INTERVAL 30 DAY"


@dataclass(frozen=True, slots=True)
class Question:
    """One statement; its parameters are those of `EXAMPLES`."""

    name: str
    aim_ms: int
    sql: str


QUESTIONS = (
    Question(
        "one name by hour, 90 days",
        ROLLUP_MS,
        f"SELECT * FROM scores_series(project = {{project:String}}, name = {{name:String}}, {_QUARTER}, step = 3600)",
    ),
    Question(
        "one name by day, 90 days",
        ROLLUP_MS,
        f"SELECT * FROM scores_series(project = {{project:String}}, name = {{name:String}}, {_QUARTER}, step = 86400)",
    ),
    Question(
        "one name by minute, one day",
        ROLLUP_MS,
        "SELECT * FROM scores_series(project = {project:String}, name = {name:String}, since = {since:String}, "
        "until = {day_after:String}, step = 60)",
    ),
    Question(
        "shares of a category, 90 days",
        ROLLUP_MS,
        f"SELECT * FROM scores_shares(project = {{project:String}}, name = {{category:String}}, {_QUARTER})",
    ),
    Question(
        "every name of a project, 30 days",
        ROLLUP_MS,
        "SELECT name, sum(scores), sum(failed), sum(value_sum) / sum(value_count), min(value_min), max(value_max) "
        "FROM scores_by_hour WHERE project = {project:String} AND hour >= {since:DateTime('UTC')} "
        "AND hour < {since:DateTime('UTC')} + INTERVAL 30 DAY GROUP BY name",
    ),
    Question(
        "every name of every project by day, 30 days",
        ROLLUP_MS,
        "SELECT project, name, day, sum(scores), sum(failed), sum(value_sum) / sum(value_count) FROM scores_by_day "
        "WHERE day >= {since:DateTime('UTC')} AND day < {since:DateTime('UTC')} + INTERVAL 30 DAY "
        "GROUP BY project, name, day",
    ),
    Question(
        "every project and name, all time",
        ROLLUP_MS,
        "SELECT project, name, sum(scores), sum(failed), sum(value_sum) / sum(value_count) FROM scores_by_day "
        "GROUP BY project, name",
    ),
    Question(
        "one name by release and service, 90 days",
        ROLLUP_MS,
        "SELECT release, service, sum(scores), sum(value_sum) / sum(value_count) FROM scores_by_origin "
        "WHERE project = {project:String} AND name = {name:String} AND day >= {since:DateTime('UTC')} "
        "AND day < {until:DateTime('UTC')} GROUP BY release, service",
    ),
    Question(
        "every service, all time",
        ROLLUP_MS,
        "SELECT service, environment, count(), countIf(status = 'failed') FROM scores GROUP BY service, environment",
    ),
    Question("by score id", POINT_MS, f"SELECT {_ROW} FROM scores_of_id(score_id = {{score_id:String}})"),
    Question("by trace", POINT_MS, f"SELECT {_ROW} FROM scores_of_trace(trace_id = {{trace_id:String}})"),
    Question("by session", POINT_MS, f"SELECT {_ROW} FROM scores_of_session(session_id = {{session_id:String}})"),
    Question(
        "by dataset run",
        POINT_MS,
        f"SELECT {_ROW} FROM scores_of_dataset_run(dataset_run_id = {{dataset_run_id:String}})",
    ),
    Question(
        "a month of one name, by a metadata field",
        AD_HOC_MS,
        "SELECT metadata['prompt'] AS prompt, count(), avg(value) FROM scores WHERE project = {project:String} "
        f"AND name = {{name:String}} AND {_MONTH} AND metadata['model'] = 'gpt-large' GROUP BY prompt",
    ),
    Question(
        "a month of a project, by a metadata field",
        AD_HOC_MS,
        "SELECT metadata['prompt'] AS prompt, name, count(), avg(value) FROM scores WHERE project = {project:String} "
        f"AND {_MONTH} AND metadata['model'] = 'gpt-large' GROUP BY prompt, name",
    ),
    Question(
        "a month of all projects, by judge's model",
        AD_HOC_MS,
        f"SELECT evaluator_model, count(), avg(value) FROM scores WHERE {_MONTH} GROUP BY evaluator_model",
    ),
    Question(
        "exact quantiles of a month of a project",
        AD_HOC_MS,
        "SELECT name, quantilesExactInclusive(0.5, 0.9, 0.95, 0.99)(value) FROM scores "
        f"WHERE project = {{project:String}} AND {_MONTH} GROUP BY name",
    ),
    Question(
        "the ten worst of a month of one name",
        AD_HOC_MS,
        f"SELECT {_ROW} FROM scores WHERE project = {{project:String}} AND name = {{name:String}} AND {_MONTH} "
        "ORDER BY value, timestamp DESC LIMIT 10",
    ),
)

EXAMPLE = """
    SELECT
        any(score_id), any(trace_id),
        anyIf(session_id, session_id != ''), anyIf(dataset_run_id, dataset_run_id != '')
    FROM (SELECT * FROM scores WHERE project = {project:String} AND name = {name:String} LIMIT 100000)
"""
"""Ids that exist: `IDS` of a project and a name."""
IDS = ("score_id", "trace_id", "session_id", "dataset_run_id")
PROJECT, NAME, CATEGORY = "search", "faithfulness", "tone"


def parameters(ids: Mapping[str, str], since: str, day_after: str, until: str) -> dict[str, str]:
    """What the questions ask about: ids, and points in time as `2026-01-31 00:00:00` in UTC."""
    times = {"since": since, "day_after": day_after, "until": until, "month": since}
    return {"project": PROJECT, "name": NAME, "category": CATEGORY, **ids, **times}
