"""Decompression in bounded steps: a bomb is stopped by the limit it would break, not by the memory it would fill."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Protocol

import zstandard

from scoreline.errors import RequestRefused

ENCODINGS = ("identity", "gzip", "deflate", "zstd")
STEP_BYTES = 256 * 1024
"""Most bytes of one piece."""
_ZSTD_FEED_BYTES = 512
"""A zstd block of 4 bytes can give 128 KiB: so many bytes give 16 MiB at most before they are counted."""
_ZSTD_WINDOW_MAX = 8 << 20
"""As RFC 8878 asks decoders to take; a larger window costs its size in memory."""


class Inflater(Protocol):
    """Bytes from the wire to the bytes of the body, piece by piece."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What `data` gives, in bounded pieces. Raises RequestRefused when it is no such encoding."""
        ...

    def end(self) -> None:
        """Raises RequestRefused when the body was cut short."""
        ...


def inflater(encoding: str) -> Inflater:
    """For a Content-Encoding. Raises RequestRefused: 415 for one that is not taken."""
    match encoding.strip().lower():
        case "" | "identity":
            return _Identity()
        case "gzip" | "x-gzip":
            return _Zlib(wbits=31)
        case "deflate":
            return _Zlib(wbits=0)
        case "zstd":
            return _Zstd()
        case other:
            raise RequestRefused(
                415,
                "unsupported_encoding",
                f"Content-Encoding {other[:40]!r} is not taken",
                f"Send one of {', '.join(ENCODINGS)}.",
            )


class _Identity:
    def feed(self, data: bytes) -> Iterator[bytes]:
        yield data

    def end(self) -> None:
        return


class _Zlib:
    """gzip, one member or several, and deflate with its zlib header or, as some clients send it, without."""

    def __init__(self, wbits: int) -> None:
        self._wbits, self._stream, self._begun = wbits, zlib.decompressobj(wbits), False

    def feed(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._stream.eof:
                self._stream = zlib.decompressobj(self._wbits)
            yield self._inflate(data)
            data = self._stream.unconsumed_tail or self._stream.unused_data

    def _inflate(self, data: bytes) -> bytes:
        begun, self._begun = self._begun, True
        try:
            return self._stream.decompress(data, STEP_BYTES)
        except zlib.error as error:
            if begun or self._wbits != 0:
                raise _broken("gzip" if self._wbits else "deflate") from error
        self._wbits, self._stream = -zlib.MAX_WBITS, zlib.decompressobj(-zlib.MAX_WBITS)
        return self._inflate(data)

    def end(self) -> None:
        if self._begun and not self._stream.eof:
            raise _broken("gzip" if self._wbits > 0 else "deflate")


class _Zstd:
    def __init__(self) -> None:
        self._make = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_MAX).decompressobj
        self._stream, self._begun = self._make(), False

    def feed(self, data: bytes) -> Iterator[bytes]:
        for start in range(0, len(data), _ZSTD_FEED_BYTES):
            piece = data[start : start + _ZSTD_FEED_BYTES]
            while piece:
                if self._stream.eof:
                    self._stream = self._make()
                self._begun = True
                try:
                    inflated = self._stream.decompress(piece)
                except zstandard.ZstdError as error:
                    raise _broken("zstd") from error
                for begin in range(0, len(inflated), STEP_BYTES):
                    yield inflated[begin : begin + STEP_BYTES]
                piece = self._stream.unused_data if self._stream.eof else b""

    def end(self) -> None:
        if self._begun and not self._stream.eof:
            raise _broken("zstd")


def _broken(encoding: str) -> RequestRefused:
    return RequestRefused(
        400, "broken_encoding", f"the body is no {encoding}, or is cut short", "Compress it anew, or send it plain."
    )
