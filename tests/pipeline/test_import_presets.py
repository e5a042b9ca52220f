"""Another system's export, from the file to the rows."""

from __future__ import annotations

import json
from pathlib import Path

from tests.documents import ROOT
from tests.running_pipeline import Pipeline

EXPORTS = ROOT / "tests" / "producers" / "scoreline" / "commands" / "exports"


def test_inspect_log_is_stored_once_with_its_failures(pipeline: Pipeline, tmp_path: Path) -> None:
    """Marks as numbers, samples that broke as failed; the log a second time is duplicates only."""
    counts = {"sent": 9, "acknowledged": 9, "invalid": 0}
    for _ in range(2):
        done = pipeline.run("import", str(EXPORTS / "inspect.json"), "--preset", "inspect", "--restart", "--json")
        assert json.loads(done) == counts
        pipeline.drain()
        rows = pipeline.ask(
            "SELECT name, status, value, error, metadata['model'], metadata['sample_id'] FROM scores ORDER BY score_id"
        )
        model = "openai/gpt-4o-mini"
        assert rows == [
            ("match", "ok", 1.0, "", model, "1"),
            ("rubric/facts", "ok", 0.5, "", model, "1"),
            ("rubric/style", "ok", 4.0, "", model, "1"),
            ("judge", "failed", None, "the grader gave no grade", model, "2"),
            ("match", "ok", 0.5, "", model, "2"),
            ("match", "failed", None, "TimeoutError()", model, "3"),
            ("grade", "ok", 7.5, "", model, "four"),
            ("helpful", "ok", 1.0, "", model, "four"),
            ("match", "ok", 0.0, "", model, "four"),
        ]
    assert pipeline.ask("SELECT count() FROM rejected_scores") == [(0,)]
    proof = json.loads(pipeline.run("reconcile", "--json"))
    assert (proof["raw"], proof["stored"], proof["duplicate"], proof["ok"]) == (18, 9, 9, True)
