"""What would become of a file, judged without a broker: bounded, and as the worker would."""

from __future__ import annotations

from typing import Any

import pytest

from scoreline.commands import dry_run
from scoreline.commands.dry_run import CAUSES_MAX, EXAMPLES_MAX, Trial
from scoreline.rejections import Reason, Rejection

NOW_MS = 1_790_000_000_000
ORIGIN = {"project": "team"}
SCORE: dict[str, Any] = {"score_id": "a", "name": "x", "value": 1, "trace_id": "t"}


def tried(*scores: dict[str, Any] | Rejection) -> Trial:
    """A trial of rows that are one score each."""
    trial = Trial()
    for line, score in enumerate(scores, 1):
        trial.take(line, [score], ORIGIN, NOW_MS)
    return trial


@pytest.mark.parametrize(
    "again",
    [
        {"value": 1.0},
        {"value": "1", "data_type": "NUMERIC"},
        {"service": "other", "release": "2", "environment": "ci"},
        {"timestamp": "2026-01-31T12:00:00Z", "author": "ada", "source": "EVAL"},
    ],
)
def test_same_score_again_is_a_duplicate(again: dict[str, Any]) -> None:
    """However its value is written, whenever and wherever it was sent from."""
    trial = tried(SCORE, {**SCORE, **again})
    assert (trial.valid, trial.duplicate, trial.rejections) == (1, 1, 0)


@pytest.mark.parametrize("other", [{"value": True}, {"name": "y"}, {"metadata": {"a": 1}}, {"config_id": "c"}])
def test_other_score_under_the_same_id_would_be_rejected(other: dict[str, Any]) -> None:
    """The first one stays; the message names the id."""
    trial = tried(SCORE, {**SCORE, **other})
    [(cause, rejected)] = trial.rejected.items()
    assert (trial.valid, trial.duplicate) == (1, 0)
    assert (cause.reason, cause.field, rejected.examples[0].line) == ("conflicting_duplicate", "score_id", 2)
    assert "'a'" in rejected.examples[0].detail
    assert "--map score_id=" in cause.remedy


def test_same_id_in_two_projects_is_two_scores() -> None:
    """An id is unique inside its project."""
    assert tried(SCORE, {**SCORE, "project": "other", "value": 2}).valid == 2


def test_record_without_a_score_is_counted_apart() -> None:
    """A log's other events are neither sent nor rejected; a record with several scores is one row."""
    trial = Trial()
    trial.take(1, [], ORIGIN, NOW_MS)
    trial.take(2, [SCORE, {**SCORE, "score_id": "b"}], ORIGIN, NOW_MS)
    assert (trial.rows, trial.without_score, trial.valid) == (2, 1, 2)


def test_what_is_kept_of_rejections_is_bounded() -> None:
    """However many fields a file gets wrong; every score is counted."""
    wrong = [Rejection(Reason.INVALID_VALUE, f"metadata.k{n}: expected text") for n in range(2 * CAUSES_MAX)]
    trial = tried(*wrong, *wrong)
    assert trial.rejections == 4 * CAUSES_MAX
    assert len(trial.rejected) == CAUSES_MAX + 1
    assert all(len(rejected.examples) <= EXAMPLES_MAX for rejected in trial.rejected.values())


def test_terminal_obeys_nothing_of_a_file() -> None:
    """Control characters of a value are not written."""
    shown: list[str] = []
    tried({**SCORE, "name": "\x1b[2J\n"}, Rejection(Reason.INVALID_VALUE, "metadata.\x1b[2J: \x1b")).show(
        "line", shown.append
    )
    assert "\x1b" not in "".join(shown)


@pytest.mark.parametrize(
    "score",
    [
        Rejection(Reason.MALFORMED_JSON, "not JSON"),
        {**SCORE, "comment": "x" * 300_000},
        {**SCORE, "schema_version": 9},
        {**SCORE, "evaluator": {"name": "j", "colour": "red"}},
        {"score_id": "a", "value": 1, "trace_id": "t"},
        {**SCORE, "name": 7},
        {**SCORE, "trace_id": None},
        {**SCORE, "timestamp": "1999-01-31T12:00:00Z"},
    ],
)
def test_remedy_is_about_the_import(score: dict[str, Any] | Rejection) -> None:
    """Not about replaying a dead letter, as the same reason's is elsewhere."""
    [cause] = tried(score).rejected
    assert cause.remedy
    assert "replay" not in cause.remedy


def test_remedy_names_no_field_that_cannot_be_mapped() -> None:
    """What is wrong with an export's own key is no matter of `--map`."""
    [cause] = tried(Rejection(Reason.INVALID_VALUE, "samples: expected a list of objects, found 1")).rejected
    assert "--map" not in cause.remedy
    assert "preset" in cause.remedy
    [cause] = tried(Rejection(Reason.INVALID_VALUE, "evaluator.name: wrong")).rejected
    assert "--map evaluator.name=" in cause.remedy


def test_ids_beyond_the_bound_are_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded, and the trial says that it did not see all."""
    monkeypatch.setattr(dry_run, "IDS_MAX", 2)
    scores = [{**SCORE, "score_id": f"s-{n}"} for n in range(3)]
    assert tried(*scores[:1]).compared_all
    trial = tried(*scores, *scores)
    assert not trial.compared_all
    assert (trial.valid, trial.duplicate) == (4, 2)
