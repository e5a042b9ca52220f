"""Exports of other systems, by name: how their records become scores. Each is a module of pure functions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Literal, NamedTuple

from scoreline.commands.presets import every_eval_ever, inspect_logs, langfuse, langsmith, mlflow, openai_evals
from scoreline.commands.presets.parts import Fields, Record, itself
from scoreline.commands.readers import Format

PresetName = Literal["langfuse", "openai-evals", "inspect", "every-eval-ever", "mlflow", "langsmith"]


class Preset(NamedTuple):
    """How to read the exports of one system."""

    formats: tuple[Format, ...]
    """The formats that it exports."""
    scores: Callable[[Record], Iterable[Fields]]
    """A record's scores, as the fields of raw scores. Raises InvalidScore where the record is not of its form."""
    records: Callable[[Record], Iterable[Record]] = itself
    """A document's records: those of a page, a log, a trace. Raises InvalidScore likewise."""
    header: str | None = None
    """Key of the document that is no record but holds for all after it; they get it under this key."""


PRESETS: Mapping[PresetName, Preset] = {
    "langfuse": Preset(("jsonl", "json", "csv", "parquet"), langfuse.scores, langfuse.records),
    "openai-evals": Preset(("jsonl",), openai_evals.scores, header="spec"),
    "inspect": Preset(("json", "jsonl"), inspect_logs.scores, inspect_logs.records),
    "every-eval-ever": Preset(("json", "jsonl"), every_eval_ever.scores, every_eval_ever.records),
    "mlflow": Preset(("json", "jsonl"), mlflow.scores, mlflow.records),
    "langsmith": Preset(("json", "jsonl"), langsmith.scores),
}
