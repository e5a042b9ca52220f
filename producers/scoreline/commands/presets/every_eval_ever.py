"""EvalEval's "every eval ever": the results of an evaluation log (JSON), and its samples (JSONL).

A result is named by its evaluation, with the metric behind it where that is another word; a sample's name ends in
`/sample`, so that samples and results mix in no average.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from scoreline.commands.presets.parts import Fields, Record, failed, identity, member, members, moment, present


def records(document: Record) -> Iterable[Record]:
    """The results of a log, each with the rest of the log as `log`; or the document, which is a sample."""
    if "evaluation_results" not in document:
        return (document,)
    log = {key: item for key, item in document.items() if key != "evaluation_results"}
    return ({**result, "log": log} for result in members(document, "evaluation_results"))


def scores(record: Record) -> Iterator[Fields]:
    """One score: of a result, or of a sample."""
    yield _sample(record) if "log" not in record else _result(record)


def _result(record: Record) -> Fields:
    log, metric, details = member(record, "log"), member(record, "metric_config"), member(record, "score_details")
    model, library, source = member(log, "model_info"), member(log, "eval_library"), member(log, "source_metadata")
    evaluation, kind = record.get("evaluation_name"), metric.get("metric_name") or metric.get("metric_id")
    result = record.get("evaluation_result_id") or (f"{evaluation}/{kind}" if kind else evaluation)
    at = record.get("evaluation_timestamp") or log.get("evaluation_timestamp") or log.get("retrieved_timestamp")
    version = library.get("version")
    return present(
        {
            "score_id": identity(log.get("evaluation_id"), result),
            "name": f"{evaluation}/{kind}" if kind and kind != evaluation else evaluation,
            **_value(details.get("score"), unknown=metric.get("has_unknown_level") is True),
            "dataset_run_id": log.get("evaluation_id"),
            "timestamp": moment(at),
            "source": "EVAL",
            "evaluator": present({"name": library.get("name"), "version": None if version == "unknown" else version})
            if library
            else None,
            "metadata": present(
                {
                    "model": model.get("id"),
                    "developer": model.get("developer"),
                    "dataset": member(record, "source_data").get("dataset_name"),
                    "organization": source.get("source_organization_name"),
                    "evaluator_relationship": source.get("evaluator_relationship"),
                    "unit": metric.get("metric_unit"),
                    "lower_is_better": metric.get("lower_is_better"),
                    "min_score": metric.get("min_score"),
                    "max_score": metric.get("max_score"),
                }
            ),
        }
    )


def _value(score: Any, *, unknown: bool) -> Fields:
    """A metric that has an unknown level says it as -1."""
    return failed("unknown level") if unknown and score == -1 else {"value": score}


def _sample(record: Record) -> Fields:
    told, evaluation = member(record, "evaluation"), record.get("evaluation_name")
    error = record.get("error")
    return present(
        {
            "score_id": identity(
                record.get("evaluation_id"), record.get("evaluation_result_id") or evaluation, record.get("sample_id")
            ),
            "name": f"{evaluation}/sample" if evaluation else None,
            **(failed(error) if error else {"value": told.get("score")}),
            "dataset_run_id": record.get("evaluation_id"),
            "source": "EVAL",
            "metadata": {
                **member(record, "metadata"),
                **present(
                    {
                        "model": record.get("model_id"),
                        "sample_id": record.get("sample_id"),
                        "is_correct": told.get("is_correct"),
                        "interaction_type": record.get("interaction_type"),
                    }
                ),
            },
        }
    )
