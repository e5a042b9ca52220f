"""Records of a request, sent and acknowledged on a real broker."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from scoreline.errors import KafkaUnavailable, QueueFull
from scoreline.kafka import ensure_topics
from scoreline.settings import Settings
from scoreline.topics import declare_topics
from scoreline_gateway.delivering import Deliveries
from tests.support import raise_fatally, read_topic


def records(count: int, begin: int = 0, size: int = 10) -> list[tuple[bytes, bytes]]:
    return [(b"p/%d" % number, b"x" * size) for number in range(begin, begin + count)]


def keys(settings: Settings) -> list[bytes]:
    return sorted(bytes(message.key() or b"") for message in read_topic(settings, declare_topics(settings).raw.name))


def run(settings: Settings, use: Callable[[Deliveries], Awaitable[Any]]) -> int:
    """Use deliveries in an event loop of their own; how many records were left at the end."""

    async def used() -> int:
        deliveries = Deliveries(settings)
        try:
            await use(deliveries)
        finally:
            left = deliveries.close()
        return left

    return asyncio.run(used())


def test_send_returns_when_the_broker_has_every_record(settings: Settings) -> None:
    """Many requests at once, each of which waits for its own records only."""
    ensure_topics(settings)

    async def use(deliveries: Deliveries) -> None:
        await deliveries.send([])
        await asyncio.gather(*(deliveries.send(records(number, number * 1000)) for number in range(50)))
        assert keys(settings) == sorted(key for number in range(50) for key, _ in records(number, number * 1000))

    assert run(settings, use) == 0


def test_bytes_that_wait_are_bounded() -> None:
    """Without a broker: what finds no room is refused at once, and room comes back when the others are given up."""
    away = Settings(kafka="127.0.0.1:1", gateway_ack_s=1.0, gateway_buffer_bytes_max=1 << 20)

    async def use(deliveries: Deliveries) -> None:
        first = asyncio.create_task(deliveries.send(records(10, size=100_000)))
        await asyncio.sleep(0)
        with pytest.raises(QueueFull, match="SCORELINE_GATEWAY_BUFFER_BYTES_MAX"):
            await deliveries.send(records(1, size=100_000))
        with pytest.raises(KafkaUnavailable, match="SCORELINE_GATEWAY_ACK_S"):
            await first
        again = asyncio.create_task(deliveries.send(records(10, size=100_000)))
        await asyncio.sleep(0)
        with pytest.raises(KafkaUnavailable):
            await deliveries.send(records(1))
        with pytest.raises(KafkaUnavailable):
            await again

    assert run(away, use) == 0


def test_producer_that_died_is_replaced(settings: Settings) -> None:
    """Its requests fail, and the next ones do not."""
    ensure_topics(settings)

    async def use(deliveries: Deliveries) -> None:
        await deliveries.send(records(1))
        raise_fatally(deliveries._producer)
        with pytest.raises(KafkaUnavailable):
            await deliveries.send(records(1, 1))
        for attempt in range(100):
            try:
                await deliveries.send(records(1, 2))
            except KafkaUnavailable:
                assert attempt < 99
                await asyncio.sleep(0.05)
            else:
                return

    assert run(settings.model_copy(update={"gateway_ack_s": 5.0}), use) == 0
    assert b"p/2" in keys(settings)
    assert b"p/0" in keys(settings)


def test_missing_topic_is_an_outage(settings: Settings) -> None:
    """Nothing is said to be stored."""

    async def use(deliveries: Deliveries) -> None:
        with pytest.raises(KafkaUnavailable, match="SCORELINE_GATEWAY_ACK_S"):
            await deliveries.send(records(3))

    run(settings.model_copy(update={"gateway_ack_s": 1.0}), use)
