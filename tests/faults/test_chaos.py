"""A short campaign of `make chaos`, and the proof that its account can fail."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from scoreline.kafka import ensure_topics
from scoreline.settings import Settings
from scoreline_local.datadir import adopt, data_dir
from scoreline_local.plan import ProcessSpec
from scoreline_sink.schema import migrate
from tests.faults.chaos.breaks import BREAKS
from tests.faults.chaos.campaign import Bounds, run
from tests.faults.chaos.crew import Crew
from tests.faults.chaos.emitter import Emitter, Ledger, emit
from tests.faults.chaos.kinds import SHORT_S
from tests.faults.chaos.oracle import judge
from tests.faults.chaos.report import Report
from tests.faults.chaos.trigger import Triggers
from tests.faults.chaos.victim import command
from tests.running_pipeline import Pipeline
from tests.support import environment, eventually

DRAIN_S = 60.0
QUICK = (
    "worker at a point",
    "sink at a point",
    "kill clickhouse",
    "kill broker",
    "scale sink",
    "EndTxn",
    "disk full",
    "state lost",
)


def test_short_campaign_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """Three brokers, ClickHouse, workers and sinks under load, until each has died and the disk was full."""
    said: list[str] = []
    report = run(1, Bounds(SHORT_S, _has_seen_all), tmp_path / "chaos", said.append, kinds=QUICK)
    assert _has_seen_all(report), report.document()
    assert report.faults == []
    assert (report.lost, report.double) == (0, 0)
    assert report.acknowledged == report.stored + report.duplicate + report.rejected > 0


def _has_seen_all(report: Report) -> bool:
    died = {point.partition(".")[0] for point in report.points}
    return {"worker", "sink"} <= died and {"clickhouse", "kafka"} <= {*report.kills} and report.others["disk full"] > 0


def _settings_for(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    for name, value in environment(settings).items():
        if name.startswith("SCORELINE_"):
            monkeypatch.setenv(name, value)


def _emit(seconds: float) -> Ledger:
    deadline = time.monotonic() + seconds
    return emit(lambda: time.monotonic() > deadline)


def test_account_sees_lost_and_doubled_rows(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row taken away and a row put in twice, each is a fault; before that there is none."""
    _settings_for(monkeypatch, pipeline.settings)
    ledger = _emit(2.0)
    calm = Report(0)
    judge(calm, ledger, pipeline.settings)
    assert (calm.faults, calm.stored, calm.duplicate, calm.rejected) == (
        [],
        ledger.scores,
        ledger.repeats,
        ledger.broken,
    )
    pipeline.ask("ALTER TABLE scores DELETE WHERE score_id = 'c-7' SETTINGS mutations_sync = 1")
    pipeline.ask("INSERT INTO scores SELECT * REPLACE (src_offset + 1000000 AS src_offset) FROM scores LIMIT 1")
    wrong = Report(0)
    judge(wrong, ledger, pipeline.settings)
    assert (wrong.lost, wrong.double) == (1, 1)
    assert any("reconcile" in fault for fault in wrong.faults)
    assert any("rollup" in fault for fault in wrong.faults)


def _account_after_kills(settings: Settings, folder: Path, points: Iterable[str], broken: str | None) -> Report:
    """The account of a worker and a sink under load, killed at each of these points and started again."""
    data = data_dir(folder / "data")
    adopt(data)
    triggers = Triggers(folder / "triggers")
    crew = Crew(data, folder, triggers.folder, broken)

    def are_ready(but: int | None = None) -> bool:
        """All of the crew, and none of them the process `but`, which dies."""
        crew.tend()
        return all(member.pid not in (None, but) and member.ready_file.exists() for member in crew.members.values())

    try:
        for name in ("worker", "sink"):
            env = environment(settings) | {"SCORELINE_INSTANCE_ID": name}
            crew.hire(ProcessSpec(name=name, argv=command(name), env=env), static=True)
        eventually(are_ready, "worker and sink ready")
        with Emitter(settings, folder / "emitter.log") as emitter:
            for number, point in enumerate(points):
                name = f"{point.partition('.')[0]}-2"
                pid = crew.members[name].pid
                triggers.arm(name, point)
                eventually(lambda n=number: len(triggers.hits()) > n, f"a death at {point}")
                eventually(lambda p=pid: are_ready(but=p), f"ready again after a death at {point}")
            ledger = emitter.finish()
        report = Report(0, broken=broken)
        judge(report, ledger, settings, DRAIN_S)
        return report
    finally:
        crew.dismiss_all(signal.SIGKILL)


@pytest.mark.usefixtures("tables")
def test_kills_at_points_cost_nothing(settings: Settings, tmp_path: Path) -> None:
    """The points at which the broken protocols below are killed."""
    points = [broken.point for broken in BREAKS.values()]
    assert _account_after_kills(settings, tmp_path, points, broken=None).faults == []


@pytest.mark.usefixtures("tables")
@pytest.mark.parametrize("name", BREAKS)
def test_broken_protocol_is_caught(name: str, settings: Settings, tmp_path: Path) -> None:
    """One wrong step and one kill: the account says what it cost."""
    report = _account_after_kills(settings, tmp_path, [BREAKS[name].point], name)
    assert any(fault.startswith(BREAKS[name].finding) for fault in report.faults), report.document()


@pytest.fixture
def tables(settings: Settings) -> None:
    """Topics and tables of one test."""
    ensure_topics(settings)
    migrate(settings, threading.Event())
