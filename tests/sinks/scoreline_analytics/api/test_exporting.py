"""The pipe between the thread that writes an export and the event loop that sends it."""

from __future__ import annotations

import asyncio

import pytest

from scoreline_analytics.api import exporting
from scoreline_analytics.api.exporting import CHUNKS_MAX, Pipe


def test_thread_that_finds_no_room_gives_up_and_whoever_comes_back_hears_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """So a client that is too slow is cut off, and does not take a part for the whole."""
    monkeypatch.setattr(exporting, "STALL_S", 0.05)

    def write(pipe: Pipe) -> None:
        try:
            for _ in range(CHUNKS_MAX + 1):
                pipe.write(b"x")
        except BrokenPipeError as error:
            pipe.give_up(error)

    async def send() -> None:
        pipe = Pipe()
        await asyncio.to_thread(write, pipe)
        assert isinstance(await asyncio.wait_for(pipe.take(), 5), BrokenPipeError)

    asyncio.run(send())


def test_thread_stops_once_nobody_takes_any_more() -> None:
    """At its next chunk."""

    async def send() -> None:
        pipe = Pipe()
        pipe.leave()
        with pytest.raises(BrokenPipeError):
            await asyncio.to_thread(pipe.write, b"x")

    asyncio.run(send())
