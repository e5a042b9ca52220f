"""The read side: questions about scores, answered by ClickHouse. It reads only, and only ClickHouse.

    from scoreline_analytics import Analytics, Filter, Question

    with Analytics() as analytics:                       # settings from SCORELINE_*; projects=("team",) restricts it
        answer = analytics.summary(Question(names=("accuracy",), by=("evaluator_model",), where=("environment=prod",)))
        for group in answer.groups:
            print(group.dimensions, group.figures.n, group.figures.mean, group.figures.mean_low)
        answer.to_pandas()

**What is asked.** `Filter(names, project, since, until, where)` says which scores: `where` takes texts as
`"metadata.item=7"`, `"value>=0.5"`, `"comment~refund"`, `"metadata.item"` (has the key), or `Condition`s.
`Question(…, by, limit, level)` is a `Filter` with groups and a confidence level; it does wherever a `Filter` does.

**Methods of `Analytics(settings=None, projects=None)`** (thread-safe, a context manager, `close()`):

    names(filter) -> Names                     .names: project, name, data_type, n, failed, last
    dimensions(filter) -> Valued               .counts: {dimension: n or None}, keys of metadata and lookups too
    values(dimension, filter, limit) -> Valued .counts: {value: n}
    summary(question, quantiles=…) -> Summary  .groups: Group(dimensions, figures); .is_complete
    series(question, step, zone="UTC", quantiles=()) -> Series     .points: Point(time, dimensions, figures)
    histogram(question, bins=20, range=None) -> Histogram          .groups: bins (low, high, n), categories
    change(question, now=None) -> Change       .groups: before, after (Figures), difference, low, high, p
    worst(filter, n) / latest(filter, n) -> Scores                 .items: rows of whole scores
    scores(filter) -> Export                   iterate: answers of some rows; .arrow(); .write(path)
    score(project, score_id) -> row or None    trace(trace_id, project=None) -> Scores
    compare(a, b, pair="auto", level=0.95) -> Comparison           .names: one Compared for each score name
    agreement(a, b, pair="auto", level=0.95) -> Agreement
    rejections(RejectionFilter(…), limit) -> Rejections            .groups: reason, service, n, example, remedy
    flow(window=5 minutes) -> Flow             n, per_s, rejected, latencies to_kafka, to_row, to_query

**Every answer** is frozen and has `columns`, `rows()` (mappings; datetimes aware, never NaN), `to_arrow()`,
`to_pandas()`, `to_polars()` and `write(path or file, format)`: csv, json, jsonl, parquet. `formats.to_json(rows)` is
JSON for a response.

**Failed scores** are counted in `failed` and are in no other figure. `missing` are scores without a number.

**Speed.** `quantiles=()` and fields among project, name, data_type, label, service, environment, release: the rollups
answer.
"""

from scoreline_analytics.analytics import Analytics
from scoreline_analytics.fields import Condition
from scoreline_analytics.questions import Filter, Question
from scoreline_analytics.rejections import RejectionFilter

__all__ = ["Analytics", "Condition", "Filter", "Question", "RejectionFilter"]
