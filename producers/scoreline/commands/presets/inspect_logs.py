"""Inspect AI evaluation logs (JSON, version 2): every sample with what each scorer said of it.

Inspect's marks become the numbers that its own accuracy takes: C correct 1, P partial 0.5, I incorrect and N no answer
0; the mark stands in metadata. A value of several parts is a score for each. NaN, Inspect's word for unscored, and a
sample that ended in an error are failed scores.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

from scoreline.commands.coercion import value_of
from scoreline.commands.presets.parts import Fields, Record, failed, identity, member, members, moment, present
from scoreline.errors import InvalidScore
from scoreline.rejections import Reason, Rejection

_MARKS = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0}


def records(document: Record) -> Iterable[Record]:
    """The samples of a log, each with the log's `eval` and `stats`. Raises InvalidScore for a log without samples."""
    if "samples" not in document:
        detail = "samples: this log has none; run with log_samples, or give the JSON of `inspect log dump`"
        raise InvalidScore(Rejection(Reason.MISSING_FIELD, detail))
    head = {"eval": member(document, "eval"), "stats": member(document, "stats")}
    return ({**sample, **head} for sample in members(document, "samples"))


def scores(record: Record) -> Iterator[Fields]:
    """The scores of one sample."""
    told = member(record, "scores")
    for scorer in told:
        score = member(told, scorer)
        for part, value in _parts(score.get("value")):
            name = scorer if part is None else f"{scorer}/{part}"
            yield {**_sample(record, scorer, name, score), **_value(value, score)}
    error = member(record, "error")
    if error and not told:
        for scorer in _scorers(record):
            yield {**_sample(record, scorer, scorer, {}), **failed(error.get("message"))}


def _parts(value: Any) -> Iterator[tuple[str | None, Any]]:
    if isinstance(value, Mapping):
        yield from ((key, item) for key, item in cast(Record, value).items() if item is not None)
    elif isinstance(value, list):
        yield from ((str(number), item) for number, item in enumerate(cast("list[Any]", value)))
    else:
        yield None, value


def _value(value: Any, score: Record) -> Fields:
    if isinstance(value, float) and math.isnan(value):
        return failed(score.get("explanation") or "unscored")
    if not isinstance(value, str):
        return {"value": value}
    return {"value": _MARKS[value] if value in _MARKS else value_of(value)}


def _scorers(record: Record) -> list[str]:
    named = [str(scorer["name"]) for scorer in members(member(record, "eval"), "scorers") if scorer.get("name")]
    return named or ["score"]


def _sample(record: Record, scorer: str, name: str, score: Record) -> Fields:
    run, stats = member(record, "eval"), member(record, "stats")
    run_id = run.get("eval_id") or run.get("run_id")
    sample = record.get("uuid") or f"{run_id}/{run.get('task_id')}/{record.get('id')}/{record.get('epoch')}"
    finished = record.get("completed_at") or stats.get("completed_at") or run.get("created")
    mark = score.get("value")
    return present(
        {
            "score_id": identity(sample, name),
            "name": name,
            "dataset_run_id": run_id,
            "trace_id": record.get("uuid"),
            "comment": score.get("explanation"),
            "timestamp": moment(finished),
            "source": "EVAL",
            "evaluator": {"name": scorer},
            "metadata": present(
                {
                    "task": run.get("task"),
                    "model": run.get("model"),
                    "dataset": member(run, "dataset").get("name"),
                    "sample_id": record.get("id"),
                    "epoch": record.get("epoch"),
                    "answer": score.get("answer"),
                    "mark": mark if isinstance(mark, str) and mark in _MARKS else None,
                }
            ),
        }
    )
