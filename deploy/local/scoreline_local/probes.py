"""When a started process counts as ready. Each probe asks once and answers within a second."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Mapping
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from scoreline_local.plan import ProcessSpec, ReadyWhen

Probe = Callable[[], bool]

_ANSWER_S_MAX = 1.0


def probe_of(spec: ProcessSpec, ready_file: Path) -> Probe:
    """The question to ask about this process."""
    match spec.ready:
        case ReadyWhen.FILE:
            return ready_file.exists
        case ReadyWhen.HTTP:
            return http_probe(spec.address)
        case ReadyWhen.BROKER:
            return broker_probe(spec.address, spec.client)
        case ReadyWhen.STARTED:
            return lambda: True
        case ReadyWhen.DONE:
            return lambda: False


def http_probe(address: str) -> Probe:
    """Whether `http://<address>/ping` answers 200."""

    def ask() -> bool:
        connection = http.client.HTTPConnection(address, timeout=_ANSWER_S_MAX)
        try:
            connection.request("GET", "/ping")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    return ask


def broker_probe(address: str, client: Mapping[str, str]) -> Probe:
    """Whether the broker at `address` is a member of its cluster and answers metadata requests.

    A restarted broker listens seconds before the controller lets it back in, so an open port is not enough.
    """
    admin = AdminClient(
        {
            "bootstrap.servers": address,
            "log_level": 0,
            "reconnect.backoff.ms": 50,
            "reconnect.backoff.max.ms": 200,
            "socket.connection.setup.timeout.ms": 1000,
            **client,
        }
    )

    def ask() -> bool:
        try:
            brokers = admin.list_topics(timeout=_ANSWER_S_MAX).brokers.values()
        except KafkaException:
            return False
        return any(f"{broker.host}:{broker.port}" == address for broker in brokers)

    return ask
