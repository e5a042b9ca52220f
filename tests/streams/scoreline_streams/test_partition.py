"""One partition on a real broker, without Faust around it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn

import pytest
from confluent_kafka import Producer

from scoreline.configs import decode_config
from scoreline.followed import Followed
from scoreline.kafka import client_options, ensure_topics, topic_id
from scoreline.lookups import decode_lookup
from scoreline.settings import Settings
from scoreline.topics import declare_groups, declare_topics
from scoreline_streams import partition as module
from scoreline_streams.partition import Context, Partition
from tests.support import produce


class Died(Exception):
    """Stands for the end of the process."""


@pytest.fixture
def context(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Context:
    ensure_topics(settings)
    topics = declare_topics(settings)

    def die(why: str) -> NoReturn:
        raise Died(why)

    async def seek(_partition: int, _offset: int) -> None:
        pass

    monkeypatch.setattr(module, "die", die)
    return Context(
        settings=settings,
        topics=topics,
        group=declare_groups(settings).worker,
        configs=Followed(settings, topics.configs.name, decode_config),
        lookups=Followed(settings, topics.lookups.name, decode_lookup),
        raw_identity=topic_id(settings, topics.raw.name),
        changelog_identity=topic_id(settings, topics.changelog.name),
        pool=ThreadPoolExecutor(4),
        seek=seek,
        on_change=lambda: None,
    )


async def opened(context: Context) -> Partition:
    partition = Partition(0, context)
    partition.start()
    async with asyncio.timeout(60):
        while not partition.is_open:
            await asyncio.sleep(0.01)
    return partition


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(test)


def test_partition_with_records_and_no_commit_ends_the_process(
    context: Context, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alive but not consuming, for whatever reason, is not a state to stay in."""

    async def scenario() -> None:
        partition = await opened(context)
        later = asyncio.get_running_loop().time() + settings.stall_s
        monkeypatch.setattr(module.time, "monotonic", lambda: later)
        await partition.check_progress()
        produce(settings, context.topics.raw.name, [(f"default/s-{n}".encode(), b"{}") for n in range(50)])
        monkeypatch.setattr(module.time, "monotonic", lambda: later + settings.stall_s)
        with pytest.raises(Died, match="SCORELINE_STALL_S"):
            await partition.check_progress()
        monkeypatch.undo()
        await partition.close()

    run(scenario())


def test_idle_partition_is_left_alone(context: Context, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """No records, no commits, no alarm, however long it lasts."""

    async def scenario() -> None:
        partition = await opened(context)
        start = asyncio.get_running_loop().time()
        for step in range(1, 5):
            monkeypatch.setattr(module.time, "monotonic", lambda step=step: start + step * settings.stall_s)
            await partition.check_progress()
        monkeypatch.undo()
        await partition.close()

    run(scenario())


def test_control_records_behind_the_last_record_are_no_stall(
    context: Context, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A partition whose log ends with the marker of a transaction has nothing to process."""
    producer = Producer(client_options(settings, transactional_id=f"{settings.topic_prefix}emitter"))
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(context.topics.raw.name, b"{}", b"default/x", partition=0)
    producer.abort_transaction(30)

    async def scenario() -> None:
        partition = await opened(context)
        start = asyncio.get_running_loop().time()
        monkeypatch.setattr(module.time, "monotonic", lambda: start + 2 * settings.stall_s)
        await partition.check_progress()
        monkeypatch.undo()
        await partition.close()

    run(scenario())
