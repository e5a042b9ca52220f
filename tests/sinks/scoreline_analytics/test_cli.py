"""`scoreline query` as a user calls it."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys

import pytest

from scoreline.settings import Settings
from tests.sinks.scoreline_analytics.conftest import Store
from tests.support import environment


def query(settings: Settings, *arguments: str, status: int = 0) -> tuple[str, str]:
    """Output and errors of `scoreline query`."""
    command = [sys.executable, "-m", "scoreline.cli", "query", *arguments]
    done = subprocess.run(command, env=environment(settings), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout, done.stderr


@pytest.fixture
def scores(store: Store) -> None:
    """Three scores of two names."""
    store(
        {"name": "accuracy", "value": 0.25, "metadata": {"model": "a,b"}},
        {"name": "accuracy", "value": 0.75, "timestamp": "2026-11-02 00:00:00"},
        {"name": "toxicity", "value": 1 / 3},
    )


@pytest.mark.usefixtures("scores")
def test_json_is_an_array_of_groups(settings: Settings) -> None:
    """By name where nothing else is asked; what does not exist is null."""
    out, _ = query(settings, "--json")
    accuracy, toxicity = json.loads(out)
    assert accuracy == {
        "name": "accuracy",
        "n": 2,
        "failed": 0,
        "missing": 0,
        "data_type": "NUMERIC",
        "mean": 0.5,
        "mean_low": pytest.approx(0.5 - 12.706204736174698 * 0.25),
        "mean_high": pytest.approx(0.5 + 12.706204736174698 * 0.25),
        "true_rate": None,
        "sd": pytest.approx(0.125**0.5),
        "min": 0.25,
        "max": 0.75,
        "p50": 0.5,
        "p90": pytest.approx(0.7),
        "p95": pytest.approx(0.725),
        "p99": pytest.approx(0.745),
        "categories": [],
    }
    assert (toxicity["name"], toxicity["n"], toxicity["mean"], toxicity["sd"]) == ("toxicity", 1, 1 / 3, None)


@pytest.mark.usefixtures("scores")
def test_csv_has_a_header_and_whole_numbers(settings: Settings) -> None:
    """Every digit of a double; empty for what does not exist."""
    out, _ = query(settings, "--format", "csv", "--by", "name", "metadata.model", "--step", "day", "--name", "toxicity")
    header, row = csv.reader(io.StringIO(out))
    assert header[:8] == ["time", "name", "metadata.model", "n", "failed", "missing", "data_type", "mean"]
    assert row[:9] == ["2026-11-01T00:00:00Z", "toxicity", "", "1", "0", "0", "NUMERIC", repr(1 / 3), ""]


@pytest.mark.usefixtures("scores")
def test_table_is_for_people_and_says_when_it_was_cut(settings: Settings) -> None:
    """Four digits are enough to read."""
    out, errors = query(
        settings, "--by", "metadata.model", "--since", "2026-11-01", "--until", "2026-11-02", "--limit", "1"
    )
    assert [" ".join(line.split()) for line in out.splitlines()] == [
        "metadata.model n failed missing mean 95% interval sd min max p50 p90 p95 p99",
        "1 0 0 0.3333 0.3333 0.3333 0.3333 0.3333 0.3333 0.3333",
    ]
    assert "more than 1 groups" in errors


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--by", "colour"], 1, "no dimension 'colour'; there are project, name"),
        (["--since", "yesterday"], 1, "'yesterday' is no point in time"),
        (["--step", "year"], 1, "30s, 5m, 1h"),
    ],
)
def test_question_that_cannot_be_asked_says_what_can(
    settings: Settings, arguments: list[str], status: int, message: str
) -> None:
    """Before ClickHouse is asked."""
    assert message in query(settings, *arguments, status=status)[1]


@pytest.mark.usefixtures("store")
def test_no_match_is_said(settings: Settings) -> None:
    """An empty table alone would look like a mistake."""
    out, errors = query(settings)
    assert out.split()[:4] == ["name", "n", "failed", "missing"]
    assert "no scores match" in errors
