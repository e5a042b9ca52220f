"""Scores of any number as one response: a thread writes, the event loop sends, little stands between them."""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import TimeoutError as FutureTimeout
from typing import IO, Any

from fastapi.responses import StreamingResponse

from scoreline.errors import ScorelineError
from scoreline_analytics.api.answering import MEDIA
from scoreline_analytics.api.asking import Format
from scoreline_analytics.api.desk import Desk
from scoreline_analytics.scores import COLUMNS, Export

log = logging.getLogger(__name__)

CHUNK_BYTES = 256 * 1024
CHUNKS_MAX = 4
"""Written and not sent yet."""
STALL_S = 60.0
"""How long the client may take for a chunk."""

Item = bytes | BaseException | None
"""A chunk, what ended the writing, or its end."""


class Pipe(io.RawIOBase):
    """What a thread writes here, the event loop takes. A write waits for room, and fails when nobody takes any more."""

    def __init__(self) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._items: asyncio.Queue[Item] = asyncio.Queue(CHUNKS_MAX)
        self._left = False
        self._position = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def write(self, data: Any, /) -> int:
        chunk = bytes(data)
        self._put(chunk)
        self._position += len(chunk)
        return len(chunk)

    def end(self, failure: BaseException | None) -> None:
        """The last item; by the thread."""
        self._put(failure)

    def give_up(self, why: BaseException) -> None:
        """Let whoever still takes hear that there is no more; by the thread."""
        self._loop.call_soon_threadsafe(self._break_off, why)

    async def take(self) -> Item:
        """The next item."""
        return await self._items.get()

    def leave(self) -> None:
        """Take no more; by the event loop."""
        self._left = True
        while not self._items.empty():
            self._items.get_nowait()

    def _break_off(self, why: BaseException) -> None:
        self.leave()
        self._items.put_nowait(why)

    def _put(self, item: Item) -> None:
        if self._left:
            raise BrokenPipeError("the client has gone")
        room = asyncio.run_coroutine_threadsafe(self._items.put(item), self._loop)
        try:
            room.result(STALL_S)
        except FutureTimeout as error:
            room.cancel()
            raise BrokenPipeError(f"the client took nothing for {STALL_S:.0f} s") from error


async def export_response(desk: Desk, export: Callable[[], Export], form: Format) -> StreamingResponse:
    """A response that streams the scores. What goes wrong before the first chunk is raised here; later it breaks the
    response off, so that nobody takes a part for the whole."""
    pipe = Pipe()
    desk.begin(lambda: _write(export, form, pipe))
    first = await pipe.take()
    if isinstance(first, BaseException):
        raise first
    headers = {"Content-Disposition": f'attachment; filename="scores.{form}"'}
    return StreamingResponse(_sent(pipe, first), headers=headers, media_type=MEDIA[form])


async def _sent(pipe: Pipe, first: bytes | None) -> AsyncGenerator[bytes]:
    item: Item = first
    try:
        while item is not None:
            if isinstance(item, BaseException):
                log.error("an export broke off: %s", item)
                raise item
            yield item
            item = await pipe.take()
    finally:
        pipe.leave()


def _write(export: Callable[[], Export], form: Format, pipe: Pipe) -> None:
    failure: BaseException | None = None
    try:
        file = io.BufferedWriter(pipe, CHUNK_BYTES)
        if form == "arrow":
            _write_arrow(export(), file)
        else:
            export().write(file, form)
        file.flush()
    except BrokenPipeError as error:
        log.info("an export ended early: %s", error)
        pipe.give_up(error)
        return
    except (ScorelineError, OSError, ValueError) as error:
        failure = error
    pipe.end(failure)


def _write_arrow(export: Export, file: IO[bytes]) -> None:
    import pyarrow

    from scoreline_analytics.tables import table_of

    arrow: Any = pyarrow  # its types are partly unknown
    schema = table_of(COLUMNS, ()).schema
    with arrow.ipc.new_stream(file, schema) as stream:
        for batch in export.arrow():
            stream.write_table(arrow.Table.from_batches([batch]).cast(schema))
