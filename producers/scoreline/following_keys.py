"""The API keys of a server: `scores.keys` followed for as long as it serves."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager, suppress

from scoreline.access import Component
from scoreline.errors import PermanentError, RetryableError, ScorelineError
from scoreline.followed import Followed
from scoreline.kafka import await_broker, require_topics
from scoreline.keys import ApiKey, decode_key
from scoreline.settings import Settings
from scoreline.topics import declare_topics

log = logging.getLogger(__name__)

CHECK_S = 5.0
"""How often it is looked after whether the keys are still heard of."""


class KnownKeys:
    """The keys that a server knows, and why it cannot hear of them any more."""

    def __init__(self) -> None:
        self.failure: ScorelineError | None = None
        """Why the server has to end: it would no longer hear of a revoked key."""
        self._entries: Callable[[], Mapping[bytes, ApiKey]] | None = None

    def entries(self) -> Mapping[bytes, ApiKey] | None:
        """The keys of now by public key; None until they are known."""
        return None if self._entries is None else self._entries()

    def want_none(self) -> None:
        """Be ready with no keys, for a server that asks nobody for one."""
        self._entries = dict[bytes, ApiKey]

    @asynccontextmanager
    async def following(self, settings: Settings, component: Component) -> AsyncGenerator[None]:
        """Follow the topic in a thread, waiting for Kafka where it is away."""
        followed = Followed(settings, declare_topics(settings).keys.name, decode_key)
        task = asyncio.create_task(self._follow(settings, component, followed))
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            followed.stop()

    async def _follow(self, settings: Settings, component: Component, followed: Followed[ApiKey]) -> None:
        stopped = False
        try:
            await asyncio.to_thread(await_broker, settings, lambda: stopped)
            await _patiently(lambda: require_topics(settings, component))
            followed.start()
            await _patiently(followed.catch_up)
            self._entries = lambda: followed.entries
            log.info("ready, %d keys", len(followed.entries))
            while True:
                await asyncio.sleep(CHECK_S)
                await asyncio.to_thread(followed.check, settings.stall_s)
        except ScorelineError as error:
            self.failure = error
            log.critical("%s", error)
        finally:
            stopped = True


async def _patiently(call: Callable[[], None]) -> None:
    while True:
        try:
            await asyncio.to_thread(call)
        except PermanentError:
            raise
        except RetryableError as error:
            log.warning("%s; trying again", error)
            await asyncio.sleep(1)
        else:
            return
