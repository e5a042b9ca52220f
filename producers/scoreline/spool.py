"""A disk spool: what the broker has not acknowledged yet survives the process that emitted it.

One folder, many processes. Each writes segment files of its own and holds a lock on them while it lives; a segment is
deleted when all its records are acknowledged. Whoever starts next sends the records of segments that nobody holds.
A record can so be sent twice, which its score_id makes harmless.

A record on disk: crc32 of the rest (4 bytes), length of key and of value (4 each), key, value; big-endian. A write of
a process that was killed can be cut short; what is whole before it counts.
"""

from __future__ import annotations

import fcntl
import os
import struct
import threading
import uuid
import weakref
import zlib
from collections.abc import Iterator
from pathlib import Path

from scoreline.errors import QueueFull, SettingsError

SEGMENT_BYTES_MAX = 8 << 20
SUFFIX = ".spool"
_HEAD = struct.Struct(">III")


class Segment:
    """One file of the spool, and how many of its records are not acknowledged yet."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.size = os.fstat(descriptor).st_size
        self._descriptor = descriptor
        self._open_records = 0
        self._sealed = False
        self._lock = threading.Lock()

    def append(self, key: bytes, value: bytes) -> None:
        """Put one record into the kernel's hands: it survives this process, though not a power cut."""
        body = struct.pack(">II", len(key), len(value)) + key + value
        record = zlib.crc32(body).to_bytes(4, "big") + body
        os.write(self._descriptor, record)
        self.size += len(record)
        self.expect()

    def expect(self) -> None:
        """One more record whose acknowledgement is waited for."""
        with self._lock:
            self._open_records += 1

    def settled(self) -> None:
        """One record needs no more sending; the file goes with the last one of a sealed segment."""
        with self._lock:
            self._open_records -= 1
            self._delete_if_done()

    def seal(self) -> None:
        """No record will be added."""
        with self._lock:
            self._sealed = True
            self._delete_if_done()

    def release(self) -> None:
        """Let go of the file; what is in it is for the next process that starts."""
        with self._lock:
            self.forget()

    def forget(self) -> None:
        """As `release`, without a lock: for a forked child."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def records(self) -> Iterator[tuple[bytes, bytes]]:
        """(key, value) of every whole record."""
        content = self.path.read_bytes()
        at = 0
        while at + _HEAD.size <= len(content):
            crc, key_bytes, value_bytes = _HEAD.unpack_from(content, at)
            end = at + _HEAD.size + key_bytes + value_bytes
            if end > len(content) or zlib.crc32(content[at + 4 : end]) != crc:
                return
            key_at = at + _HEAD.size
            yield content[key_at : key_at + key_bytes], content[key_at + key_bytes : end]
            at = end

    def _delete_if_done(self) -> None:
        if self._sealed and self._open_records == 0 and self._descriptor >= 0:
            self.path.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = -1


class Spool:
    """The segments of this process in a folder that it shares with others."""

    def __init__(self, folder: Path, bytes_max: int) -> None:
        """Raises SettingsError when the folder cannot be made."""
        self._folder, self._bytes_max = folder, bytes_max
        self._segments: list[Segment] = []
        self._current: Segment | None = None
        self._lock = threading.Lock()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SettingsError(f"SCORELINE_SPOOL_DIR={folder}: {error.strerror}") from error
        _spools.add(self)

    def add(self, key: bytes, value: bytes) -> Segment:
        """Write a record; settle it with the segment that is returned.

        Raises QueueFull when the spool holds `bytes_max` of unacknowledged records.
        """
        with self._lock:
            self._segments = [segment for segment in self._segments if segment.path.exists()]
            if sum(segment.size for segment in self._segments) >= self._bytes_max:
                raise QueueFull(
                    f"{self._folder} holds {self._bytes_max} bytes of unsent scores; raise SCORELINE_SPOOL_BYTES_MAX "
                    "or bring the broker back"
                )
            if self._current is None or self._current.size >= SEGMENT_BYTES_MAX:
                if self._current is not None:
                    self._current.seal()
                self._current = self._create()
                self._segments.append(self._current)
            self._current.append(key, value)
            return self._current

    def orphans(self) -> Iterator[Segment]:
        """Segments that dead processes left, each now held by this one and sealed once read."""
        for path in sorted(self._folder.glob(f"*{SUFFIX}")):
            try:
                descriptor = os.open(path, os.O_RDWR)
            except FileNotFoundError:
                continue
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                continue
            if not path.exists():
                os.close(descriptor)
                continue
            segment = Segment(path, descriptor)
            with self._lock:
                self._segments.append(segment)
            yield segment

    def seal(self) -> None:
        """No record will be added; a segment without open records is deleted."""
        with self._lock:
            if self._current is not None:
                self._current.seal()
                self._current = None

    def release(self) -> None:
        """Let go of every segment; what is unacknowledged is for the next process that starts."""
        with self._lock:
            for segment in self._segments:
                segment.release()

    def forget(self) -> None:
        """In a forked child: the files are the parent's. Takes no lock, which a thread of the parent may have held."""
        for segment in self._segments:
            segment.forget()

    def _create(self) -> Segment:
        """A new segment. It gets its name only when it is locked: no scan for orphans can see it before."""
        path = self._folder / f"{uuid.uuid4().hex}{SUFFIX}"
        unnamed = path.with_suffix(".new")
        descriptor = os.open(unnamed, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        unnamed.rename(path)
        return Segment(path, descriptor)


_spools: weakref.WeakSet[Spool] = weakref.WeakSet()


def _forget_in_child() -> None:
    for spool in list(_spools):
        spool.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)
