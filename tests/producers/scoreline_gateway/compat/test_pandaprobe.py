"""The real `pandaprobe` SDK, unmodified, against a real gateway."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from uuid import UUID

import pytest
from pandaprobe import Client
from pandaprobe.api import PlatformClient
from pandaprobe.api.errors import ApiError, AuthenticationError

from scoreline.keys import Scope
from scoreline_local import stack as local
from tests.conftest import Stack
from tests.producers.scoreline_gateway.compat.gateways import Gateway, Spoiler
from tests.running_pipeline import Pipeline

Connect = Callable[..., Client]
TRACE = UUID("be8f2023-16dd-4afd-838c-cb0a0e35b04a")


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Make clients as a service does: an endpoint, a key, a project name. They are shut down at the end."""
    clients: list[Client] = []

    def connect(endpoint: str, secret_key: str) -> Client:
        clients.append(Client(endpoint=endpoint, api_key=secret_key, project_name="Shop Assistant"))
        return clients[-1]

    yield connect
    for client in clients:
        client.shutdown()


def test_what_the_sdk_sends_is_in_clickhouse(
    gateway_of_pipeline: Gateway, pipeline: Pipeline, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    """All types, which it sends as strings, beside a trace of its own; and no error is logged."""
    sdk = connect(gateway_of_pipeline.url, gateway_of_pipeline.key().secret_key)
    began = datetime.now(UTC).replace(tzinfo=None)
    with sdk.trace("answer") as trace, trace.span("llm"):
        pass
    sdk.score(TRACE, "relevance", "0.9", reason="größe ☃", metadata={"model": "m", "n": 1})
    sdk.score(str(TRACE), "grounded", "true", data_type="BOOLEAN")
    sdk.score(trace.trace_id, "sentiment", "positive", data_type="CATEGORICAL")
    sdk.flush()
    pipeline.drain()
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    columns = "project, name, data_type, value, label, trace_id, comment, metadata, source, service, timestamp"
    rows = {row[1]: row for row in pipeline.ask(f"SELECT {columns} FROM scores")}
    assert rows["relevance"][:-1] == (
        "checkout",
        "relevance",
        "NUMERIC",
        0.9,
        "",
        str(TRACE),
        "größe ☃",
        {"model": "m", "n": "1"},
        "API",
        "Shop Assistant",
    )
    assert began <= rows["relevance"][-1] <= datetime.now(UTC).replace(tzinfo=None)
    assert rows["grounded"][2:6] == ("BOOLEAN", 1.0, "true", str(TRACE))
    assert rows["sentiment"][2:6] == ("CATEGORICAL", None, "positive", str(trace.trace_id))
    assert len(rows) == 3
    pipeline.run("reconcile")


@pytest.mark.parametrize(
    "faults", [["refuse"], ["limit"], ["lose"], ["drop"], ["lose", "refuse"]], ids=lambda faults: "-".join(faults)
)
def test_score_whose_answer_was_bad_is_sent_again(
    gateway: Gateway, spoiler: Spoiler, connect: Connect, faults: list[str]
) -> None:
    """It has no id of its own, and yet, sent twice, it is one score; sent twice by the caller it is two."""
    sdk = connect(spoiler.url, gateway.key().secret_key)
    spoiler.faults = list(faults)
    sdk.score(TRACE, "n", "1")
    sdk.flush()
    records = gateway.raw()
    assert len(records) == spoiler.passed == 1 + sum(fault in ("lose", "drop") for fault in faults)
    assert len({record["score_id"] for record in records}) == 1
    sdk.score(TRACE, "n", "1")
    sdk.flush()
    assert len({record["score_id"] for record in gateway.raw()}) == 2


def test_scores_survive_an_outage_of_the_broker(
    gateway: Gateway, stack: Stack, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    """The gateway answers 503 with Retry-After while the broker is frozen, and the SDK comes back after it."""
    sdk = connect(gateway.url, gateway.key().secret_key)
    [broker] = [process.pid for process in local.status(stack.data_dir).processes if process.name.startswith("kafka")]
    assert broker is not None
    os.kill(broker, signal.SIGSTOP)
    try:
        sdk.score(TRACE, "n", "1")
        sdk.flush(timeout=0.1)
        _await_text(caplog, "503, retrying in 5.0s")
    finally:
        os.kill(broker, signal.SIGCONT)
    sdk.flush()
    assert len({record["score_id"] for record in gateway.raw()}) == 1


def _await_text(caplog: pytest.LogCaptureFixture, text: str) -> None:
    deadline = time.monotonic() + 30
    while text not in caplog.text:
        assert time.monotonic() < deadline, caplog.text
        time.sleep(0.05)


def test_rate_limited_scores_arrive(gateway: Gateway, connect: Connect) -> None:
    """429 makes the SDK wait as long as the gateway says."""
    sdk = connect(gateway.url, gateway.key(rate=2.0).secret_key)
    for number in range(4):
        sdk.score(TRACE, "n", str(number))
    sdk.flush()
    assert sorted(record["value"] for record in gateway.raw()) == ["0", "1", "2", "3"]


def test_rejected_score_is_given_up_with_our_reason(
    gateway: Gateway, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    """422 is what the SDK does not send again; it logs the body."""
    sdk = connect(gateway.url, gateway.key().secret_key)
    sdk.score(TRACE, "n", "rather good")
    sdk.score(TRACE, "n", "0.5")
    sdk.flush()
    assert "422 (not retrying)" in caplog.text
    assert "NUMERIC takes a finite decimal string" in caplog.text
    assert [record["value"] for record in gateway.raw()] == ["0.5"]


def test_key_without_the_right_is_told(gateway: Gateway, connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    """401 and 403 are not sent again, and say what to do."""
    for secret_key in ("wrong", gateway.key(Scope.CONFIGS).secret_key):
        sdk = connect(gateway.url, secret_key)
        sdk.score(TRACE, "n", "1")
        sdk.flush()
    assert "401 (not retrying)" in caplog.text
    assert "403 (not retrying)" in caplog.text
    assert "scoreline keys create --scope write" in caplog.text
    assert gateway.raw() == []


def test_what_the_platform_reads_is_not_supported(gateway: Gateway, connect: Connect) -> None:
    """Its own exception with status 501, at once."""
    sdk = connect(gateway.url, gateway.key().secret_key)

    async def read() -> None:
        async with PlatformClient(sdk) as platform:
            for call in (lambda: platform.traces.get(TRACE), platform.traces.list, platform.evaluations.metrics):
                with pytest.raises(ApiError) as refused:
                    await call()
                assert refused.value.status_code == 501
                assert not isinstance(refused.value, AuthenticationError)

    asyncio.run(read())
