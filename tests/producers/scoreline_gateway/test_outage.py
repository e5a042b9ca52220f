"""The broker goes, the gateway is told to end: what was accepted is there, and nothing else was said to be."""

from __future__ import annotations

import json
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx

from scoreline.settings import Settings
from scoreline.topics import declare_topics
from tests.conftest import Stack
from tests.producers.scoreline.emitting import broker_pid, frozen
from tests.running_gateway import SCORE, Gateway, running_gateway
from tests.support import Running, eventually

ACK_S = 2.0


def test_outage_is_503_and_nothing_accepted_is_lost(settings: Settings, stack: Stack, tmp_path: Path) -> None:
    """While the broker does not answer: 503 with Retry-After within the bound, flat memory; after it, everything that
    was answered 202 is on the topic, and a repeat under its key gives no second id."""
    with running_gateway(settings, tmp_path, gateway_ack_s=ACK_S) as gateway:
        accepted = {gateway.post(SCORE).json()["score_id"]}
        refused = [f"k-{number}" for number in range(21)]
        before = gateway.peak_mb
        with frozen(broker_pid(stack.data_dir)), ThreadPoolExecutor(20) as pool:
            waits = [_refused_after_s(gateway, refused[0])]
            waits += pool.map(lambda key: _refused_after_s(gateway, key), refused[1:])
            assert sum(wait < ACK_S / 2 for wait in waits[1:]) > 15, "only one finds out whether the broker is back"
            assert httpx.get(f"{gateway.url}/healthz").status_code == 200
            assert gateway.peak_mb < before + 50
        eventually(lambda: gateway.post(SCORE, idempotency_key="back").status_code == 202, "it takes scores again")
        for key in refused:
            # another partition's connection may still be finding its way back: 503 says to send again
            eventually(lambda key=key: _taken(gateway, key, accepted), f"{key} is taken")
        stored = {record["score_id"] for record in gateway.records()}
        assert accepted <= stored
        assert len(stored) == 2 + len(refused)


def _taken(gateway: Gateway, key: str, accepted: set[str]) -> bool:
    answer = gateway.post({**SCORE, "comment": "x" * 50_000}, idempotency_key=key)
    if answer.status_code == 202:
        accepted.add(answer.json()["score_id"])
    return answer.status_code == 202


def _refused_after_s(gateway: Gateway, key: str) -> float:
    """How long a request waits for its 503."""
    started = time.monotonic()
    answer = gateway.post({**SCORE, "comment": "x" * 50_000}, idempotency_key=key)
    waited = time.monotonic() - started
    assert waited < ACK_S + 6, "a bound beyond what a busy machine adds"
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")
    assert int(answer.headers["retry-after"]) >= 1
    return waited


def test_stream_that_an_outage_cuts_says_how_far_it_got(settings: Settings, stack: Stack, tmp_path: Path) -> None:
    """503 names how many scores the broker has; the whole body sent again under its key stores none twice."""
    lines = [json.dumps(SCORE).encode() + b"\n"] * 1000
    with running_gateway(settings, tmp_path, gateway_ack_s=ACK_S) as gateway:
        pid = broker_pid(stack.data_dir)

        def chunks() -> Any:
            yield b"".join(lines)
            eventually(lambda: len(gateway.records()) == 1000, "the first batch is acknowledged")
            with frozen(pid):
                yield b"".join(lines)
                eventually(lambda: _unavailable(gateway) == 1000, "the second batch is given up")

        headers = {
            "X-API-Key": gateway.key.secret_key,
            "Content-Type": "application/x-ndjson",
            "Idempotency-Key": "run",
        }
        with ThreadPoolExecutor(1) as pool:
            sent = pool.submit(httpx.post, f"{gateway.url}/v1/scores", content=chunks(), headers=headers, timeout=60)
            answer = sent.result(60)
        assert answer.status_code == 503, answer.text
        assert answer.json()["error"]["acknowledged"] == 1000
        again = [b"".join(lines * 2)]
        eventually(
            lambda: httpx.post(f"{gateway.url}/v1/scores", content=again[0], headers=headers).status_code == 202,
            "it takes the whole body",
        )
        assert len({record["score_id"] for record in gateway.records()}) == 2000


def _unavailable(gateway: Gateway) -> float:
    """Scores whose senders were told to send them again."""
    text = httpx.get(f"{gateway.url}/metrics").text
    [value] = re.findall(r'^scoreline_gateway_scores_total{outcome="unavailable"} (.*)$', text, re.MULTILINE)
    return float(value)


def test_request_that_was_begun_is_finished_before_the_end(gateway: Gateway) -> None:
    """SIGTERM: no new connection, the answer of what was begun, exit status 0."""
    ending = threading.Event()

    def chunks() -> Any:
        yield b"["
        gateway.process.process.terminate()
        eventually(_refuses(gateway), "new connections are refused")
        ending.set()
        yield json.dumps(SCORE).encode() + b"]"

    answer = httpx.post(
        f"{gateway.url}/v1/scores",
        content=chunks(),
        headers={"X-API-Key": gateway.key.secret_key, "Content-Type": "application/json"},
    )
    assert ending.is_set()
    assert answer.status_code == 202
    assert gateway.process.process.wait(30) == 0, gateway.process.log
    assert [record["score_id"] for record in gateway.records()] == [answer.json()["results"][0]["score_id"]]
    assert not gateway.process.ready_file.exists()


def _refuses(gateway: Gateway) -> Any:
    def refuses() -> bool:
        try:
            httpx.get(f"{gateway.url}/healthz")
        except httpx.ConnectError:
            return True
        except httpx.TransportError:
            # it was not yet accepted when the gateway stopped to listen; the next one is refused
            return False
        return False

    return refuses


def test_drain_is_bounded(settings: Settings, tmp_path: Path) -> None:
    """A client that never ends its body does not keep the gateway."""
    with running_gateway(settings, tmp_path, gateway_drain_s=1.0, gateway_body_s=60.0) as gateway:
        told = threading.Event()

        def chunks() -> Any:
            yield b"["
            told.set()
            gateway.process.process.wait(30)
            yield b"]"

        headers = {"X-API-Key": gateway.key.secret_key}
        with ThreadPoolExecutor(1) as pool:
            sent = pool.submit(httpx.post, f"{gateway.url}/v1/scores", content=chunks(), headers=headers)
            assert told.wait(10)
            assert gateway.process.stop() == 0, gateway.process.log
            answer = sent.result(30)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "ending")


def test_gateway_waits_for_its_broker_and_says_so(settings: Settings, tmp_path: Path) -> None:
    """Without a broker it lives, is not ready, and answers 503; it can be ended."""
    with running_gateway(settings, tmp_path) as known:
        away = known.settings.model_copy(update={"kafka": "127.0.0.1:1"})
        assert known.process.stop() == 0
    with Running(away, tmp_path, "gateway", name="away") as process:
        lone = Gateway(away, process, known.key)
        eventually(lambda: not _refuses(lone)(), "it listens")
        assert httpx.get(f"{lone.url}/healthz").status_code == 200
        assert httpx.get(f"{lone.url}/readyz").status_code == 503
        answer = lone.post(SCORE)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "starting")
        assert answer.headers["retry-after"]
        assert process.stop() == 0, process.log


def test_gateway_without_topics_ends_with_the_remedy(settings: Settings, tmp_path: Path) -> None:
    """As worker and sink do."""
    with Running(settings.model_copy(update={"gateway_port": 0}), tmp_path, "gateway") as process:
        assert process.process.wait(30) == 1
        assert "scoreline topics" in process.log
        assert declare_topics(settings).keys.name in process.log
