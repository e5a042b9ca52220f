"""A disk spool: what the broker has not acknowledged yet survives the process that emitted it.

One folder, many processes. Each writes segment files of its own and holds a lock on them while it lives; a segment is
emptied or deleted when all its records are acknowledged. Whoever starts next sends the records of segments that nobody
holds, the oldest segment first. A record can so be sent twice, which its score_id makes harmless.

A record on disk: crc32 of the rest (4 bytes), length of key and of value (4 each), key, value; big-endian. A write of
a process that was killed can be cut short; what is whole before it counts. Another format gets another suffix, so that
every release knows what it can read.
"""

from __future__ import annotations

import fcntl
import logging
import os
import struct
import threading
import weakref
import zlib
from collections.abc import Iterator
from pathlib import Path

import uuid_utils

from scoreline.errors import QueueFull, SettingsError

log = logging.getLogger(__name__)

SEGMENT_BYTES_MAX = 8 << 20
"""Size from which on a segment gets a successor; in a small spool an eighth of it."""
SUFFIX = ".spool"
BROKEN_SUFFIX = ".broken"
_HEAD = struct.Struct(">III")


class Segment:
    """One file of the spool, and how many of its records are not acknowledged yet."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.size = os.fstat(descriptor).st_size
        self._descriptor = descriptor
        self._open_records = 0
        self._sealed = False
        self._broken = False
        self._lock = threading.Lock()

    @property
    def is_done(self) -> bool:
        """Whether the file is gone, or left to another process."""
        return self._descriptor < 0

    def append(self, key: bytes, value: bytes) -> None:
        """Put one record into the kernel's hands: it survives this process, though not a power cut.

        Raises OSError; it may then be there in part, and no other may follow it.
        """
        body = struct.pack(">II", len(key), len(value)) + key + value
        record = zlib.crc32(body).to_bytes(4, "big") + body
        with self._lock:
            written = os.write(self._descriptor, record)
            while written < len(record):
                written += os.write(self._descriptor, record[written:])
            self.size += len(record)
            self._open_records += 1

    def expect(self) -> None:
        """One more record whose acknowledgement is waited for."""
        with self._lock:
            self._open_records += 1

    def settled(self) -> None:
        """One record needs no more sending. With the last one the file goes, or is emptied while it is written to:
        what was acknowledged long ago must not be sent again after a kill."""
        with self._lock:
            self._open_records -= 1
            if self._open_records == 0 and not self._sealed and self._descriptor >= 0:
                os.ftruncate(self._descriptor, 0)
                self.size = 0
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
        """(key, value) of every whole record. A file that is damaged, not only cut short, is kept as `.broken`."""
        content = self.path.read_bytes()
        at = 0
        while at + _HEAD.size <= len(content):
            crc, key_bytes, value_bytes = _HEAD.unpack_from(content, at)
            end = at + _HEAD.size + key_bytes + value_bytes
            if end > len(content):
                break
            if zlib.crc32(content[at + 4 : end]) != crc:
                self._broken = True
                log.error("%s is damaged at byte %d of %d; what follows is not sent", self.path, at, len(content))
                return
            key_at = at + _HEAD.size
            yield content[key_at : key_at + key_bytes], content[key_at + key_bytes : end]
            at = end
        if at < len(content):
            log.warning("%s ends within a record, whose emitter was never told that it was taken", self.path)

    def _delete_if_done(self) -> None:
        if self._sealed and self._open_records == 0 and self._descriptor >= 0:
            if self._broken:
                self.path.rename(self.path.with_suffix(BROKEN_SUFFIX))
            else:
                self.path.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = -1


class Spool:
    """The segments of this process in a folder that it shares with others."""

    def __init__(self, folder: Path, bytes_max: int) -> None:
        """Raises SettingsError when the folder cannot be made."""
        self._folder, self._bytes_max = folder, bytes_max
        self._segment_bytes_max = min(SEGMENT_BYTES_MAX, bytes_max // 8)
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

        Raises QueueFull when the spool holds `bytes_max` of unacknowledged records, or its disk takes no more.
        """
        with self._lock:
            if self._bytes() >= self._bytes_max:
                self._seal_current()
                if self._bytes() >= self._bytes_max:
                    raise QueueFull(
                        f"{self._folder} (SCORELINE_SPOOL_DIR) holds {self._bytes_max} bytes of unsent scores; raise "
                        "SCORELINE_SPOOL_BYTES_MAX or bring the broker back"
                    )
            try:
                if self._current is None or self._current.size >= self._segment_bytes_max:
                    self._seal_current()
                    self._current = self._create()
                    self._segments.append(self._current)
                self._current.append(key, value)
            except OSError as error:
                self._seal_current()
                raise QueueFull(
                    f"SCORELINE_SPOOL_DIR={self._folder} cannot be written to ({error.strerror}), so the score was not "
                    "taken; mend the disk or choose another folder"
                ) from error
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
            self._seal_current()

    def release(self) -> None:
        """Let go of every segment; what is unacknowledged is for the next process that starts."""
        with self._lock:
            for segment in self._segments:
                segment.release()

    def forget(self) -> None:
        """In a forked child: the files are the parent's. Takes no lock, which a thread of the parent may have held."""
        for segment in self._segments:
            segment.forget()

    def _bytes(self) -> int:
        self._segments = [segment for segment in self._segments if not segment.is_done]
        return sum(segment.size for segment in self._segments)

    def _seal_current(self) -> None:
        if self._current is not None:
            self._current.seal()
            self._current = None

    def _create(self) -> Segment:
        """A new segment. It gets its name only when it is locked: no scan for orphans can see it before."""
        path = self._folder / f"{uuid_utils.uuid7().hex}{SUFFIX}"
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
