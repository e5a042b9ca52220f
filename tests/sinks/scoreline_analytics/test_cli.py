"""`scoreline query` as a user calls it."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scoreline.settings import Settings
from tests.conftest import Stack
from tests.sinks.scoreline_analytics.conftest import Store, storing
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
    """An empty table alone would look like a mistake, so there is none."""
    out, errors = query(settings)
    assert out == ""
    assert "no scores match" in errors


@pytest.fixture(scope="module")
def runs(stack: Stack) -> Iterator[Settings]:
    """Two releases over three items and two hours, one failed; the second release is better by a tenth."""
    rows: list[dict[str, Any]] = []
    for number, (release, item) in enumerate((release, item) for release in ("v1", "v2") for item in range(4)):
        failed = (release, item) == ("v2", 3)
        rows.append(
            {
                "release": release,
                "metadata": {"item": str(item)},
                "value": None if failed else item / 4 + 0.1 * (release == "v2") + 0.01 * item * (release == "v2"),
                "status": "failed" if failed else "ok",
                "comment": f"about {item}",
                "timestamp": f"2026-11-01 {10 + 2 * (number // 4)}:0{item}:00",
            }
        )
    settings = stack.settings.model_copy(update={"clickhouse_database": f"t{uuid.uuid4().hex[:10]}"})
    with storing(settings) as store:
        store(*rows)
        yield settings


@pytest.mark.parametrize(
    ("arguments", "seen", "said"),
    [
        (["series", "--step", "1h", "--by", "name"], ["2026-11-01 11:00", "accuracy", "0", "0", "0"], ""),
        (["histogram", "--bins", "2", "--range", "0", "1"], ["accuracy", "0.5", "1", "3", "0.4286", "█"], ""),
        (
            ["compare", "--a", "release=v1", "--b", "release=v2"],
            ["paired t", "3", "0.11", "0.08516 … 0.1348"],
            "paired by",
        ),
        (["change", "--since", "2026-11-01T11:00:00Z", "--until", "2026-11-01T13:00:00Z"], ["Welch t", "-0.015"], ""),
        (["worst", "-n", "1"], ["accuracy", "about 0"], ""),
        (["latest", "--where", "status=failed"], ["failed", "about 3"], ""),
        (["names"], ["NUMERIC", "7", "1", "2026-11-01 12:03"], ""),
        (["values", "release"], ["v1", "v2", "4"], ""),
        (["values"], ["metadata.item", "8"], ""),
        (["scores", "--format", "table"], ["about 2", "t-1"], ""),
        (["agreement", "--a", "release=v1", "--b", "release=v2"], ["pearson", "1"], "paired by metadata.item"),
    ],
)
def test_every_question_has_a_table(runs: Settings, arguments: list[str], seen: list[str], said: str) -> None:
    """With what a person looks for in it, and how it was paired on stderr."""
    out, errors = query(runs, *arguments)
    for text in seen:
        assert text in out
    assert said in errors


@pytest.mark.parametrize(
    ("arguments", "n"),
    [
        (["series", "--step", "1h"], 3),
        (["histogram", "--bins", "5"], 5),
        (["compare", "--a", "release=v1", "--b", "release=v2"], 1),
        (["change", "--since", "2026-11-01T11:00:00Z", "--until", "2026-11-01T13:00:00Z"], 1),
        (["worst"], 7),
        (["latest"], 8),
        (["names"], 1),
        (["scores"], 8),
    ],
)
def test_every_question_has_json(runs: Settings, arguments: list[str], n: int) -> None:
    """An array of objects, without NaN."""
    out, _ = query(runs, *arguments, "--json")
    assert len(json.loads(out, parse_constant=lambda constant: pytest.fail(constant))) == n


def test_scores_go_into_a_file_by_its_suffix(runs: Settings, tmp_path: Path) -> None:
    """And how many is said; without a file they are JSON lines."""
    _, errors = query(runs, "scores", "--name", "accuracy", "--output", str(tmp_path / "scores.csv"))
    assert "8 scores in" in errors
    assert len((tmp_path / "scores.csv").read_text().splitlines()) == 9
    out, _ = query(runs, "scores", "--where", "release=v2", "status!=failed")
    assert [json.loads(line)["release"] for line in out.splitlines()] == ["v2"] * 3


@pytest.mark.parametrize("command", ["", "series", "histogram", "compare", "change", "worst", "scores", "agreement"])
def test_help_teaches_by_example(settings: Settings, command: str) -> None:
    """Of every question."""
    out, _ = query(settings, *command.split(), "--help")
    assert "scoreline query " + command in " ".join(out.split())


def test_figures_and_worst_of_several_names_say_that_they_mix(settings: Settings, store: Store) -> None:
    """On stderr, where they are mixed; of one name, or name by name, nothing is said."""
    store({"value": 0.5, "normalized": None}, {"name": "seconds", "value": 30.0, "normalized": None})
    for mixing in (["--by", "release"], ["worst"]):
        assert "2 score names are mixed here" in query(settings, *mixing)[1]
    for plain in (["--by", "release", "--name", "seconds"], ["--by", "name"], ["worst", "--name", "seconds"]):
        assert "mixed" not in query(settings, *plain)[1]
