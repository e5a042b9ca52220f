"""The counts of a client as metrics, for a service that serves Prometheus by itself:

from prometheus_client import REGISTRY
from scoreline.observe.client import ClientMetrics

REGISTRY.register(ClientMetrics(client))
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from scoreline.client import Client
from scoreline.observe import catalogue

COUNTED = {
    "sent": catalogue.CLIENT_SENT,
    "sent_bytes": catalogue.CLIENT_BYTES,
    "refused": catalogue.CLIENT_REFUSED,
    "acknowledged": catalogue.CLIENT_ACKNOWLEDGED,
    "failed": catalogue.CLIENT_FAILED,
    "recovered": catalogue.CLIENT_RECOVERED,
}
"""Field of `Delivery` → its metric."""


class ClientMetrics(Collector):
    """Reads `client.delivery` when Prometheus asks; emitting costs nothing more."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def collect(self) -> Iterator[CounterMetricFamily]:
        """The counters of now."""
        delivery = self._client.delivery
        for field, metric in COUNTED.items():
            yield CounterMetricFamily(metric.name, metric.meaning, value=getattr(delivery, field))
