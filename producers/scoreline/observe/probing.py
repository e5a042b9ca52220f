"""Asks the servers that a process needs whether they answer, every few seconds, from a thread for each."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from scoreline.errors import KafkaUnavailable, RetryableError, ScorelineError
from scoreline.kafka import client_options, error_of
from scoreline.observe.health import Health
from scoreline.settings import Settings
from scoreline.topics import declare_topics

PROBE_S = 2.0
ANSWER_S = 4.0
"""How long a server may take to answer a probe."""
STRIKES = 2
"""Probes in a row without an answer until the process counts as not ready: one may get lost."""

Probe = Callable[[], None]
"""Returns when the server answers. Raises ScorelineError."""


class Prober:
    """Tells `health` whether the servers answer, each a condition of its name."""

    def __init__(self, health: Health, probes: Mapping[str, Callable[[], Probe]]) -> None:
        """`probes` are makers: a probe is made in the thread that asks."""
        self._health, self._stopped = health, threading.Event()
        for name, make in probes.items():
            health.say(name, "not asked yet")
            threading.Thread(target=self._ask, args=(name, make), name=f"scoreline-probe-{name}", daemon=True).start()

    def stop(self) -> None:
        """Ask no more; what is under way ends by its own bounds."""
        self._stopped.set()

    def _ask(self, name: str, make: Callable[[], Probe]) -> None:
        probe: Probe | None = None
        strikes = STRIKES
        while not self._stopped.is_set():
            try:
                probe = probe or make()
                probe()
            except ScorelineError as error:
                strikes += 1
                if strikes >= STRIKES:
                    lacks = "does not answer" if isinstance(error, RetryableError) else "cannot be used"
                    self._health.say(name, f"{lacks} ({type(error).__name__})")
            else:
                strikes = 0
                self._health.say(name, None)
            self._stopped.wait(PROBE_S)


def kafka_probe(settings: Settings) -> Probe:
    """Whether a broker answers a request for metadata."""
    options = client_options(settings, log_level=0, socket_connection_setup_timeout_ms=int(ANSWER_S * 1000))
    admin, topic = AdminClient(options), declare_topics(settings).raw.name

    def probe() -> None:
        try:
            admin.list_topics(topic, timeout=ANSWER_S)
        except KafkaException as error:
            raise KafkaUnavailable(error_of(error).str()) from error

    return probe
