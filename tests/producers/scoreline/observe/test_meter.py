"""Counting, and what Prometheus reads of it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from scoreline import Client
from scoreline.observe import meter
from scoreline.observe.catalogue import (
    EMIT_TO_QUERYABLE,
    SINK_LAG,
    SINK_RECORDS,
    Kind,
    Process,
    catalogue,
)
from scoreline.observe.client import COUNTED, ClientMetrics
from scoreline.observe.lag import Behind
from scoreline.settings import Settings


@pytest.fixture(autouse=True)
def _counting_ends_with_the_test(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(meter, "_running", None)
    yield
    monkeypatch.setattr(meter, "_running", None)


def series() -> dict[tuple[str, ...], float]:
    """Name and label values → value."""
    families = text_string_to_metric_families(meter.text().decode())
    return {(s.name, *s.labels.values()): s.value for family in families for s in family.samples}


def test_names_follow_the_conventions() -> None:
    """Prefix, unit and `_total` where Prometheus expects them; no name twice; every metric explained."""
    names = [metric.name for metric in catalogue()]
    assert len(names) == len(set(names)) > 40
    for metric in catalogue():
        assert re.fullmatch(r"scoreline_[a-z_]+", metric.name)
        assert metric.name.endswith("_total") is (metric.kind is Kind.COUNTER), metric.name
        assert metric.meaning.endswith((".", "…")), metric.name
        assert bool(metric.buckets) is (metric.kind is Kind.HISTOGRAM), metric.name


def test_nothing_is_counted_before_a_process_starts_to() -> None:
    """So that library code can count wherever it runs."""
    meter.add(SINK_RECORDS, 1, "scores", "stored")
    assert meter.text() == b""


def test_process_has_its_own_metrics_and_no_others() -> None:
    """A sink shows no counter of a worker."""
    meter.start(Process.SINK)
    shown = set(re.findall(r"^# TYPE (scoreline_\S+)", meter.text().decode(), re.MULTILINE))
    assert shown == {metric.name for metric in catalogue() if Process.SINK in metric.of}


def test_value_that_stands_for_many_counts_as_many() -> None:
    """Buckets, sum and count are those of so many single values."""
    meter.start(Process.SINK)
    meter.observe_many(EMIT_TO_QUERYABLE, 0.18, 300)
    meter.observe_many(EMIT_TO_QUERYABLE, 9999.0, 2)
    shown, name = series(), EMIT_TO_QUERYABLE.name
    assert shown[f"{name}_count",] == 302
    assert shown[f"{name}_sum",] == pytest.approx(300 * 0.18 + 2 * 9999)
    assert (shown[f"{name}_bucket", "0.15"], shown[f"{name}_bucket", "0.2"]) == (0, 300)
    assert (shown[f"{name}_bucket", "1800.0"], shown[f"{name}_bucket", "+Inf"]) == (300, 302)


def test_series_of_a_partition_that_is_gone_is_forgotten() -> None:
    """Its lag is another process's to tell."""
    meter.start(Process.SINK)
    meter.put(SINK_LAG, 7, "scores", 3)
    meter.put(SINK_LAG, 8, "scores", 4)
    meter.forget(SINK_LAG, "scores", 3)
    assert [value for key, value in series().items() if key[0] == SINK_LAG.name] == [8]


def test_counts_of_a_client_are_metrics(settings_of_nobody: Settings) -> None:
    """Whatever `client.delivery` counts has a metric, read when asked."""
    with Client(settings_of_nobody) as client:
        client.delivery.sent, client.delivery.failed = 5, 2
        told = {family.name: family.samples[0].value for family in ClientMetrics(client).collect()}
    assert (told["scoreline_client_sent"], told["scoreline_client_failed"]) == (5, 2)
    assert set(COUNTED) == set(type(client.delivery).__dataclass_fields__)


@pytest.fixture
def settings_of_nobody() -> Settings:
    return Settings(kafka="127.0.0.1:1")


def test_lag_in_seconds_is_the_age_of_the_oldest_open_record() -> None:
    """As the last record that is done bounds it, and the last moment without lag."""
    behind = Behind()
    assert behind.seconds(5, 0.0, 1000.0) == 0.0, "after a start into a backlog nothing is known yet"
    assert behind.seconds(5, 0.0, 1010.0) == 10.0
    assert behind.seconds(5, 400.0, 1010.0) == 10.0, "younger than what is known by then"
    assert behind.seconds(0, 1005.0, 1020.0) == 0.0
    assert behind.seconds(1, 1005.0, 1022.0) == 2.0, "what came after a quiet hour is no hour old"
    busy = Behind()
    assert busy.seconds(9, 900.0, 1000.0) == 100.0, "the first record of a backlog tells its age"
