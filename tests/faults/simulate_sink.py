"""The sink under faults: the product's `Lane`, with its buffer, plans, flights, recovery and settling, on models.

Modelled are the log and the group (`model_kafka`, `model_group`) and ClickHouse (`model_clickhouse`). One seed is one
life of one lane's topic: sinks start, are killed, stopped, resumed as zombies and asked to end, at any step; ClickHouse
is killed between its log and its part; some records are refused and end as dead letters, in a transaction that can go
wrong at any step; in the end the sinks are left alone and have to come to rest.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from threading import Event
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from scoreline.errors import ClickHouseUnavailable, ConflictingOwner, RetryableError
from scoreline.settings import Settings
from scoreline_sink import ending, flight, lane, letters, patience, recovery, settle
from scoreline_sink.flight import Flight
from scoreline_sink.lane import Lane
from scoreline_sink.patience import Patience
from scoreline_sink.plan import Sealed, encode
from scoreline_sink.route import Route
from scoreline_sink.rows import score_row
from scoreline_sink.server_errors import RefusedRow
from tests.faults.model_clickhouse import ModelTable, Server
from tests.faults.model_group import Group, Member
from tests.faults.model_kafka import Broker, Entry, Message, Producer, Reader, Transaction
from tests.faults.seeds import live
from tests.faults.world import Clock, Process, World

RAW, TOPIC, REJECTED = "scores.raw", "scores.enriched", "scores.rejected"
GROUP = "sink"
NO_OBJECTS = (None, b"[]", b'{"a":1}{"b":2}')
REFUSED_MAX = 10_000
SETTINGS = Settings(insert_linger_s=0.2)
SINKS_MAX = 3
REST_S = 900.0


class Simulation:
    """One seed."""

    def __init__(self, seed: int) -> None:
        self.world = World(seed)
        random = self.world.random
        self.broker = Broker(self.world, random.choice((0.0, 0.1, 0.3)))
        self.partitions = random.randint(1, 4)
        self.group = Group(self.broker, TOPIC, self.partitions, random.choice((0.2, 6.0)))
        self.group.unrest = random.choice((0.02, 0.1))
        self.server = Server(self.world, random.choice((0.0, 0.1)))
        self.loses_log = random.random() < 0.2
        """Power cuts; then no zombies: one that was stopped before its insert would store a second time."""
        self.bad = random.choice((0.0, 0.05, 0.3))
        """How many records are refused."""
        self.sinks: list[Process] = []
        self._endings: dict[Process, Event] = {}
        self._settings = SETTINGS.model_copy(update={"insert_rows_max": random.choice((2, 5, 20))})
        self._open: list[Transaction] = []
        for _ in range(random.randint(0, 3)):
            self._produce()

    def live(self) -> None:
        """Faults for a while, then peace until all is stored. Raises AssertionError when that never comes."""
        for _ in range(self.world.random.randint(3, 15)):
            until = self.world.steps + self.world.random.randint(0, self.world.random.choice((20, 80, 200)))
            self.world.wait(lambda until=until: self.world.steps >= until, 5.0)
            self._trouble()
        self._make_peace()

    def _trouble(self) -> None:
        random = self.world.random
        if random.random() < 0.5:
            self._produce()
        alive = [process for process in self.sinks if not process.dead]
        if not alive or (len(alive) < SINKS_MAX and random.random() < 0.2):
            self._start()
        elif random.random() < 0.4:
            self._trouble_sink(random.choice(alive))
        if self.server.process.dead:
            self.server.start()
        elif random.random() < 0.3:
            self._trouble_server()

    def _trouble_server(self) -> None:
        self.server.kill()
        if self.loses_log:
            self.server.forget(self.world.random.randint(0, len(self.server.known)))
        if self.world.chance(0.7):
            self.server.start()

    def _trouble_sink(self, process: Process) -> None:
        what = self.world.random.random()
        if process.stopped:
            self.world.resume(process)
        elif what < 0.5:
            self.world.kill(process)
        elif what < 0.8 and not self.loses_log:
            self.world.stop(process)
        else:
            self._endings[process].set()

    def _start(self) -> None:
        process = Process(f"sink {len(self.sinks)}")
        self.sinks.append(process)
        self._endings[process] = Event()
        self.world.spawn(process, lambda: self._work(process))

    def _work(self, process: Process) -> None:
        """What `main` wires, and the end of the process that it makes of an error."""
        route = Route(TOPIC, GROUP, ModelTable(self.server), _to_row, REFUSED_MAX)  # type: ignore[arg-type]
        try:
            Lane(route, self._settings, self._endings[process]).run()
        except ConflictingOwner:
            """The supervisor starts it again."""
        self.world.kill(process)

    def _produce(self) -> None:
        """A transaction of the worker on some partitions: open for now, committed or aborted at a later call."""
        random = self.world.random
        for transaction in self._open:
            self.broker.finish(transaction, "committed" if random.random() < 0.85 else "aborted")
        transaction = Transaction(0, self.world.now)
        self._open = [transaction]
        for _ in range(random.randint(1, 12)):
            partition = random.randrange(self.partitions)
            key = b"%d" % random.getrandbits(64)
            raw = self.broker.append(None, RAW, partition, Entry(key, b"as it was sent", ((key.decode(), key),)))
            value = self._value(partition, raw)
            self.broker.append(transaction, TOPIC, partition, Entry(key, value, transaction=transaction))

    def _value(self, partition: int, raw_offset: int) -> bytes | None:
        random = self.world.random
        is_bad = random.random() < self.bad
        if is_bad and random.random() < 0.3:
            return random.choice(NO_OBJECTS)
        fields = {"raw_partition": partition, "raw_offset": raw_offset}
        fields |= {"timestamp": random.choice(("2026-01", "2026-02", "2026-03"))} | ({"bad": 1} if is_bad else {})
        return orjson.dumps(fields)

    def _make_peace(self) -> None:
        self.broker.faults = self.server.faults = self.group.unrest = 0.0
        self._produce()
        for transaction in self._open:
            self.broker.finish(transaction, "committed")
        if self.server.process.dead:
            self.server.start()
        for process in self.sinks:
            if process.stopped:
                self.world.resume(process)
        end = self.world.now + REST_S
        while not self._at_rest():
            assert self.world.now < end, f"no progress: {self._offsets()}"
            if all(process.dead for process in self.sinks):
                self._start()
            self.world.wait(self._at_rest, 10.0)

    def _at_rest(self) -> bool:
        """Every offset is committed, no plan is open, and no transaction that a killed sink began hides a letter."""
        ends = [(len(self.broker.logs[TOPIC, partition].entries), "") for partition in range(self.partitions)]
        stored = all(at == end or end == (0, "") for at, end in zip(self._offsets(), ends, strict=True))
        return stored and not self.broker.open_transactions()

    def _offsets(self) -> list[tuple[int, str]]:
        return [self.broker.offsets.get((GROUP, TOPIC, partition), (-1, "")) for partition in range(self.partitions)]


def judge_run(simulation: Simulation) -> None:
    """Raise AssertionError unless every committed record is one row, as it was, or one dead letter."""
    expected: dict[tuple[int, int], bytes | None] = {}
    refused: Counter[tuple[str, str, bytes | None, bytes | None]] = Counter()
    for partition in range(simulation.partitions):
        for offset, entry in simulation.broker.logs[TOPIC, partition].committed():
            row = score_row(partition, offset, entry.value)
            if row is None:
                refused[TOPIC, f"{partition} {offset}", entry.key, entry.value] += 1
            elif b'"bad"' in row:
                raw_offset = orjson.loads(row)["raw_offset"]
                refused[RAW, f"{partition} {raw_offset}", entry.key, b"as it was sent"] += 1
            else:
                expected[partition, offset] = row
    stored = simulation.server.rows
    assert not set(expected) - set(stored), f"lost: {sorted(set(expected) - set(stored))}"
    assert not set(stored) - set(expected), f"invented: {sorted(set(stored) - set(expected))}"
    assert len(stored) == len(set(stored)), "stored twice"
    assert simulation.server.bodies == expected
    written = Counter(_written(simulation))
    assert not refused - written, f"no letter: {refused - written}"
    assert not written - refused, f"letters too many: {written - refused}"


def _written(simulation: Simulation) -> Iterator[tuple[str, str, bytes | None, bytes | None]]:
    """Of every visible dead letter: topic and place of its record, key and value."""
    for partition in range(simulation.partitions):
        for _, entry in simulation.broker.logs[REJECTED, partition].committed():
            headers = {name: value.decode() for name, value in entry.headers}
            place = f"{headers['scoreline.partition']} {headers['scoreline.offset']}"
            yield headers["scoreline.topic"], place, entry.key, entry.value


def _to_row(partition: int, offset: int, message: Message) -> bytes | None:
    return score_row(partition, offset, message.value())


@contextmanager
def models(simulation: Simulation) -> Iterator[pytest.MonkeyPatch]:
    """The product's consumers, clock, threads and waits, replaced by those of this simulation."""
    world = simulation.world

    class Thread:
        def __init__(self, target: Callable[[], None], **_options: Any) -> None:
            self._target = target

        def start(self) -> None:
            world.spawn(world.process, self._target)

    def wait_for(futures: Sequence[Future[None]], timeout: float) -> None:
        world.wait(lambda: all(future.done() for future in futures), timeout)

    def wait(self: Patience, error: RetryableError) -> None:
        if world.wait(self._cancelled.is_set, world.random.choice((0.1, 1.0))):
            raise error

    with pytest.MonkeyPatch.context() as patch:
        for module in (lane, letters, recovery, patience):
            patch.setattr(module, "time", Clock(world))
        patch.setattr(lane, "Consumer", lambda config: Member(simulation.group, config))
        for module in (letters, recovery):
            patch.setattr(module, "Consumer", lambda config: Reader(simulation.broker, config))
        patch.setattr(ending, "Producer", lambda config: Producer(simulation.broker, config))
        patch.setattr(flight, "threading", SimpleNamespace(Thread=Thread, Event=threading.Event))
        patch.setattr(flight, "wait_for", wait_for)
        patch.setattr(Patience, "wait", wait)
        yield patch


def simulate(seed: int, sabotage: Callable[[pytest.MonkeyPatch], None] = lambda _: None) -> World:
    """One life from its seed; `sabotage` breaks the protocol. Raises AssertionError, and what the product raises."""
    return live(Simulation(seed), models, judge_run, sabotage)


def insert_before_planning(patch: pytest.MonkeyPatch) -> None:
    """Broken: the rows are inserted first, then their plan is committed.

    The product refuses to go on before rows that it finds in the table; that guard is off here.
    """
    announce = Lane._commit

    def insert_and_announce(self: Lane, landed: Any, planned: Sealed | None) -> None:
        if planned is not None:
            self._store(planned, self._stopped)
        announce(self, landed, planned)

    patch.setattr(Lane, "_commit", insert_and_announce)
    patch.setattr(recovery, "_refuse_unplanned_rows", lambda *_: None)


def believe_every_answer(patch: pytest.MonkeyPatch) -> None:
    """Broken: after a doubt the same insert is sent until it is acknowledged, and the table is not asked."""

    def insert_until_acknowledged(table: Any, sealed: Sealed, token: str, limit: int, patience: Patience) -> Any:
        judge = settle._Judge(table, sealed, TOPIC, limit)
        while True:
            rows = {at: row for at, row in sealed.records() if row is not None and at not in judge.refused}
            try:
                table.insert(list(rows.values()), token)
            except ClickHouseUnavailable as error:
                patience.wait(error)
            except RefusedRow as error:
                judge.refuse(list(rows), error)
            else:
                return judge.refused

    patch.setattr(settle, "_settle", insert_until_acknowledged)


def send_letters_before_the_end(patch: pytest.MonkeyPatch) -> None:
    """Broken: dead letters in a transaction of their own, then the commit that ends the plan."""
    end = lane.end_with_letters

    def send_and_commit(settings: Any, route: Route, consumer: Any, owned: int, offsets: Any, letters: Any) -> None:
        end(settings, route, consumer, owned, {}, letters)
        lane.commit(consumer, route.topic, offsets)

    patch.setattr(lane, "end_with_letters", send_and_commit)


def repeat_what_is_in_doubt(patch: pytest.MonkeyPatch) -> None:
    """Broken: a transaction without an answer is done again, and the committed offsets are not asked."""
    patch.setattr(Lane, "_begin_anew", lambda _: None)


def announce_over_what_is_open(patch: pytest.MonkeyPatch) -> None:
    """Broken: a partition carries the plan announced last, whatever else is open."""
    patch.setattr(lane, "encode_all", lambda plans: encode(plans[-1]))


def end_what_lands_first(patch: pytest.MonkeyPatch) -> None:
    """Broken: a plan ends when its insert has landed, though one before it is still on its way."""
    landed = Lane._landed

    def any_landed(self: Lane, within_s: float) -> list[Flight]:
        self._flights.sort(key=lambda flight: not flight.work.over)
        return landed(self, within_s)

    patch.setattr(Lane, "_landed", any_landed)


def forget_the_generation(patch: pytest.MonkeyPatch) -> None:
    """Broken: the coordinator is not told whose offsets the transaction commits."""
    patch.setattr(Member, "consumer_group_metadata", Reader.consumer_group_metadata)
