"""The worker under faults: the product's `Partition`, `Transactions`, `restore` and `batch`, all of them, on models.

Modelled are Kafka (`model_kafka`), Faust's fetching (`_Feed`), the score configs and RocksDB (`DiskState`). One seed is
one life of one input partition: workers start, are killed and stopped at any step, go on as zombies, lose their state
or a part of it, get other batch bounds and perhaps other configs each time; in the end one is left alone and has to
come to rest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any, NoReturn

import orjson
import pytest

from scoreline.configs import ScoreConfig
from scoreline.dead_letters import carry
from scoreline.events import DataType
from scoreline.rejections import rejection_headers
from scoreline.settings import Settings
from scoreline.topics import declare_topics
from scoreline_streams import batch, changelog, partition, transactions
from scoreline_streams.batch import Known, RawRecord, id_hashes, read, settle
from scoreline_streams.changelog import unpack
from scoreline_streams.deduplicate import first_offset, id_hash
from scoreline_streams.partition import Context, Partition
from scoreline_streams.transactions import Transactions
from tests.faults.loop import run
from tests.faults.model_kafka import Broker, Entry, Producer, RawMessage, Reader, Transaction
from tests.faults.model_state import Disk, DiskState
from tests.faults.seeds import live
from tests.faults.world import Clock, Process, Tasks, World

SETTINGS = Settings(reject_run_max=0, reject_ratio_max=0.0, stall_s=20.0)
TOPICS = declare_topics(SETTINGS)
GROUP = "worker"
NUMBER = 0
REST_S = 600.0
REQUEST_BYTES_MAX = 3000
NO_SCORE = b"no json"
Configs = Mapping[bytes, ScoreConfig]


def _versions() -> list[Configs]:
    first = ScoreConfig(id="c", name="accuracy", data_type=DataType.NUMERIC, min=0.0, max=1.0)
    narrow = first.model_copy(update={"max": 0.5, "version": 2})
    archived = first.model_copy(update={"archived": True, "version": 3})
    return [{config.key: config} for config in (first, narrow, archived)]


VERSIONS = _versions()


@dataclass
class ConfigView:
    """The configs that one worker has read so far."""

    latest: Callable[[], Configs]
    step: Callable[[], None]
    entries: Configs = field(default_factory=dict)

    def catch_up(self) -> None:
        self.step()
        self.entries = self.latest()
        self.step()


class Simulation:
    """One seed."""

    def __init__(self, seed: int) -> None:
        self.world = World(seed)
        random = self.world.random
        self.broker = Broker(self.world, random.choice((0.0, 0.05, 0.2)))
        self.configs_change = random.random() < 0.4
        self.configs = VERSIONS[0]
        self.lost_batches = random.choice((0.0, 0.0, 0.2))
        """Share of the fetched batches that Faust loses on their way."""
        self.parts_of_a_fetch = random.choice((1, 1, 3))
        """In how many batches, at most, a fetch of many bytes is handed over."""
        self.raw = self.broker.logs[TOPICS.raw.name, NUMBER]
        self.disks: list[Disk] = []
        self.workers: list[Process] = []
        self.disk_of: dict[Process, Disk] = {}
        self._unsent = list(_records(random, random.randint(5, 40)))

    def live(self) -> None:
        """Faults until all is sent, then peace until all is processed. Raises AssertionError when that never comes."""
        random = self.world.random
        for _ in range(random.randint(3, 12)):
            self._send(random.randint(0, 10))
            self._let_steps_pass(random.choice((5, 40, 100)))
            self._trouble()
        self._send(len(self._unsent))
        self._make_peace()

    def _let_steps_pass(self, steps_max: int) -> None:
        until = self.world.steps + self.world.random.randint(0, steps_max)
        self.world.wait(lambda: self.world.steps >= until, 5.0)

    def _trouble(self) -> None:
        world, random = self.world, self.world.random
        alive = [process for process in self.workers if not process.dead]
        what = random.random()
        if self.configs_change and random.random() < 0.5:
            self.configs = random.choice(VERSIONS)
        if not alive or (what < 0.15 and len(alive) < 3):
            self._start()
            return
        process = random.choice(alive)
        if what < 0.55:
            world.kill(process)
        elif what < 0.75:
            (world.resume if process.stopped else world.stop)(process)

    def _start(self) -> None:
        """A worker on a folder that nobody uses: as it was left, rolled back, or empty.

        Now and then nobody is left, and the group's offset has expired.
        """
        random = self.world.random
        free = [disk for disk in self.disks if disk.user is None or disk.user.dead]
        disk = random.choice(free) if free and random.random() < 0.8 else Disk()
        if disk not in self.disks:
            self.disks.append(disk)
        disk.crash(random)
        if random.random() < 0.1:
            disk.keep(0)
        if random.random() < 0.1 and all(process.dead for process in self.workers):
            self.broker.offsets.pop((GROUP, TOPICS.raw.name, NUMBER), None)
        process = disk.user = Process(f"worker {len(self.workers)}")
        self.disk_of[process] = disk
        self.workers.append(process)
        self.world.spawn(process, lambda: run(self.world, lambda: self._work()))

    async def _work(self) -> None:
        """What `app` wires: a partition that is assigned, fed, and now and then revoked in peace."""
        world, feed = self.world, _Feed(self)
        view = ConfigView(lambda: self.configs, world.step)
        context = Context(
            SETTINGS,
            TOPICS,
            GROUP,
            view,  # type: ignore[arg-type]
            ConfigView(dict, world.step),  # type: ignore[arg-type]
            "raw",
            "changelog",
            Tasks(world),
            feed.seek,
            lambda: None,
        )
        while True:
            assigned = Partition(NUMBER, context)
            assigned.start()
            watch = asyncio.create_task(_watch(assigned))
            for _ in range(world.random.choice((10, 1_000_000))):
                await feed.hand(assigned)
                if self.configs_change and world.chance(0.2):
                    view.entries = self.configs
            watch.cancel()
            await assigned.close()

    def _send(self, records: int) -> None:
        """Raw records; now and then an aborted transaction of a producer, whose offsets nobody ever sees."""
        sent, self._unsent = self._unsent[:records], self._unsent[records:]
        for entry in sent:
            if self.world.chance(0.05):
                aborted = Transaction(0, 0.0, "aborted")
                self.raw.entries += [Entry(b"k", b"aborted", transaction=aborted), Entry(marker=True)]
            self.raw.entries.append(entry)

    def _make_peace(self) -> None:
        self.broker.faults = 0.0
        for process in self.workers:
            if process.stopped:
                self.world.resume(process)
        end = self.world.now + REST_S
        while not self._at_rest():
            assert self.world.now < end, f"{self._position()} of {len(self.raw.entries)} processed: no progress"
            if all(process.dead for process in self.workers):
                self._start()
            self.world.wait(self._at_rest, 10.0)

    def _at_rest(self) -> bool:
        """No record of the raw log is left behind the committed offset."""
        return next(self.raw.committed(self._position()), None) is None

    def _position(self) -> int:
        return self.broker.offsets.get((GROUP, TOPICS.raw.name, NUMBER), (0, ""))[0]

    def records(self) -> list[RawRecord]:
        """Every raw record that a reader can see."""
        return [
            RawMessage(entry.key, entry.value, offset, entry.timestamp, entry.headers)
            for offset, entry in self.raw.committed()
        ]

    def stored(self, topic: str) -> list[Entry]:
        return [entry for _, entry in self.broker.logs[topic, NUMBER].committed()]


async def _watch(partition: Partition) -> None:
    while True:
        await asyncio.sleep(SETTINGS.stall_s / 4)
        await partition.check_progress()


class _Feed:
    """Faust: one consumer that fetches while the partition is hungry; some batches come late, some never."""

    def __init__(self, simulation: Simulation) -> None:
        self._world, self._log = simulation.world, simulation.raw
        self._position = self._world.random.randint(0, 5)
        self._lost_batches, self._parts = simulation.lost_batches, simulation.parts_of_a_fetch

    async def seek(self, _partition: int, offset: int) -> None:
        await asyncio.sleep(0)
        self._position = offset

    async def hand(self, partition: Partition) -> None:
        """Fetch once, and hand over what was fetched."""
        world = self._world
        records_max = world.random.choice((1, 3, 8, 50))
        fetched = [] if not partition.is_hungry else self._fetch(records_max)
        if not fetched:
            await asyncio.sleep(0.05)
            return
        partition.feed()
        if world.chance(self._lost_batches):
            return
        if world.chance(0.1):
            await asyncio.sleep(world.random.choice((0.01, 1.0, 5.0)))
        size = -(-len(fetched) // world.random.randint(1, self._parts))
        for start in range(0, len(fetched), size):
            await partition.handle(fetched[start : start + size])

    def _fetch(self, records_max: int) -> list[RawRecord]:
        found: list[RawRecord] = []
        for offset, entry in self._log.committed(self._position):
            if len(found) == records_max:
                break
            found.append(RawMessage(entry.key, entry.value, offset, entry.timestamp, entry.headers))
            self._position = offset + 1
        return found


def _records(random: Random, count: int) -> Iterator[Entry]:
    """Raw records: few ids, so that most are repeated, with the same content, another content, or no sense."""
    for number in range(count):
        score_id = f"s{random.randint(0, count // 3)}"
        event: dict[str, Any] = {"score_id": score_id, "name": "accuracy", "trace_id": "t", "service": f"call-{number}"}
        event["value"] = 0.9 if random.random() < 0.2 else 0.4
        if random.random() < 0.5:
            event["config_id"] = "c" if random.random() < 0.9 else "unknown"
        value = NO_SCORE if random.random() < 0.1 else orjson.dumps(event)
        yield Entry(f"default/{score_id}".encode(), value, [("trace", b"%d" % number)], 1_770_000_000_000 + number)


@contextmanager
def models(simulation: Simulation) -> Iterator[pytest.MonkeyPatch]:
    """The product's clients, clock and end of process, replaced by those of this simulation."""
    world, broker = simulation.world, simulation.broker

    def die(_why: str) -> NoReturn:
        world.kill(world.process)
        raise AssertionError

    with pytest.MonkeyPatch.context() as patch:
        for module in (partition, transactions):
            patch.setattr(module, "time", Clock(world))
        patch.setattr(partition, "die", die)
        patch.setattr(
            partition, "State", lambda _folder, _identity, _days: DiskState(world, simulation.disk_of[world.process])
        )
        patch.setattr(transactions, "Producer", lambda config: Producer(broker, config))
        # so that a batch takes several, as those of a backlog do
        patch.setattr(transactions, "REQUEST_BYTES_MAX", REQUEST_BYTES_MAX)
        patch.setattr(transactions, "Consumer", lambda config: Reader(broker, config))
        patch.setattr(changelog, "Consumer", lambda config: Reader(broker, config))
        yield patch


def judge_run(simulation: Simulation) -> None:
    """Raise AssertionError for anything lost, doubled, invented or altered."""
    records = simulation.records()
    enriched, rejected = simulation.stored(TOPICS.enriched.name), simulation.stored(TOPICS.rejected.name)
    if not simulation.configs_change:
        hashes = id_hashes(records)
        nothing: list[bytes | None] = [None] * len(records)
        known = Known(VERSIONS[0], {})
        outcome = settle(TOPICS.raw.name, NUMBER, records, read(records), hashes, nothing, known)
        calm = outcome.enriched
        assert [(entry.key, entry.value) for entry in enriched] == calm, "enriched is not that of a calm run"
        letters = [
            (key, value, [*headers, *rejection_headers(letter.rejection, letter.origin)])
            for letter in outcome.rejected
            for key, value, headers in [carry(letter.record.key, letter.record.value, letter.record.headers)]
        ]
        found = [(entry.key, entry.value, list(entry.headers)) for entry in rejected]
        assert found == letters, "rejected is not that of a calm run"
    _judge_places(records, enriched, rejected)
    _judge_changelog(simulation, enriched)


def _judge_places(records: Sequence[RawRecord], enriched: Sequence[Entry], rejected: Sequence[Entry]) -> None:
    """Every raw record is in exactly one place; a duplicate repeats an earlier score of the same content."""
    scores = [orjson.loads(entry.value or b"") for entry in enriched]
    stored = [score["raw_offset"] for score in scores]
    refused = [int(dict(entry.headers)["scoreline.offset"]) for entry in rejected]
    assert stored == sorted(set(stored)), "enriched twice or out of order"
    assert refused == sorted(set(refused)), "rejected twice or out of order"
    assert not set(stored) & set(refused), "both enriched and rejected"
    first = {score["score_id"]: score for score in scores}
    assert len(first) == len(scores), "an id was enriched twice"
    for record in records:
        if record.offset in stored or record.offset in refused:
            continue
        score = first.get((record.key or b"").decode().removeprefix("default/"))
        assert score is not None, f"offset {record.offset} is lost"
        assert score["raw_offset"] < record.offset, f"offset {record.offset} is a duplicate of nothing before it"
        assert record.value != NO_SCORE, f"offset {record.offset} is bad input and was not rejected"
        event = orjson.loads(record.value or b"")
        same = (score["value"], score["config_id"]) == (event["value"], event.get("config_id"))
        assert same, f"offset {record.offset} is no duplicate of offset {score['raw_offset']}"


def _judge_changelog(simulation: Simulation, enriched: Sequence[Entry]) -> None:
    """Whoever restores from the changelog alone knows each stored id by its place."""
    seen: dict[bytes, bytes | None] = {}
    for entry in simulation.stored(TOPICS.changelog.name):
        seen |= unpack(entry.value or b"")
    known = {hashed: first_offset(entry) for hashed, entry in seen.items() if entry is not None}
    stored = {id_hash(entry.key or b""): orjson.loads(entry.value or b"")["raw_offset"] for entry in enriched}
    assert known == stored, "the changelog is not what enriched holds"


def simulate(seed: int, sabotage: Callable[[pytest.MonkeyPatch], None] = lambda _: None) -> World:
    """One life from its seed; `sabotage` breaks the protocol. Raises AssertionError, and what the product raises."""
    return live(Simulation(seed), models, judge_run, sabotage)


def believe_own_offset(patch: pytest.MonkeyPatch) -> None:
    """Broken: what an attempt that never committed has left in the state counts as an earlier occurrence."""
    patch.setattr(batch, "first_offset", lambda seen: first_offset(seen) - 1)


def read_before_fencing(patch: pytest.MonkeyPatch) -> None:
    """Broken: the committed offset is read while the last owner can still commit."""
    fence_and_read = Transactions.open

    def read_and_fence(self: Transactions, closed: Callable[[], bool]) -> int:
        offset = self._committed_offset(float("inf"))
        fence_and_read(self, closed)
        return offset

    patch.setattr(Transactions, "open", read_and_fence)
