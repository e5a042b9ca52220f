"""`scoreline query`: aggregates of scores as a table, JSON or CSV."""

from __future__ import annotations

import csv
import logging
import sys
from datetime import UTC, datetime
from typing import Annotated, Literal

from cyclopts import Parameter

from scoreline.commands.moments import moment_of
from scoreline.commands.options import Json
from scoreline.commands.terminal import print_json, print_table
from scoreline.settings import load_settings
from scoreline_analytics.questions import Question, Step, conditions_of
from scoreline_analytics.summary import FIGURES, Answer, Group, summary

Format = Literal["table", "json", "csv"]

_Several = Parameter(negative="", consume_multiple=True)


def query(
    *,
    name: Annotated[list[str] | None, _Several] = None,
    project: str | None = None,
    by: Annotated[list[str] | None, _Several] = None,
    step: Step | None = None,
    since: str | None = None,
    until: str | None = None,
    where: Annotated[list[str] | None, _Several] = None,
    limit: int = 1000,
    output: Annotated[Format, Parameter(name="--format")] = "table",
    as_json: Json = False,
) -> None:
    """Count, mean, spread and exact quantiles of the stored scores, in groups.

    The mean of true/false scores is the share of true. For example, by model and day, of the last two weeks:

        scoreline query --name accuracy --by metadata.model --step day --since 14d

    Parameters
    ----------
    name
        Only scores with one of these names.
    project
        Only scores of this project.
    by
        Dimensions to group by, instead of name: project, name, status, data_type, label, service, environment,
        release, source, evaluator_name, evaluator_version, evaluator_model, author, config_id, target,
        dataset_run_id, session_id, trace_id, observation_id, metadata.KEY or lookups.FIELD.ATTRIBUTE.
    step
        Also group by the time when they were judged, UTC.
    since
        Only scores judged then or later: 30s, 15m, 6h, 7d or 2w ago, a date (UTC), or RFC 3339.
    until
        Only scores judged earlier.
    where
        DIMENSION=VALUE, one or more: only scores with that value. Of several values for one dimension any will do.
    limit
        Groups at most: by time, then the largest first.
    output
        How to print the groups.
    as_json
        As --format json: an array of objects.
    """
    now = datetime.now(UTC)
    question = Question(
        by=tuple(dict.fromkeys(by or ("name",))),
        step=step,
        names=tuple(name or ()),
        project=project,
        since=None if since is None else moment_of(since, now),
        until=None if until is None else moment_of(until, now),
        where=conditions_of(where or ()),
        limit=limit,
    )
    # They log every failed attempt with its URL; what matters of it is in the error.
    for driver in ("clickhouse_connect", "urllib3"):
        logging.getLogger(driver).setLevel(logging.CRITICAL)
    answer = summary(load_settings(), question)
    _PRINTERS["json" if as_json else output](answer, question)
    if not answer.is_complete:
        sys.stderr.write(f"more than {limit} groups: the others are left out; raise --limit or narrow the question\n")


def _print_json(answer: Answer, _question: Question) -> None:
    print_json([group.fields() for group in answer.groups])


def _print_csv(answer: Answer, question: Question) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(_columns(question))
    writer.writerows(group.fields().values() for group in answer.groups)


def _print_table(answer: Answer, question: Question) -> None:
    if not answer.groups:
        sys.stderr.write("no scores match\n")
    print_table(_columns(question), [_cells(group) for group in answer.groups], right=frozenset({"time", *FIGURES}))


_PRINTERS = {"json": _print_json, "csv": _print_csv, "table": _print_table}


def _columns(question: Question) -> tuple[str, ...]:
    return (*(("time",) if question.step else ()), *question.by, *FIGURES)


def _cells(group: Group) -> tuple[str, ...]:
    return tuple(_cell(field) for field in (group.fields() | _time(group)).values())


def _time(group: Group) -> dict[str, str]:
    return {} if group.time is None else {"time": group.time.strftime("%Y-%m-%d %H:%M").removesuffix(" 00:00")}


def _cell(field: str | int | float | None) -> str:
    if field is None:
        return ""
    return f"{field:.4g}" if isinstance(field, float) else str(field)
