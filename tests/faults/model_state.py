"""The worker's state directory and RocksDB in it, as far as a crash can tell."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

from tests.faults.world import Process, World


class Disk:
    """A state directory. Without a log of its own RocksDB keeps of what was written any older prefix of its batches."""

    def __init__(self) -> None:
        self.batches: list[dict[bytes, bytes | None]] = []
        self.positions = [(0, 0)]
        """The positions in changelog and raw topic before any batch, and in each."""
        self.flushed = 0
        self.user: Process | None = None

    def crash(self, random: Random) -> None:
        """Keep what was flushed, and of the rest as much as chance will have."""
        self.keep(random.randint(self.flushed, len(self.batches)))

    def keep(self, batches: int) -> None:
        """Roll back to the first so many batches."""
        del self.batches[batches:], self.positions[batches + 1 :]
        self.flushed = batches


class DiskState:
    """`State` on a `Disk`."""

    def __init__(self, world: World, disk: Disk) -> None:
        world.step()
        self._world, self._disk = world, disk
        self._seen: dict[bytes, bytes | None] = {}
        for written in disk.batches:
            self._seen |= written
        self.changelog_next, self.raw_next = disk.positions[-1]

    def look_up(self, id_hashes: list[bytes]) -> list[bytes | None]:
        return [self._seen.get(hashed) for hashed in id_hashes]

    def write(self, entries: Mapping[bytes, bytes | None]) -> None:
        self._world.step()
        self._disk.batches.append(dict(entries))
        self._disk.positions.append((self.changelog_next, self.raw_next))
        self._seen |= entries
        self._world.step()

    def close(self) -> None:
        self._disk.flushed = len(self._disk.batches)
        self._world.step()
