"""The deduplication state of one partition: RocksDB on disk, always rebuildable from the changelog."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from rocksdict import AccessType, BlockBasedOptions, Cache, Options, Rdict, WriteBatch, WriteOptions

log = logging.getLogger(__name__)

_META_KEY = b"\xffmeta"
"""Shorter than an id hash, so it can be none."""
_FORMAT = "2"
"""A state of another format is rebuilt."""
_BLOCK_CACHE_BYTES = 32 << 20
_WRITE_BUFFER_BYTES = 16 << 20
_BLOOM_BITS = 10
_OPEN_FILES_MAX = 256


class State:
    """What is remembered of every id of one partition, by id hash.

    Written without a write-ahead log: a killed process leaves an older but consistent state, whose changelog position
    is in the same write batch as the entries, and restoring reads the rest. `identity` names the changelog topic that
    the state was built from; a state of another topic is deleted, never used.
    """

    def __init__(self, folder: Path, identity: str, horizon_days: int | None = None) -> None:
        """Open or create the state in `folder`. One that cannot be opened or belongs to another topic is rebuilt.

        An id is remembered for `horizon_days` at least, None: for ever. Older ones vanish when RocksDB compacts the
        file that holds them, which costs nothing per event.
        """
        self._folder = folder
        self._ttl_s = 0 if horizon_days is None else horizon_days * 24 * 60 * 60
        self._identity = f"{_FORMAT}/{identity}".encode()
        self._write_options = WriteOptions()
        self._write_options.disable_wal = True  # pyright: ignore[reportAttributeAccessIssue] (a property; the stub is wrong)
        self.changelog_next = 0
        """Changelog offset up to which the entries are known to be in the state."""
        try:
            self._db = self._open()
            matches = self._read_meta()
        except Exception as error:  # noqa: BLE001 (rocksdict raises bare Exception)
            log.warning("state in %s cannot be read (%s); rebuilding it from the changelog", folder, error)
            self._rebuild()
            return
        if not matches:
            log.warning("state in %s is of another changelog topic or format; rebuilding it", folder)
            self._db.close()
            self._rebuild()

    def look_up(self, id_hashes: list[bytes]) -> list[bytes | None]:
        """What is remembered of each id, in the order asked; None: nothing."""
        return cast("list[bytes | None]", self._db.get(cast("Any", id_hashes)))

    def write(self, entries: Mapping[bytes, bytes | None]) -> None:
        """Put entries, delete those that are None, and note `changelog_next`, in one atomic batch.

        Sorted: RocksDB's memtable takes neighbours in about half the time.
        """
        batch = WriteBatch(raw_mode=True)
        for key in sorted(entries):
            seen = entries[key]
            if seen is None:
                batch.delete(key)
            else:
                batch.put(key, seen)
        batch.put(_META_KEY, self.changelog_next.to_bytes(8, "big") + self._identity)
        self._db.write(batch, self._write_options)

    def close(self) -> None:
        """Flush to disk, so that the next start restores only what comes after."""
        self._db.flush()
        self._db.close()

    def _open(self) -> Rdict:
        self._folder.mkdir(parents=True, exist_ok=True)
        options = Options(raw_mode=True)
        options.create_if_missing(True)
        options.set_write_buffer_size(_WRITE_BUFFER_BYTES)
        options.set_max_open_files(_OPEN_FILES_MAX)
        options.set_keep_log_file_num(2)
        blocks = BlockBasedOptions()
        blocks.set_bloom_filter(_BLOOM_BITS, False)
        blocks.set_block_cache(Cache(_BLOCK_CACHE_BYTES))
        options.set_block_based_table_factory(blocks)
        # left out, the options found on disk are used, with their filter of old entries inside ours: it would take
        # the hash in a value for a time, and every compaction would drop most ids
        families = {"default": options}
        # also for ever (0): values then have the same form on disk, so that the horizon can be changed
        return Rdict(str(self._folder), options, families, access_type=AccessType.with_ttl(self._ttl_s))

    def _read_meta(self) -> bool:
        meta = cast("bytes | None", self._db.get(_META_KEY))
        if meta is None:
            return True
        self.changelog_next = int.from_bytes(meta[:8], "big")
        return meta[8:] == self._identity

    def _rebuild(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        self.changelog_next = 0
        self._db = self._open()
