"""LangSmith feedback, as its API and `Client.list_feedback` give it.

The score is the value; feedback that has a `value` only is a category. What LangSmith calls a session is a project or
an experiment: a dataset run here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from scoreline.commands.presets.parts import Fields, Record, failed, member, moment, present

_SOURCES = {"api": "API", "app": "ANNOTATION"}
"""Everything else (`model`, `evaluator`, `auto_eval`) is an evaluator."""


def scores(record: Record) -> Iterator[Fields]:
    """One score; the id is LangSmith's."""
    source, run, trace = member(record, "feedback_source"), record.get("run_id"), record.get("trace_id")
    kind = _SOURCES.get(str(source.get("type") or "api"), "EVAL")
    yield present(
        {
            "score_id": record.get("id"),
            "name": record.get("key"),
            **_value(record),
            "trace_id": trace or run,
            "observation_id": run if trace and run != trace else None,
            "dataset_run_id": record.get("session_id"),
            "comment": record.get("comment"),
            "timestamp": moment(record.get("created_at")),
            "source": kind,
            "author": (source.get("user_name") or source.get("user_id")) if kind == "ANNOTATION" else None,
            "evaluator": {"name": record.get("key")} if kind == "EVAL" else None,
            "metadata": {
                **member(record, "extra"),
                **{
                    f"langsmith.{name}": item
                    for name, item in (
                        ("value", record.get("value") if record.get("score") is not None else None),
                        ("correction", record.get("correction")),
                        ("comparative_experiment_id", record.get("comparative_experiment_id")),
                        ("feedback_group_id", record.get("feedback_group_id")),
                        ("source", member(source, "metadata") or None),
                    )
                    if item is not None
                },
            },
        }
    )


def _value(record: Record) -> Fields:
    score: Any = record.get("score")
    if score is not None:
        return {"value": score}
    if record.get("error") is True or member(record, "extra").get("error") is True:
        return failed(record.get("comment") or "the evaluator failed")
    return {"value": record.get("value")}
