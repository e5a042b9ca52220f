"""The log of `oaieval` (openai/evals): a line with the run's spec, then an event a line, then the final report.

`match` events are booleans, `metrics` events a score for each of their keys, `error` events failed scores. The final
report is of the whole run: its names begin with `final_report/`, so that they mix with no sample's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from scoreline.commands.presets.parts import Fields, Record, failed, identity, member, moment, present


def scores(record: Record) -> Iterator[Fields]:
    """The scores of one line, most often none: samplings and the like say no score."""
    if "final_report" in record:
        yield from _named(record, "final_report/", member(record, "final_report"), "final_report")
        return
    data = member(record, "data")
    event = record.get("event_id")
    match record.get("type"):
        case "match":
            told = {"expected": data.get("expected"), "picked": data.get("picked")}
            yield {**_score(record, "match", event, told), "value": data.get("correct")}
        case "metrics":
            yield from _named(record, "", data, event)
        case "error":
            name, message = data.get("type"), data.get("message")
            yield {**_score(record, "error", event, {}), **failed(f"{name}: {message}" if name else message)}
        case _:
            return


def _named(record: Record, prefix: str, metrics: Mapping[str, Any], event: Any) -> Iterator[Fields]:
    """A score for each metric that is a number, a truth or a word; samples and breakdowns beside them are none."""
    for name, value in metrics.items():
        if isinstance(value, (bool, int, float)) or (isinstance(value, str) and value and len(value) <= 200):
            yield {**_score(record, prefix + name, f"{event}/{name}", {}), "value": value}


def _score(record: Record, name: str, event: Any, told: Record) -> Fields:
    spec = member(record, "spec")
    run = record.get("run_id") or spec.get("run_id")
    models = spec.get("completion_fns")
    evaluator = spec.get("eval_name") or spec.get("base_eval")
    return present(
        {
            "score_id": identity(run, event),
            "name": name,
            "dataset_run_id": run,
            "timestamp": moment(record.get("created_at") or spec.get("created_at")),
            "source": "EVAL",
            "evaluator": {"name": evaluator} if evaluator else None,
            "metadata": present(
                {
                    "sample_id": record.get("sample_id"),
                    "model": ",".join(map(str, models)) if isinstance(models, list) else None,  # pyright: ignore[reportUnknownArgumentType]
                    "split": spec.get("split"),
                    **told,
                }
            ),
        }
    )
