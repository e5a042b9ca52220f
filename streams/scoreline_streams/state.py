"""The deduplication state of one partition: RocksDB on disk, always rebuildable from the changelog."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, cast

from rocksdict import AccessType, BlockBasedOptions, DBCompressionType, Options, Rdict, WriteBatch, WriteOptions

from scoreline.errors import StateError

log = logging.getLogger(__name__)

_META_KEY = b"\xffmeta"
"""Shorter than an id hash, so it can be none."""
_FORMAT = "2"
"""A state of another format is rebuilt."""
_WRITE_BUFFER_BYTES = 16 << 20
_FLUSHED_FILES_MAX = 12
"""Write buffers on disk that wait to be compacted together. Keys come in no order, so each time the next level is
written anew, all of it: a third as often as by default. Each file costs a look-up one Bloom filter."""
_LEVEL_BYTES = 512 << 20
"""Of the first level: up to 11 million ids of a partition need no second one."""
_BLOOM_BITS = 10
_UNFLUSHED_BLOOM_SHARE = 0.02
"""Of the write buffer, for a filter of what is in it: 10 bits an entry. Most of a look-up would be spent there."""
_OPEN_FILES_MAX = 256
_DISTRUSTED = "DISTRUSTED"
"""File in a state's folder: the state failed while it was open, and why."""
_REMEDIES = {
    "No space left on device": "free some space",
    "Disk quota exceeded": "raise the quota",
    "Too many open files": "raise the limit of open files (ulimit -n)",
    "/LOCK: ": "another process uses it: give every worker a SCORELINE_STATE_DIR of its own",
}
"""What RocksDB says of faults that are not the state's, so that rebuilding it would not help."""


class Size(NamedTuple):
    """Of a state, as RocksDB estimates it."""

    ids: int
    disk_bytes: int
    """On disk and not yet flushed."""


_SIZES = ("rocksdb.live-sst-files-size", "rocksdb.cur-size-all-mem-tables")


class State:
    """What is remembered of every id of one partition, by id hash.

    Written without a write-ahead log: a killed process leaves an older but consistent state, whose changelog position
    is in the same write batch as the entries, and restoring reads the rest. `identity` names the changelog topic that
    and the raw topic that the state was built from; a state of others is deleted, never used.

    A damaged file can show at any later read, or stop RocksDB in a compaction. Then the state is marked as distrusted
    and StateError raised: the process ends, and its next start rebuilds this state instead of meeting the damage again.
    """

    def __init__(self, folder: Path, identity: str, horizon_days: int | None = None) -> None:
        """Open or create the state in `folder`. One that cannot be opened, that failed in an earlier life or belongs
        to other topics is deleted, to be rebuilt.

        An id is remembered for `horizon_days` at least, None: for ever. Older ones vanish when RocksDB compacts the
        file that holds them, which costs nothing per event. Raises StateError when another process uses the folder or
        the disk is full, and OSError when a bad state cannot be deleted.
        """
        self._folder = folder
        self._ttl_s = 0 if horizon_days is None else horizon_days * 24 * 60 * 60
        self._identity = f"{_FORMAT}/{identity}".encode()
        self._write_options = WriteOptions()
        self._write_options.disable_wal = True  # pyright: ignore[reportAttributeAccessIssue] (a property; the stub is wrong)
        self._db: Rdict | None = None
        self.changelog_next = 0
        """Changelog offset up to which the entries are known to be in the state."""
        self.raw_next = 0
        """Raw offset behind the latest batch that is known to be committed."""
        self.is_empty = True
        """Whether nothing was ever written, not even a position."""
        try:
            self._take_up()
        except Exception as error:  # noqa: BLE001 (rocksdict raises bare Exception)
            self._raise_if_not_its_fault(error)
            self.rebuild(str(error))

    def look_up(self, id_hashes: list[bytes]) -> list[bytes | None]:
        """What is remembered of each id, in the order asked; None: nothing. Raises StateError."""
        with self._distrust_on_failure() as db:
            return cast("list[bytes | None]", db.get(cast("Any", id_hashes)))

    def write(self, entries: Mapping[bytes, bytes | None]) -> None:
        """Put entries, delete those that are None, and note both positions, in one atomic batch. Raises StateError.

        Sorted: RocksDB's memtable takes neighbours in about half the time.
        """
        batch = WriteBatch(raw_mode=True)
        for key in sorted(entries):
            seen = entries[key]
            if seen is None:
                batch.delete(key)
            else:
                batch.put(key, seen)
        batch.put(_META_KEY, self.changelog_next.to_bytes(8, "big") + self.raw_next.to_bytes(8, "big") + self._identity)
        with self._distrust_on_failure() as db:
            db.write(batch, self._write_options)
        self.is_empty = False

    def size(self) -> Size | None:
        """How much it holds; None when that cannot be told, as while it is being closed."""
        db = self._db
        if db is None:
            return None
        try:
            ids = db.property_int_value("rocksdb.estimate-num-keys") or 0
            return Size(ids, sum(db.property_int_value(name) or 0 for name in _SIZES))
        except Exception as error:  # noqa: BLE001 (rocksdict raises bare Exception; looking must not end the process)
            log.debug("the size of the state in %s cannot be told: %s", self._folder, error)
            return None

    def rebuild(self, why: str) -> None:
        """Forget everything: the changelog has to be read from its start. Raises OSError and StateError."""
        log.warning("state in %s cannot be used (%s); rebuilding it from the changelog", self._folder, why)
        if self._db is not None:
            self.close()
        if self._folder.exists():
            shutil.rmtree(self._folder)
        self.changelog_next = self.raw_next = 0
        self.is_empty = True
        self._db = self._open()

    def close(self) -> None:
        """Flush to disk, so that the next start restores only what comes after; what fails then is only reported."""
        try:
            with self._distrust_on_failure() as db:
                db.close()  # flushes first, and closes in any case
        except StateError as error:
            log.error("%s", error)
        self._db = None

    @contextmanager
    def _distrust_on_failure(self) -> Generator[Rdict]:
        assert self._db is not None
        try:
            yield self._db
        except Exception as error:
            self._raise_if_not_its_fault(error)
            (self._folder / _DISTRUSTED).write_text(str(error))
            raise StateError(f"state in {self._folder} failed and is rebuilt at the next start: {error}") from error

    def _raise_if_not_its_fault(self, error: Exception) -> None:
        for fault, remedy in _REMEDIES.items():
            if fault in str(error):
                raise StateError(f"state in {self._folder}: {error}; {remedy}") from error

    def _take_up(self) -> None:
        """Open what the folder holds. Raises whatever speaks against using it."""
        distrusted = self._folder / _DISTRUSTED
        if distrusted.exists():
            raise StateError(f"failed before: {distrusted.read_text()}")
        self._db = self._open()
        meta = cast("bytes | None", self._db.get(_META_KEY))
        if meta is None:
            if next(iter(self._db.keys()), None) is not None:
                raise StateError("it does not say how far it has read")
            return
        if meta[16:] != self._identity:
            raise StateError("it is of other topics or another format")
        self.changelog_next, self.raw_next = int.from_bytes(meta[:8], "big"), int.from_bytes(meta[8:16], "big")
        self.is_empty = False

    def _open(self) -> Rdict:
        self._folder.mkdir(parents=True, exist_ok=True)
        options = Options(raw_mode=True)
        options.create_if_missing(True)
        options.set_write_buffer_size(_WRITE_BUFFER_BYTES)
        options.set_memtable_prefix_bloom_ratio(_UNFLUSHED_BLOOM_SHARE)
        options.set_memtable_whole_key_filtering(True)
        options.set_level_zero_file_num_compaction_trigger(_FLUSHED_FILES_MAX)
        options.set_level_zero_slowdown_writes_trigger(3 * _FLUSHED_FILES_MAX)
        options.set_level_zero_stop_writes_trigger(5 * _FLUSHED_FILES_MAX)
        options.set_max_bytes_for_level_base(_LEVEL_BYTES)
        options.set_max_open_files(_OPEN_FILES_MAX)
        options.set_keep_log_file_num(2)
        # Blocks hold hashes, asked for in no order: unpacking one costs as much as finding the entry in it, and a cache
        # that cannot hold a share worth mentioning costs that once more. The system caches the files as they are.
        options.set_compression_type(DBCompressionType.none())
        blocks = BlockBasedOptions()
        blocks.set_bloom_filter(_BLOOM_BITS, False)
        blocks.disable_cache()
        options.set_block_based_table_factory(blocks)
        # left out, the options found on disk are used, with their filter of old entries inside ours: it would take
        # the hash in a value for a time, and every compaction would drop most ids
        families = {"default": options}
        # also for ever (0): values then have the same form on disk, so that the horizon can be changed
        return Rdict(str(self._folder), options, families, access_type=AccessType.with_ttl(self._ttl_s))
