"""Where a process counts. Until `start` every call is a look at one variable and no more.

Counted is once a batch, an insert or a request, never once an event.
"""

from __future__ import annotations

import importlib.metadata
import logging
from typing import Any

import prometheus_client
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from scoreline.observe.catalogue import BUILD, LOGGED, Kind, Metric, Process, catalogue

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4


class _Histogram(prometheus_client.Histogram):
    """One that takes a value for many records at once."""

    def observe_many(self, value: float, times: float) -> None:
        """As `observe` called `times` times."""
        own: Any = self  # the parts are private
        own._sum.inc(value * times)
        for bound, bucket in zip(own._upper_bounds, own._buckets, strict=True):
            if value <= bound:
                bucket.inc(times)
                return


class _Series:
    """The metrics of a running process."""

    def __init__(self, process: Process) -> None:
        made: dict[Kind, Any] = {
            Kind.COUNTER: prometheus_client.Counter,
            Kind.GAUGE: prometheus_client.Gauge,
            Kind.HISTOGRAM: _Histogram,
        }
        prometheus_client.disable_created_metrics()
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.by_name: dict[str, Any] = {}
        for metric in catalogue():
            if process in metric.of:
                more = {"buckets": metric.buckets} if metric.kind is Kind.HISTOGRAM else {}
                self.by_name[metric.name] = made[metric.kind](
                    metric.name, metric.meaning, metric.labels, registry=self.registry, **more
                )

    def of(self, metric: Metric, labels: tuple[object, ...]) -> Any:
        series = self.by_name[metric.name]
        return series.labels(*labels) if labels else series


class _Counter(logging.Handler):
    """Counts log records."""

    def emit(self, record: logging.LogRecord) -> None:
        add(LOGGED, 1, record.levelname.lower())


_running: _Series | None = None


def start(process: Process) -> None:
    """Begin to count as this process; what was counted before is forgotten."""
    global _running
    _running = _Series(process)
    root = logging.getLogger()
    if not any(isinstance(handler, _Counter) for handler in root.handlers):
        root.addHandler(_Counter(logging.WARNING))
    for level in ("warning", "error", "critical"):
        add(LOGGED, 0, level)
    put(BUILD, 1, process.value, importlib.metadata.version("scoreline"))


def add(metric: Metric, amount: float = 1, *labels: object) -> None:
    """Add to a counter."""
    if _running is not None:
        _running.of(metric, labels).inc(amount)


def put(metric: Metric, value: float, *labels: object) -> None:
    """Set a gauge."""
    if _running is not None:
        _running.of(metric, labels).set(value)


def observe(metric: Metric, value: float, *labels: object) -> None:
    """Put a value into a histogram."""
    if _running is not None:
        _running.of(metric, labels).observe(value)


def observe_many(metric: Metric, value: float, times: float) -> None:
    """Put a value that stands for `times` records into a histogram without labels."""
    if _running is not None:
        _running.of(metric, ()).observe_many(value, times)


def forget(metric: Metric, *labels: object) -> None:
    """Drop one series, as of a partition that belongs to another process now."""
    if _running is not None:
        _running.by_name[metric.name].remove_by_labels(dict(zip(metric.labels, map(str, labels), strict=False)))


def text() -> bytes:
    """All metrics in Prometheus' text format; empty before `start`."""
    return b"" if _running is None else generate_latest(_running.registry)
