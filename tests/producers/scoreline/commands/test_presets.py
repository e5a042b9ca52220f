"""What each preset makes of an export: against reviewed snapshots, and where the export is not as expected."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from scoreline.client import prepare
from scoreline.commands.mapping import plan_of
from scoreline.commands.presets import PRESETS, PresetName
from scoreline.commands.presets.parts import failed, identity, moment
from scoreline.commands.scoring import scores_of
from scoreline.commands.sources import format_of, open_source
from scoreline.rejections import Reason, Rejection

EXPORTS = Path(__file__).parent / "exports"
FILES = sorted(path.name for path in EXPORTS.iterdir() if path.suffix in (".json", ".jsonl", ".csv"))


def preset_of(name: str) -> PresetName:
    """The preset that a file of `exports` is for."""
    return next(preset for preset in PRESETS if name.startswith(preset))


def scores(file: Path, preset: PresetName, *mapping: str) -> list[Any]:
    """The fields of every score in a file, or the reason why it is none."""
    file_format = format_of(file)
    assert file_format is not None
    with open_source(file, file_format, PRESETS[preset]) as source:
        plan = plan_of(mapping, "ignored", "json")
        found = [score for row in source.rows for score in scores_of(row, plan, PRESETS[preset])]
    return [score.reason if isinstance(score, Rejection) else score for score in found]


@pytest.mark.parametrize("name", FILES)
def test_export_becomes_the_reviewed_scores(name: str) -> None:
    """Field by field; a table's CSV says the same as its JSONL."""
    expected = json.loads((EXPORTS / "expected" / f"{name.partition('.')[0]}.json").read_text())
    found = scores(EXPORTS / name, preset_of(name))
    if name.endswith(".csv"):
        found = [typed(fields) for fields in found]
    assert found == expected


def typed(fields: dict[str, Any]) -> dict[str, Any]:
    """A CSV's text value as the number it is."""
    number = {"NUMERIC": float, "BOOLEAN": int}.get(fields["data_type"], str)
    return {**fields, "value": number(fields["value"])}


@pytest.mark.parametrize("name", FILES)
def test_scores_of_an_export_are_valid(name: str) -> None:
    """The client takes each as the preset makes it, and no two have one id."""
    now_ms = int(time.time() * 1000)
    events = [prepare(fields, now_ms)[0] for fields in scores(EXPORTS / name, preset_of(name))]
    assert events
    assert len({event.score_id for event in events}) == len(events)


def test_every_preset_has_an_export() -> None:
    """A preset without an example of the real form is a guess."""
    assert {preset_of(name) for name in FILES} == set(PRESETS)


def test_map_overrides_a_preset() -> None:
    """Templates find the record's own columns first, then the preset's fields; objects by their path."""
    first, *_ = scores(
        EXPORTS / "inspect.json",
        "inspect",
        "service={eval.task}",
        "name={eval.task}/{name}",
        "metadata.confidence={metadata.label_confidence}",
        "comment=",
    )
    assert (first["service"], first["name"]) == ("popularity", "popularity/match")
    assert first["metadata"]["confidence"] == 0.88
    assert first["metadata"]["model"] == "openai/gpt-4o-mini"
    assert "comment" not in first


@pytest.mark.parametrize(
    ("preset", "document", "expected"),
    [
        ("langfuse", {"data": [1]}, [Reason.INVALID_VALUE]),
        ("inspect", {"version": 2, "eval": {}}, [Reason.MISSING_FIELD]),
        ("inspect", {"samples": [{"id": 1, "scores": [1]}]}, [Reason.INVALID_VALUE]),
        ("inspect", {"samples": [], "eval": "x"}, [Reason.INVALID_VALUE]),
        ("every-eval-ever", {"evaluation_results": {}}, [Reason.INVALID_VALUE]),
        ("mlflow", {"info": {"assessments": "x"}}, [Reason.INVALID_VALUE]),
        ("mlflow", {"assessment_name": "x", "feedback": 1}, [Reason.INVALID_VALUE]),
        ("langsmith", {"id": "a", "key": "k", "feedback_source": "api"}, [Reason.INVALID_VALUE]),
    ],
)
def test_export_of_another_form_is_rejected(
    tmp_path: Path, preset: PresetName, document: Any, expected: list[Reason]
) -> None:
    """With a reason; no record of a wrong kind ends the import."""
    file = tmp_path / "export.json"
    file.write_text(json.dumps(document))
    assert scores(file, preset) == expected


def test_one_unreadable_value_costs_one_score(tmp_path: Path) -> None:
    """The other scorers of the sample, and the other samples, are read."""
    file = tmp_path / "log.json"
    good = {"value": "C"}
    samples = [
        {"id": 1, "epoch": 1, "scores": {"a": good, "b": {"value": [1.0, float("inf")]}}},
        {"id": 2, "epoch": 1, "scores": {"a": good}},
    ]
    file.write_text(json.dumps({"eval": {"eval_id": "e", "task_id": "t"}, "samples": samples}))
    found = scores(file, "inspect")
    assert [item if isinstance(item, Reason) else item["name"] for item in found] == [
        "a",
        "b/0",
        Reason.INVALID_VALUE,
        "a",
    ]


def test_mlflow_feedback_is_found_wherever_it_stands(tmp_path: Path) -> None:
    """In a list of traces, a search's answer, a trace's info, a line for each trace, and alone."""
    trace = json.loads((EXPORTS / "mlflow-trace.json").read_text())
    expected = scores(EXPORTS / "mlflow-trace.json", "mlflow")
    for name, content in (
        ("list.json", json.dumps([trace])),
        ("search.json", json.dumps({"traces": [trace["info"]], "next_page_token": ""})),
        ("info.json", json.dumps(trace["info"])),
        ("traces.jsonl", json.dumps(trace) + "\n"),
    ):
        (tmp_path / name).write_text(content)
        assert scores(tmp_path / name, "mlflow") == expected, name
    (tmp_path / "alone.json").write_text(json.dumps(trace["info"]["assessments"][:1]))
    [alone] = scores(tmp_path / "alone.json", "mlflow")
    assert alone == {field: item for field, item in expected[0].items() if field != "session_id"}


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2026-01-31 12:00:00.250", "2026-01-31T12:00:00.250Z"),
        ('"2026-01-31T12:00:00Z"', "2026-01-31T12:00:00Z"),
        ("2026-01-31T12:00:00+02:00", "2026-01-31T12:00:00+02:00"),
        ("2026-01-31 12:00:00.5+0200", "2026-01-31T12:00:00.5+02:00"),
        ("2026-01-31 12:00 UTC", "2026-01-31T12:00:00Z"),
        ("2026-01-31", "2026-01-31T00:00:00Z"),
        ("1777613486.918081", "1777613486.918081"),
        ("yesterday", "yesterday"),
        (None, None),
        (12, 12),
    ],
)
def test_times_of_exports_become_rfc_3339(written: Any, expected: Any) -> None:
    """UTC where they name no zone; what is no time stays for the contract to judge."""
    assert moment(written) == expected


def test_long_ids_are_hashed() -> None:
    """Always alike, and never longer than the contract takes."""
    assert identity("run", 1) == "run/1"
    assert len(identity("x" * 500)) == 32
    assert identity("x" * 500) == identity("x" * 500) != identity("x" * 501)


def test_error_of_a_failed_evaluation_fits_the_contract() -> None:
    """Cut, without NUL, and never empty."""
    assert failed("x" * 20_000)["error"] == "x" * 10_000
    assert failed("a\0b")["error"] == "a b"
    assert failed(None)["error"] == failed("  ")["error"] == "unknown error"
