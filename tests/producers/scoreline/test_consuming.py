"""Consuming enriched scores from a real broker: typed, filtered, at least once, whatever happens to the consumer."""

from __future__ import annotations

import asyncio
import itertools
import math
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Message, Producer, TopicPartition

import scoreline
from scoreline.errors import ConflictingOwner, MalformedRecord, SettingsError, TopicError
from scoreline.kafka import client_options, ensure_topics
from scoreline.membership import KEEP_ALIVE_S, READ_RECORDS_MAX, REFILL_RECORDS
from scoreline.settings import Settings
from scoreline.topics import declare_topics
from tests.producers.scoreline.commands.records import enriched
from tests.support import DEADLINE_S, environment, eventually, produce

SERVICE = Path(__file__).with_name("consuming_service.py")


@pytest.fixture
def topics(settings: Settings) -> Settings:
    """The test's settings, with its topics created; a silent member is expelled as soon as Kafka allows."""
    ensure_topics(settings)
    return settings.model_copy(update={"session_timeout_s": 6.0})


def put(settings: Settings, ids: list[str], **fields: object) -> None:
    """Enriched scores with these ids."""
    project = str(fields.get("project", "team"))
    records = [(f"{project}/{score_id}".encode(), enriched(score_id, **fields)) for score_id in ids]
    produce(settings, declare_topics(settings).enriched.name, records)


def ids(prefix: str, count: int) -> list[str]:
    return [f"{prefix}-{number}" for number in range(count)]


def committed(settings: Settings, group: str) -> dict[int, int]:
    """Partition → where a new member of the group would go on; negative where it does not know."""
    topic = declare_topics(settings).enriched.name
    consumer = Consumer(client_options(settings, group_id=settings.topic_prefix + group))
    try:
        asked = [TopicPartition(topic, partition) for partition in range(settings.partitions)]
        return {answer.partition: answer.offset for answer in consumer.committed(asked, 10)}
    finally:
        consumer.close()


def known(settings: Settings, group: str) -> int:
    """Records that the group has finished."""
    return sum(max(offset, 0) for offset in committed(settings, group).values())


def take(settings: Settings, count: int, **options: object) -> list[str]:
    """Ids of the next `count` scores, finished and committed."""
    with scoreline.consume(settings=settings, **{"group": "g", "start": "beginning"} | options) as scores:
        found = [score.score_id for score in itertools.islice(scores, count)]
        scores.commit()
        return found


def test_what_was_produced_comes_back_typed(topics: Settings) -> None:
    """Every field of every score, each once, in the order of its partition; then the group knows it."""
    put(topics, ids("s", 300), metadata={"model": "m"}, lookups={"service.team": "search"}, delay_s=1.5)
    with scoreline.consume(group="g", start="beginning", settings=topics) as scores:
        found = list(itertools.islice(scores, 300))
        scores.commit()
        assert known(topics, "g") == 300
    assert Counter(score.score_id for score in found) == Counter(ids("s", 300))
    first = found[0]
    assert isinstance(first, scoreline.EnrichedScore)
    assert (first.value, first.metadata, first.lookups) == (0.5, {"model": "m"}, {"service.team": "search"})
    assert first.received_at - first.timestamp == timedelta(seconds=1)


def test_aborted_records_are_not_seen(topics: Settings) -> None:
    """Committed records only: what a worker took back was never there."""
    producer = Producer(client_options(topics, transactional_id=f"{topics.topic_prefix}test"))
    producer.init_transactions(30)
    topic = declare_topics(topics).enriched.name
    for score_id, end in (("aborted", producer.abort_transaction), ("committed", producer.commit_transaction)):
        producer.begin_transaction()
        producer.produce(topic, enriched(score_id), b"team/same", partition=0)
        producer.flush(30)
        end(30)
    assert take(topics, 1) == ["committed"]


def test_only_what_the_caller_finished_is_committed(topics: Settings) -> None:
    """The score in hand comes again, after a break and after an exception; finished ones do not."""
    put(topics, ["a", "b", "c"], project="one")
    with pytest.raises(ZeroDivisionError):
        _fail_with_the_second(topics)
    assert known(topics, "g") == 1
    with scoreline.consume(group="g", settings=topics) as scores:
        for score in scores:
            in_hand = score.score_id
            break
        assert next(iter(scores)).score_id == in_hand
        scores.commit()
    assert known(topics, "g") == 2
    assert len(take(topics, 1)) == 1
    assert known(topics, "g") == 3


def _fail_with_the_second(settings: Settings) -> None:
    with scoreline.consume(group="g", start="beginning", settings=settings) as scores:
        for number, _ in enumerate(scores):
            assert 1 // (1 - number)


def test_batches_are_bounded_by_number_and_time(topics: Settings) -> None:
    """Full ones while there is enough, then what came within the wait; each committed when the next is asked for."""
    put(topics, ids("s", 25))
    with scoreline.consume(group="g", start="beginning", settings=topics) as scores:
        batches = scores.batches(10, max_wait_s=0.5)
        sizes = [len(next(batches)) for _ in range(3)]
        assert sorted(sizes) == [5, 10, 10]
        eventually(lambda: known(topics, "g") == 20, "two batches committed")
    assert known(topics, "g") == 20


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"name": "accuracy"}, {"a-0", "c-0"}),
        ({"project": "team"}, {"a-0", "b-0"}),
        ({"name": ["accuracy", "toxicity"], "project": ["team", "tea"]}, {"a-0", "b-0"}),
        ({"name": "accuracy", "project": "other"}, {"c-0"}),
    ],
)
def test_filters_choose_and_what_is_passed_over_is_finished(
    topics: Settings, filters: dict[str, object], expected: set[str]
) -> None:
    """A group that wants one score in a thousand does not lag behind for the others."""
    put(topics, ["a-0"], name="accuracy")
    put(topics, ["b-0"], name="toxicity")
    put(topics, ["c-0"], name="accuracy", project="other")
    put(topics, ids("noise", 30), name="noise", project="loud")
    with scoreline.consume(group="g", start="beginning", settings=topics, **filters) as scores:
        found = {score.score_id for score in itertools.islice(scores, len(expected))}
        assert found == expected
        scores.commit()
        waiting = threading.Thread(target=lambda: list(scores))
        waiting.start()
        eventually(lambda: known(topics, "g") == 33, "what nobody wants committed")
        scores.stop()
        waiting.join(DEADLINE_S)
        assert not waiting.is_alive()


def test_new_group_begins_where_asked(topics: Settings) -> None:
    """With the oldest score, with those since a time, or now; and stays with that when it is started again."""
    put(topics, ids("old", 5))
    put_at = datetime.now(UTC) + timedelta(seconds=0.05)
    eventually(lambda: datetime.now(UTC) > put_at, "a later millisecond")
    put(topics, ids("new", 5))
    assert set(take(topics, 10, group="all", start="beginning")) == {*ids("old", 5), *ids("new", 5)}
    assert set(take(topics, 5, group="since", start=put_at)) == set(ids("new", 5))
    with scoreline.consume(group="now", settings=topics) as scores:
        scores._member._commit_at = math.inf  # no other commit comes before
        waiting = threading.Thread(target=lambda: list(scores), daemon=True)
        waiting.start()
        eventually(lambda: known(topics, "now") == 10, "its start committed before it has read anything")
    waiting.join(DEADLINE_S)
    put(topics, ids("later", 5))
    assert set(take(topics, 5, group="now", start="end")) == set(ids("later", 5))


def test_malformed_record_is_named_and_stays_until_the_caller_chooses(topics: Settings) -> None:
    """By default it raises, again at the next try, after all before it; a callback that returns passes over it."""
    topic = declare_topics(topics).enriched.name
    producer = Producer(client_options(topics))
    for value in (enriched("first"), b"{", enriched("last")):
        producer.produce(topic, value, b"team/x", partition=2)
    assert producer.flush(30) == 0
    for _ in range(2):
        with scoreline.consume(group="g", start="beginning", settings=topics) as scores:
            batches = scores.batches(10, max_wait_s=1.0)
            if not known(topics, "g"):
                assert [score.score_id for score in next(batches)] == ["first"]
            with pytest.raises(MalformedRecord, match=rf"{topic}\[2\]@1: .*JSON"):
                next(batches)
            with pytest.raises(MalformedRecord):
                next(iter(scores))
    seen: list[tuple[str, bytes | None]] = []

    def note(error: MalformedRecord, record: Message) -> None:
        seen.append((str(error), record.value()))

    assert take(topics, 1, on_malformed=note) == ["last"]
    assert [value for _, value in seen] == [b"{"]
    assert known(topics, "g") == 3


def test_slow_body_keeps_its_partitions_and_its_memory_small(topics: Settings) -> None:
    """Longer than max.poll.interval.ms: nothing is expelled, nothing comes twice, fetching waits."""
    put(topics, ids("s", 2000))
    options = {"max.poll.interval.ms": "6000", "session.timeout.ms": "6000"}
    hasty = topics.model_copy(update={"kafka_options": options})
    found: list[str] = []
    with scoreline.consume(group="g", start="beginning", settings=hasty) as scores:
        for score in scores:
            found.append(score.score_id)
            if len(found) == 1:
                eventually(lambda: scores._member._paused, "fetching paused")
                waiting = len(scores._member._waiting)
                threading.Event().wait(6 + KEEP_ALIVE_S)
                assert len(scores._member._waiting) == waiting <= READ_RECORDS_MAX + REFILL_RECORDS
            if len(found) == 2000:
                break
    assert Counter(found) == Counter(ids("s", 2000))


class Service:
    """The consuming service as a process, and what it has dealt with."""

    def __init__(self, settings: Settings, file: Path, body_s: float = 0.001) -> None:
        self.file = file
        self.process = subprocess.Popen(
            [sys.executable, SERVICE, "g", file, str(body_s)], env=environment(settings), stderr=subprocess.PIPE
        )

    def done(self) -> list[str]:
        return self.file.read_text().split() if self.file.exists() else []

    def await_done(self, count: int) -> None:
        eventually(lambda: len(set(self.done())) >= count or self.process.poll() is not None, f"{count} scores done")
        assert self.process.poll() is None, self.process.stderr

    def end(self, end: Callable[[], None]) -> int:
        end()
        _, errors = self.process.communicate(timeout=DEADLINE_S)
        assert b"Traceback" not in errors, errors.decode()
        return self.process.returncode


@pytest.fixture
def service(topics: Settings, tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """Start the service; it is killed at the end of the test."""
    started: list[Service] = []

    def start(body_s: float = 0.001) -> Service:
        started.append(Service(topics, tmp_path / "done", body_s))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.end(one.process.kill)


def test_killed_consumer_misses_nothing_and_repeats_only_what_was_uncommitted(
    topics: Settings, service: Callable[..., Service]
) -> None:
    """kill -9 in the middle, twice; what comes again had not been committed when it was killed."""
    put(topics, ids("s", 3000))
    repeated_max = 0
    for stop_at in (400, 1500):
        victim = service()
        victim.await_done(stop_at)
        eventually(lambda floor=stop_at - 400: known(topics, "g") > floor, "something committed")
        victim.end(victim.process.kill)
        repeated_max += len(set(victim.done())) - known(topics, "g")
    last = service()
    last.await_done(3000)
    assert last.end(last.process.terminate) == 0
    assert set(last.done()) == set(ids("s", 3000))
    assert len(last.done()) - 3000 <= repeated_max


def test_sigterm_ends_it_with_everything_finished_committed(topics: Settings, service: Callable[..., Service]) -> None:
    """The score in hand is finished first; the group is left, so that the next member starts at once."""
    put(topics, ids("s", 600))
    first = service(0.005)
    first.await_done(100)
    assert first.end(first.process.terminate) == 0
    assert known(topics, "g") == len(first.done()) < 600
    began = time.monotonic()
    second = service(0)
    second.await_done(600)
    assert time.monotonic() - began < 6 + 5, "waited for the first one's session to expire"
    assert second.end(second.process.terminate) == 0
    assert Counter(second.done()) == Counter(ids("s", 600))


def test_rebalance_in_the_middle_loses_nothing_and_repeats_next_to_nothing(topics: Settings) -> None:
    """A second member comes while the first works, then the first goes: each score is dealt with, few twice."""
    put(topics, ids("s", 3000))
    done: list[tuple[str, str]] = []

    def work(name: str, scores: scoreline.ScoreConsumer) -> None:
        with scores:
            for score in scores:
                threading.Event().wait(0.002)
                done.append((name, score.score_id))

    members = {name: scoreline.consume(group="g", start="beginning", settings=topics) for name in ("first", "second")}
    threads = {name: threading.Thread(target=work, args=(name, member)) for name, member in members.items()}
    threads["first"].start()
    eventually(lambda: len(done) > 300, "the first at work")
    threads["second"].start()
    eventually(lambda: sum(name == "second" for name, _ in done) > 300, "the second at work")
    members["first"].stop()
    threads["first"].join(DEADLINE_S)
    eventually(lambda: {score_id for _, score_id in done} == set(ids("s", 3000)), "all dealt with")
    members["second"].stop()
    threads["second"].join(DEADLINE_S)
    assert known(topics, "g") == 3000
    assert len(done) - 3000 <= topics.partitions


def test_commit_after_a_rebalance_says_what_it_could_not_commit(topics: Settings) -> None:
    """The scores in hand of partitions that went to another member come again there; the caller should know."""
    put(topics, ids("s", 100))
    with scoreline.consume(group="g", start="beginning", settings=topics) as scores:
        in_hand = next(scores.batches(100, max_wait_s=5.0))
        assert len(in_hand) == 100
        with scoreline.consume(group="g", settings=topics) as other:
            again = next(other.batches(100, max_wait_s=1.0))
            with pytest.raises(ConflictingOwner):
                scores.commit()
            other.commit()
        assert 0 < len(again) < 100
        scores.commit()
    assert known(topics, "g") == 100


def test_partitions_that_come_back_to_a_busy_member_are_read_on(topics: Settings) -> None:
    """They were paused when they went to another member, which soon leaves; nothing stays paused for ever."""
    put(topics, ids("s", 3000))
    done: list[str] = []
    busy = threading.Event()

    def work(scores: scoreline.ScoreConsumer) -> None:
        for score in scores:
            done.append(score.score_id)
            busy.wait(DEADLINE_S)

    with scoreline.consume(group="g", start="beginning", settings=topics) as scores:
        thread = threading.Thread(target=work, args=(scores,))
        thread.start()
        eventually(lambda: scores._member._paused, "fetching paused for the busy member")
        done += take(topics, 10)
        busy.set()
        eventually(lambda: set(done) == set(ids("s", 3000)), "all dealt with")
        scores.stop()
        thread.join(DEADLINE_S)


def test_async_form_gives_the_same_and_leaves_the_loop_free(topics: Settings) -> None:
    """One by one and in batches; a wait that is cancelled has lost nothing; the loop ticks meanwhile."""
    put(topics, ids("s", 40))

    async def run() -> list[str]:
        found: list[str] = []
        async with scoreline.consume_async(group="g", start="beginning", settings=topics) as scores:
            async for score in scores:
                found.append(score.score_id)
                if len(found) == 10:
                    break
            await scores.commit()
            assert known(topics, "g") == 10
            async for batch in scores.batches(15, max_wait_s=0.2):
                found += [score.score_id for score in batch]
                if len(found) == 40:
                    break
            await scores.commit()
            waiting = asyncio.ensure_future(anext(aiter(scores)))
            ticks = 0
            while ticks < 20:
                await asyncio.sleep(0.01)
                ticks += 1
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            await asyncio.to_thread(put, topics, ["after"])
            found.append((await anext(aiter(scores))).score_id)
        return found

    assert Counter(asyncio.run(run())) == Counter([*ids("s", 40), "after"])
    assert known(topics, "g") == 40


def test_async_stop_ends_the_iteration(topics: Settings) -> None:
    """As a signal handler of the loop would ask for it."""

    async def run() -> int:
        async with scoreline.consume_async(group="g", settings=topics) as scores:
            asyncio.get_running_loop().call_later(0.3, scores.stop)
            return len([score async for score in scores])

    assert asyncio.run(run()) == 0


def test_broker_that_is_away_is_waited_for() -> None:
    """No error while iterating; what was never a member leaves at once."""
    away = Settings(kafka="127.0.0.1:1")
    with scoreline.consume(group="g", settings=away) as scores:
        waiting = threading.Thread(target=lambda: list(scores))
        waiting.start()
        waiting.join(1.0)
        assert waiting.is_alive()
        began = time.monotonic()
    waiting.join(DEADLINE_S)
    assert not waiting.is_alive()
    assert time.monotonic() - began < 5


def test_missing_topic_is_an_error_with_the_remedy(settings: Settings) -> None:
    """It is not waited for: a wrong prefix would never come."""
    with (
        scoreline.consume(group="g", settings=settings) as scores,
        pytest.raises(TopicError, match="create it with: scoreline topics"),
    ):
        next(iter(scores))


@pytest.mark.parametrize("group", ["", "scoreline.worker", "a b", "g" * 201])
def test_group_that_is_none_or_the_pipelines_own_is_refused(group: str) -> None:
    """Joining the worker's group would take partitions from it."""
    with pytest.raises(SettingsError, match="group"):
        scoreline.consume(group=group)


def test_start_without_zone_is_refused() -> None:
    """Whose nine o'clock?"""
    with pytest.raises(SettingsError, match="zone"):
        scoreline.consume(group="g", start=datetime(2026, 1, 1))  # noqa: DTZ001
