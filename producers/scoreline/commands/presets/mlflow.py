"""MLflow: the feedback among the assessments of traces, as `Trace.to_json`, `search_traces` and the REST API write it.

Expectations and issues are no scores. An assessment that another one overrides (`valid` false) is left out too: the
one that overrides it says what holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

from scoreline.commands.presets.parts import Fields, Record, failed, identity, member, members, moment, present


def records(document: Record) -> Iterable[Record]:
    """The assessments of a trace, of its info, or of a list of either, each with its trace's info as `trace`."""
    if "traces" in document:
        return (record for trace in members(document, "traces") for record in records(trace))
    if "assessments" in document or "info" in document:
        info = member(document, "info") or document
        trace = {key: item for key, item in info.items() if key not in ("assessments", "spans", "trace", "data")}
        return ({**assessment, "trace": trace} for assessment in members(info, "assessments"))
    return (document,)


def scores(record: Record) -> Iterator[Fields]:
    """The score of one assessment, or one for each part of a value that has several; none where it is no feedback."""
    if record.get("feedback") is None or record.get("valid") is False:
        return
    feedback = member(record, "feedback")
    value, error = feedback.get("value"), member(feedback, "error") or member(record, "error")
    if error and value is None:
        code, message = error.get("error_code"), error.get("error_message")
        yield {**_score(record, None), **failed(": ".join(str(part) for part in (code, message) if part))}
    elif isinstance(value, Mapping):
        yield from ({**_score(record, part), "value": item} for part, item in cast(Record, value).items())
    else:
        yield {**_score(record, None), "value": value}


def _score(record: Record, part: str | None) -> Fields:
    trace, metadata = member(record, "trace"), member(record, "metadata")
    session = member(trace, "trace_metadata").get("mlflow.trace.session")
    whole = record.get("assessment_name") or record.get("name")
    name = f"{whole}/{part}" if part and whole else whole
    trace_id = record.get("trace_id") or trace.get("trace_id") or trace.get("request_id")
    given = record.get("assessment_id")
    return present(
        {
            "score_id": identity(given, part)
            if given and part
            else given or identity(trace_id, _created(record), name),
            "name": name,
            "trace_id": trace_id,
            "observation_id": record.get("span_id"),
            "session_id": session,
            "dataset_run_id": metadata.get("mlflow.assessment.sourceRunId"),
            "comment": record.get("rationale"),
            "timestamp": _created(record),
            **_judge(member(record, "source"), whole),
            "metadata": dict(metadata),
        }
    )


def _judge(source: Record, name: Any) -> Fields:
    kind, who = source.get("source_type"), source.get("source_id")
    who = None if who == "default" else who
    if kind == "HUMAN":
        return {"source": "ANNOTATION", "author": who}
    evaluator = present({"name": name, "model": who if kind in ("LLM_JUDGE", "AI_JUDGE") else None})
    return {"source": "EVAL" if kind else "API", "evaluator": evaluator if kind else None}


def _created(record: Record) -> Any:
    """RFC 3339, and in older exports milliseconds since 1970."""
    created = record.get("create_time_ms")
    return created / 1000 if isinstance(created, (int, float)) else moment(record.get("create_time"))
