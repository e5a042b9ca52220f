"""One service of the demo: emits scores through the client for a while, then prints what it did as JSON.

Run as a process of its own: `python -m scoreline_local.demo_service NAME SECONDS`.
"""

from __future__ import annotations

import json
import random
import sys
import time
from dataclasses import asdict, dataclass

from scoreline.client import Client
from scoreline.errors import InvalidScore
from scoreline.settings import load_settings
from scoreline.topics import record_key

PER_SECOND = 300
REPEAT_EVERY = 20
BREAK_EVERY = 400
RELEASES = ("2026.10", "2026.11")
BROKEN = (
    b'{"score_id":"%s","name":"relevance","value":0.9',
    b'{"score_id":"%s","name":"relevance","value":NaN,"trace_id":"t"}',
    b'{"score_id":"%s","name":"relevance","value":0.5}',
    b'{"score_id":"%s","name":"relevance","value":0.5,"trace_id":"t","colour":"red"}',
)
"""What services in other languages get wrong; our client would refuse it in the caller."""


@dataclass
class Ledger:
    """What one service did, in events. All that were sent were acknowledged."""

    service: str
    sent: int = 0
    scores: int = 0
    """With an id of their own."""
    repeats: int = 0
    """The same call again, as after a timeout."""
    broken: int = 0
    refused: int = 0
    """Refused by the client in the caller, never sent."""


def emit_for(service: str, seconds: float) -> Ledger:
    """Emit about `PER_SECOND` scores a second, some twice, a few broken ones past the client's checks."""
    chance = random.Random(service)
    ledger = Ledger(service)
    settings = load_settings(service=service, environment="demo", release=chance.choice(RELEASES))
    with Client(settings) as client:
        started, calls = time.monotonic(), 0
        while (now := time.monotonic()) - started < seconds:
            while calls < (now - started) * PER_SECOND:
                calls += 1
                _one_call(client, ledger, chance, f"{service}-{calls}", calls)
            time.sleep(0.005)
        client.flush()
        ledger.sent = client.delivery.acknowledged
    return ledger


def _one_call(client: Client, ledger: Ledger, chance: random.Random, score_id: str, call: int) -> None:
    if call % BREAK_EVERY == 0:
        broken = BROKEN[(call // BREAK_EVERY) % len(BROKEN)] % score_id.encode()
        client.send(record_key(client.settings.project, score_id), broken)
        ledger.broken += 1
        return
    trace = f"{chance.getrandbits(128):032x}"
    quality = min(1.0, max(0.0, chance.gauss(0.75, 0.15)))
    name, value = chance.choice(
        [
            ("relevance", round(quality, 3)),
            ("resolved", quality > 0.6),
            ("sentiment", "positive" if quality > 0.8 else "neutral" if quality > 0.6 else "negative"),
        ]
    )
    for _ in range(2 if call % REPEAT_EVERY == 0 else 1):
        client.create_score(name=name, value=value, trace_id=trace, score_id=score_id, metadata={"model": "demo-1"})
    ledger.scores += 1
    ledger.repeats += call % REPEAT_EVERY == 0
    if call % BREAK_EVERY == 1:
        try:
            client.create_score(name="relevance", value=float("nan"), trace_id=trace)
        except InvalidScore:
            ledger.refused += 1


def main() -> None:
    """Entry point: `demo_service NAME SECONDS`."""
    name, seconds = sys.argv[1:]
    sys.stdout.write(json.dumps(asdict(emit_for(name, float(seconds)))) + "\n")


if __name__ == "__main__":
    main()
