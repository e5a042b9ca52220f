"""A short campaign of `make chaos`, and the proof that its oracle can fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.chaos import Campaign, emit, judge, run
from tests.running_pipeline import Pipeline
from tests.support import environment


def test_short_campaign_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """Three brokers, ClickHouse, worker and sink killed and frozen for half a minute under load."""
    said: list[str] = []
    campaign = run(seed=1, seconds=30.0, brokers=3, data_dir=tmp_path / "chaos", say=said.append)
    assert campaign.faults == []
    assert (campaign.lost, campaign.double) == (0, 0)
    assert campaign.kills.total() >= 3
    assert campaign.acknowledged == campaign.stored + campaign.duplicate + campaign.rejected > 20_000


def test_oracle_sees_lost_and_doubled_rows(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row taken away and a row put in twice, each is a fault; before that there is none."""
    for name, value in environment(pipeline.settings).items():
        if name.startswith("SCORELINE_"):
            monkeypatch.setenv(name, value)
    ledger = emit(2.0)
    pipeline.drain()
    calm = Campaign(0, 2.0)
    judge(calm, ledger, pipeline.settings)
    assert (calm.faults, calm.stored, calm.duplicate, calm.rejected) == (
        [],
        ledger.scores,
        ledger.repeats,
        ledger.broken,
    )
    pipeline.ask("ALTER TABLE scores DELETE WHERE score_id = 'c-7' SETTINGS mutations_sync = 1")
    pipeline.ask("INSERT INTO scores SELECT * REPLACE (src_offset + 1000000 AS src_offset) FROM scores LIMIT 1")
    broken = Campaign(0, 2.0)
    judge(broken, ledger, pipeline.settings)
    assert (broken.lost, broken.double) == (1, 1)
    assert any("reconcile" in fault for fault in broken.faults)
    assert any("rollup" in fault for fault in broken.faults)
