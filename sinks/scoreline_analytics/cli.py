"""`scoreline query`: questions about stored scores, answered as a table, JSON, CSV or Parquet."""

from __future__ import annotations

import logging
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Annotated

from cyclopts import App, Parameter

from scoreline_analytics.analytics import Analytics
from scoreline_analytics.options import Grouped, Output, Which, several
from scoreline_analytics.printing import bar, difference_row, figures_row, print_rows, put
from scoreline_analytics.questions import LEVEL, Filter
from scoreline_analytics.results import Row
from scoreline_analytics.series import Series
from scoreline_analytics.steps import step_of

Count = Annotated[int, Parameter(name=["--n", "-n"])]

_GROUPED, _WHICH, _OUTPUT = Grouped(), Which(), Output()

app = App(
    name="query",
    help="""Ask about stored scores: counts, means with confidence intervals, trends, comparisons, exports.

    Without a subcommand: figures of each group. The mean of true/false scores is the share of true. Failed scores are
    counted apart and are in no figure; quantiles are exact. For example:

        scoreline query --by name environment --since 7d
        scoreline query --name accuracy --by metadata.model --where environment=prod
        scoreline query series --name accuracy --step 1h --since 2d
        scoreline query histogram --name latency_s
        scoreline query compare --a release=v1 --b release=v2
        scoreline query change --since 7d
        scoreline query worst --name accuracy --since 1d
        scoreline query scores --name accuracy --output accuracy.parquet
        scoreline query names

    Every subcommand takes --json and says more with --help.
    """,
)


@contextmanager
def answering(which: Which) -> Generator[Analytics]:
    """Questions with the settings of this process, put together and asked."""
    # They log every failed attempt with its URL; what matters of it is in the error.
    for driver in ("clickhouse_connect", "urllib3"):
        logging.getLogger(driver).setLevel(logging.CRITICAL)
    with Analytics() as analytics, analytics.naming_keys(which.project):
        yield analytics


@app.default
def query(
    *,
    grouped: Grouped = _GROUPED,
    step: str | None = None,
    zone: str = "UTC",
    output: Output = _OUTPUT,
) -> None:
    """Count, mean with its interval, spread, exact quantiles and shares of categories of each group.

    Parameters
    ----------
    step
        Also group by the time when they were judged: as `scoreline query series`.
    zone
        Time zone of the step, as Europe/Berlin.
    """
    if step is not None:
        series(grouped=grouped, step=step, zone=zone, output=output)
        return
    with answering(grouped) as analytics:
        question = grouped.question()
        answer = analytics.summary(question)
        if not answer.groups:
            _say_empty(analytics, question)
        mixed: set[str] = (
            set() if "name" in question.by else {each.name for each in analytics.names(grouped.filter()).names}
        )
    put(answer, output, [figures_row(row, question.level) for row in answer.rows()])
    _say_cut(answer.is_complete, question.limit)
    _say_mixed(mixed)


@app.command
def series(
    *,
    step: str,
    grouped: Grouped = _GROUPED,
    zone: str = "UTC",
    output: Output = _OUTPUT,
) -> None:
    """Figures of each group over time; a bucket without scores is a row with n 0.

        scoreline query series --name accuracy --step 1d --since 30d --by evaluator_model --zone Europe/Berlin

    Parameters
    ----------
    step
        30s, 5m, 1h, 1d, 1w, 1mo; or minute, hour, day, week, month.
    zone
        Time zone in which days, weeks and months begin.
    """
    buckets = step_of(step, zone)
    with answering(grouped) as analytics:
        question = grouped.question()
        answer = analytics.series(question, buckets)
        if not answer.points:
            _say_empty(analytics, question)
    put(answer, output, _trend(answer))
    _say_cut(answer.is_complete, question.limit)


@app.command
def histogram(
    *,
    grouped: Grouped = _GROUPED,
    bins: int = 20,
    range_: Annotated[tuple[float, float] | None, Parameter(name="--range")] = None,
    output: Output = _OUTPUT,
) -> None:
    """How many scores have which value: equal bins, or the categories as they are.

        scoreline query histogram --name accuracy --bins 10 --range 0 1 --by evaluator_model

    Parameters
    ----------
    bins
        Bins of numbers, all as wide.
    range_
        First and last edge; the least and the greatest number if not given.
    """
    with answering(grouped) as analytics:
        question = grouped.question()
        answer = analytics.histogram(question, bins, range_)
        if not answer.groups:
            _say_empty(analytics, question)
    rows = answer.rows()
    top = max((row["share"] for row in rows), default=1.0)
    put(answer, output, [{**_without_nothing(row), "": bar(row["share"] / top)} for row in rows])
    for group in answer.groups:
        if group.below or group.above:
            sys.stderr.write(f"{group.dimensions}: {group.below} below the range, {group.above} above it\n")


@app.command
def change(*, grouped: Grouped = _GROUPED, output: Output = _OUTPUT) -> None:
    """The time since --since against as long a time before it: difference with its interval and p value.

    scoreline query change --since 7d --by name environment
    """
    with answering(grouped) as analytics:
        question = grouped.question()
        answer = analytics.change(question)
        if not answer.groups:
            _say_empty(analytics, question)
    put(answer, output, [difference_row(row, question.level) for row in answer.rows()])
    _say_cut(answer.is_complete, question.limit)


@app.command
def compare(
    *,
    a: Annotated[list[str], several("Conditions of side a, as of --where.")],
    b: Annotated[list[str], several("Conditions of side b.")],
    pair: str = "auto",
    level: float = LEVEL,
    which: Which = _WHICH,
    output: Output = _OUTPUT,
) -> None:
    """Two runs, releases, models or periods, score name by score name: b less a.

    Scores of the same item are paired (paired t test, exact McNemar test of true/false), else the sides are compared
    as they are (Welch's t test, Fisher's exact test; categories by chi-squared). p values of many names are corrected
    by Holm and by Benjamini and Hochberg.

        scoreline query compare --a release=v1 --b release=v2 --pair metadata.item
        scoreline query compare --a evaluator_model=x --b evaluator_model=y --name accuracy --since 7d
        scoreline query compare --a 'timestamp<2026-02-01' --b 'timestamp>=2026-02-01' --pair none

    Parameters
    ----------
    pair
        Dimension that names the item, none, or auto: the first by which two items or more are on both sides, of
        metadata.item, .item_id, .example_id, .sample_id, .dataset_item_id, observation_id, trace_id, session_id.
    level
        Confidence level of the intervals.
    """
    with answering(which) as analytics:
        sides = [replace(both := which.filter(), where=(*both.where, *of_side)) for of_side in (a, b)]
        answer = analytics.compare(sides[0], sides[1], pair, level)
        if not answer.names:
            _say_empty(analytics, both)
    put(answer, output, [difference_row(row, level) for row in answer.rows()])
    sys.stderr.write(f"{answer.rule}\n")


@app.command
def agreement(
    *,
    a: Annotated[list[str], several("Conditions of side a, as of --where.")],
    b: Annotated[list[str], several("Conditions of side b.")],
    pair: str = "auto",
    level: float = LEVEL,
    which: Which = _WHICH,
    output: Output = _OUTPUT,
) -> None:
    """How far two score names or two judges say the same of the same items.

        scoreline query agreement --name helpful --a author=ann --b evaluator_name=judge --pair trace_id

    Parameters
    ----------
    pair
        As of `scoreline query compare`.
    level
        Confidence level of the intervals.
    """
    with answering(which) as analytics:
        sides = [replace(both := which.filter(), where=(*both.where, *of_side)) for of_side in (a, b)]
        answer = analytics.agreement(sides[0], sides[1], pair, level)
    put(answer, output, [{"figure": name, "value": value} for name, value in answer.rows()[0].items()])
    sys.stderr.write(f"{answer.rule}\n")


@app.command
def worst(*, which: Which = _WHICH, n: Count = 10, output: Output = _OUTPUT) -> None:
    """The scores with the lowest normalized value, where there is none the lowest value, with their comments.

        scoreline query worst --name accuracy --since 1d -n 20

    Parameters
    ----------
    n
        Scores at most.
    """
    with answering(which) as analytics:
        asked = which.filter()
        answer = analytics.worst(asked, n)
        if not answer.items:
            _say_empty(analytics, asked)
    put(answer, output, [_brief(row) for row in answer.rows()])
    _say_mixed({row["name"] for row in answer.items if row["normalized"] is None})


@app.command
def latest(*, which: Which = _WHICH, n: Count = 10, output: Output = _OUTPUT) -> None:
    """The scores that were judged last, with their comments.

        scoreline query latest --where status=failed

    Parameters
    ----------
    n
        Scores at most.
    """
    with answering(which) as analytics:
        asked = which.filter()
        answer = analytics.latest(asked, n)
        if not answer.items:
            _say_empty(analytics, asked)
    put(answer, output, [_brief(row) for row in answer.rows()])


@app.command
def scores(*, which: Which = _WHICH, output: Output = _OUTPUT) -> None:
    """Every whole score, ordered by project, name and time; of any number, in constant memory.

    scoreline query scores --since 2026-01-01 --output scores.parquet
    scoreline query scores --name accuracy --format jsonl | jq .comment
    """
    chosen = output.chosen or "jsonl"
    with answering(which) as analytics:
        export = analytics.scores(which.filter())
        if output.output is not None:
            n = export.write(output.output, output.chosen)
            sys.stderr.write(f"{n} scores in {output.output}\n")
        elif chosen == "table":
            for batch in export:
                print_rows(None, [_brief(row) for row in batch.rows()])
        else:
            export.write(sys.stdout.buffer, chosen)


@app.command
def names(*, which: Which = _WHICH, output: Output = _OUTPUT) -> None:
    """Every score name with its type, counts and latest score."""
    with answering(which) as analytics:
        put(analytics.names(which.filter()), output)


@app.command
def values(
    dimension: str | None = None, /, *, which: Which = _WHICH, limit: int = 100, output: Output = _OUTPUT
) -> None:
    """The values of a dimension with their counts; without one, the dimensions that there are.

        scoreline query values
        scoreline query values metadata.model --name accuracy

    Parameters
    ----------
    dimension
        As after --by.
    limit
        Values at most: the most frequent.
    """
    with answering(which) as analytics:
        asked = which.filter()
        put(analytics.dimensions(asked) if dimension is None else analytics.values(dimension, asked, limit), output)


def _trend(answer: Series) -> list[Row]:
    """Rows for people, with a bar between the least and the greatest mean of each group."""
    means: dict[tuple[str, ...], list[float]] = {}
    for point in answer.points:
        if point.figures.mean is not None:
            means.setdefault(tuple(point.dimensions.values()), []).append(point.figures.mean)
    rows: list[Row] = []
    for point in answer.points:
        row = figures_row(point.row(), answer.question.level)
        mean, of_group = point.figures.mean, means.get(tuple(point.dimensions.values()), [])
        low, high = min(of_group, default=0.0), max(of_group, default=0.0)
        row[""] = "" if mean is None else bar((mean - low) / (high - low) if high > low else 1.0) or "▏"
        rows.append(row)
    return rows


def _brief(row: Row) -> Row:
    """What a person wants of a score at first."""
    judge = row["evaluator_name"] or row["evaluator_model"] or row["author"]
    target = next(
        (row[f"{kind}_id"] for kind in ("observation", "trace", "session", "dataset_run") if row[f"{kind}_id"]), ""
    )
    return {
        "time": row["timestamp"],
        "project": row["project"],
        "name": row["name"],
        "value": "failed" if row["status"] == "failed" else row["label"] or row["value"],
        "normalized": row["normalized"],
        "target": target,
        "judge": judge,
        "comment": row["comment"] or row["error"],
    }


def _without_nothing(row: Row) -> Row:
    return {key: value for key, value in row.items() if value is not None}


def _say_empty(analytics: Analytics, asked: Filter) -> None:
    """That nothing was found; where the time alone leaves them out, when those were judged that there are."""
    in_a_time = asked.since is not None or asked.until is not None
    extent = analytics.extent(replace(asked, since=None, until=None)) if in_a_time else None
    when = "" if extent is None else f" in this time; there are some from {_minute(extent[0])} to {_minute(extent[1])}"
    sys.stderr.write(f"no scores match{when}\n")


def _minute(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"


def _say_mixed(names: set[str]) -> None:
    if len(names) > 1:
        sys.stderr.write(f"{len(names)} score names are mixed here, whose values may not compare; give --name\n")


def _say_cut(is_complete: bool, limit: int) -> None:
    if not is_complete:
        sys.stderr.write(f"more than {limit} groups: the others are left out; raise --limit or narrow the question\n")
