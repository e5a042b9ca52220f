"""The scores that the document asks about: a public leaderboard, and a made-up support assistant's, always the same."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from threading import Event
from typing import Any

from scoreline.configs import ScoreConfig
from scoreline.events import DataType
from scoreline.settings import Settings
from scoreline.topics import record_key
from scoreline_local.demo import METRICS, leaderboard
from scoreline_sink.clickhouse import ClickHouse, scores_table
from scoreline_sink.rows import score_row
from scoreline_sink.schema import migrate
from scoreline_streams.batch import Known, id_hashes, read, settle

Fields = dict[str, Any]

SEED = 2026
FIRST_DAY = datetime(2026, 10, 5, tzinfo=UTC)
DAYS = 28
OUTAGE = FIRST_DAY + timedelta(days=9)
"""A weekday on which nothing was scored."""
RELEASED = FIRST_DAY + timedelta(days=14)
"""When v2 replaced v1."""
ANSWERS_A_DAY = 24
QUESTIONS = 60
EXAM_DAY = FIRST_DAY + timedelta(days=25)
CRITERIA = {
    "brevity": (0.70, 0.004),
    "clarity": (0.78, 0.0),
    "completeness": (0.66, 0.07),
    "grounding": (0.72, 0.04),
    "politeness": (0.88, 0.012),
    "safety": (0.95, 0.0),
}
"""Score name of the exam → mean of the small model, and by how much the large one is better."""
CONFIGS = (
    ScoreConfig(id="accuracy", project="support", name="accuracy", data_type=DataType.NUMERIC, min=0, max=1),
    ScoreConfig(
        id="toxicity",
        project="support",
        name="toxicity",
        data_type=DataType.NUMERIC,
        min=0,
        max=1,
        lower_is_better=True,
    ),
    *(
        ScoreConfig(id=name, project="leaderboard", name=name, data_type=DataType.NUMERIC, min=0, max=100)
        for name in METRICS
    ),
)
COMMENTS = ("names the wrong refund period", "cites a page that does not exist", "answers another question")


@dataclass(frozen=True, slots=True)
class _Record:
    """A raw record, as the worker reads it."""

    key: bytes
    value: bytes
    offset: int
    timestamp: int
    headers: tuple[tuple[str, bytes], ...] = ()


def load(settings: Settings, folder: Path) -> int:
    """Make the tables and store every score, judged and enriched by the worker's functions. Returns how many.

    Raises StackError when the leaderboard cannot be fetched.
    """
    records = [_record(offset, fields) for offset, fields in enumerate((*_leaderboard(folder), *_support()))]
    known = Known({record_key(config.project, config.id): config for config in CONFIGS}, {})
    outcome = settle("scores.raw", 0, records, read(records), id_hashes(records), [None] * len(records), known)
    assert not outcome.rejected, outcome.rejected[0]
    rows = [score_row(0, offset, value) for offset, (_, value) in enumerate(outcome.enriched)]
    migrate(settings, Event())
    clickhouse = ClickHouse(settings)
    try:
        scores_table(clickhouse).insert([row for row in rows if row is not None], "analytics-doc")
    finally:
        clickhouse.close()
    return len(rows)


def _record(offset: int, fields: Fields) -> _Record:
    at = datetime.fromisoformat(fields["timestamp"]) + timedelta(seconds=1)
    key = record_key(fields["project"], fields["score_id"])
    return _Record(key, json.dumps(fields).encode(), offset, round(at.timestamp() * 1000))


def _leaderboard(folder: Path) -> Iterator[Fields]:
    """Two win rates of every model."""
    for row in csv.DictReader(io.StringIO(leaderboard(folder))):
        for name in METRICS:
            yield {
                "project": "leaderboard",
                "score_id": f"alpaca-eval-2/{row['model']}/{name}",
                "name": name,
                "value": float(row[name]),
                "config_id": name,
                "dataset_run_id": "alpaca-eval-2",
                "metadata": {"model": row["model"], "mode": row["mode"]},
                "timestamp": FIRST_DAY.isoformat(),
            }


def _support() -> Iterator[Fields]:
    chance = Random(SEED)
    answers = 0
    for day in (FIRST_DAY + timedelta(days=number) for number in range(DAYS)):
        if day.weekday() < 5 and day != OUTAGE:
            for hour in range(ANSWERS_A_DAY):
                answers += 1
                yield from _answer(chance, f"answer-{answers:03d}", day + timedelta(hours=hour))
    yield from _exam(chance)


def _answer(chance: Random, trace: str, at: datetime) -> Iterator[Fields]:
    """What one judge says of one answer of the running assistant; of some, a person too."""
    model = "m-large" if chance.random() < 0.5 else "m-small"
    language = ("en", "en", "de", "fr")[int(chance.random() * 4)]
    quality = 0.70 + 0.06 * (at >= RELEASED) + 0.05 * (model == "m-large") - 0.05 * (language == "fr")
    accuracy = _within(chance.gauss(quality, 0.14))
    common = {
        "project": "support",
        "trace_id": trace,
        "timestamp": at.isoformat(),
        "release": "v2" if at >= RELEASED else "v1",
        "metadata": {"model": model, "language": language},
    }
    judged = common | {"source": "EVAL", "environment": "live", "evaluator": {"name": "judge", "model": "judge-7"}}
    if chance.random() < 0.04:
        yield _scored(judged, "accuracy", None, error="judge timed out")
    else:
        comment = COMMENTS[int(chance.random() * len(COMMENTS))] if accuracy < 0.6 else "right"
        yield _scored(judged, "accuracy", accuracy, config_id="accuracy", comment=comment)
    helpful = accuracy + chance.gauss(0, 0.1) > 0.66
    tone = "friendly" if chance.random() < 0.7 else "neutral" if chance.random() < 0.85 else "curt"
    yield _scored(judged, "helpful", helpful)
    yield _scored(judged, "tone", tone)
    yield _scored(judged, "toxicity", _within(abs(chance.gauss(0.03, 0.04))), config_id="toxicity")
    yield _scored(judged, "latency_s", round(0.6 + 1.4 * chance.random() ** 2 + (model == "m-large"), 2))
    if chance.random() < 0.25:
        agrees = chance.random() < 0.86
        person = common | {"source": "ANNOTATION", "environment": "review", "author": "ann"}
        yield _scored(person, "helpful", helpful if agrees else not helpful)


def _exam(chance: Random) -> Iterator[Fields]:
    """Both models answer the same questions."""
    for number in range(QUESTIONS):
        ease = chance.gauss(0, 0.08)
        for model in ("m-small", "m-large"):
            common = {
                "project": "support",
                "dataset_run_id": f"exam-{model}",
                "timestamp": (EXAM_DAY + timedelta(minutes=number)).isoformat(),
                "environment": "exam",
                "metadata": {"item": f"q-{number:02d}", "model": model},
            }
            for name, (mean, better) in CRITERIA.items():
                value = _within(chance.gauss(mean + better * (model == "m-large") + ease, 0.06))
                failed = name == "grounding" and chance.random() < 0.04
                yield _scored(common, name, None if failed else value, **({"error": "no sources"} if failed else {}))
            solved = 0.62 + 0.18 * (model == "m-large") + ease
            yield _scored(common, "solved", chance.random() < solved)


def _scored(common: Fields, name: str, value: float | bool | str | None, **more: str) -> Fields:
    target = common.get("trace_id") or f"{common['dataset_run_id']}/{common['metadata']['item']}"
    said: Fields = {"status": "failed"} if value is None else {"value": value}
    return {**common, **said, **more, "name": name, "score_id": f"{target}/{name}/{common.get('author', 'judge')}"}


def _within(value: float) -> float:
    return round(min(1.0, max(0.0, value)), 3)
