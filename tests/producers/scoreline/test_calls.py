"""Every way to say a score, on a real broker: spans, traces, text values, batches, async, handles."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

import scoreline
from scoreline.client import Client
from scoreline.delivery import Acknowledgement
from scoreline.emitter import Emitter
from scoreline.errors import InvalidScore, KafkaUnavailable, PermanentError, QueueFull
from scoreline.fields import Score
from scoreline.kafka import ensure_topics
from scoreline.rejections import Reason
from scoreline.settings import Settings
from scoreline.topics import declare_topics
from tests.conftest import Stack
from tests.producers.scoreline.emitting import broker_pid, frozen
from tests.support import eventually, read_topic

NOWHERE = Settings(kafka="127.0.0.1:1", flush_s=0.1, queue_wait_s=0.0)
"""No broker: for what is decided before one is asked."""


@pytest.fixture
def topics(settings: Settings) -> Settings:
    ensure_topics(settings)
    return settings


@pytest.fixture
def nowhere() -> Iterator[Client]:
    client = Client(NOWHERE)
    yield client
    if client.delivery.sent > client.delivery.failed:
        with pytest.raises(KafkaUnavailable):
            client.close()
    client.close()


def sent(settings: Settings) -> list[dict[str, Any]]:
    """Fields of the records on the raw topic, by id."""
    messages = read_topic(settings, declare_topics(settings).raw.name)
    return sorted((json.loads(message.value() or b"") for message in messages), key=lambda fields: fields["score_id"])


def test_text_value_is_a_number_and_its_reason_a_comment(topics: Settings) -> None:
    """As its SDK: everything positional if one likes, NUMERIC by default, a UUID with dashes, a str as it is."""
    trace = uuid.uuid4()
    with Client(topics) as client:
        ids = [
            client.score(trace, "quality", "0.9", reason="clear", metadata={"k": 1}),
            client.score("t", "ok", "true", "BOOLEAN"),
        ]
    first, second = sent(topics)
    assert ids == [first["score_id"], second["score_id"]]
    assert (first["trace_id"], first["value"], first["data_type"]) == (str(trace), "0.9", "NUMERIC")
    assert (first["comment"], first["metadata"]) == ("clear", {"k": 1})
    assert (second["trace_id"], second["data_type"], "comment" in second) == ("t", "BOOLEAN", False)


def test_batch_is_sent_in_order_and_its_ids_come_back(topics: Settings) -> None:
    """Ids that were given and ids that were made."""
    with Client(topics) as client:
        ids = client.score_many(
            Score(name="n", value=number, trace_id="t", score_id=f"s-{number}" if number % 2 else None)
            for number in range(10)
        )
    assert {fields["score_id"]: fields["value"] for fields in sent(topics)} == dict(zip(ids, range(10), strict=True))
    assert ids[1::2] == ["s-1", "s-3", "s-5", "s-7", "s-9"]


@pytest.mark.parametrize(
    ("bad", "detail"),
    [
        ({"name": "n", "value": 1}, r"no_target: scores\[2\]: one of trace_id"),
        ({"name": "n", "value": float("nan"), "trace_id": "t"}, r"invalid_value: scores\[2\]: "),
        ({"nme": "n", "value": 1, "trace_id": "t"}, r"scores\[2\]: "),
        ({"name": "n", "value": 1, "trace_id": "t", "project": "x"}, r"unknown_field: scores\[2\]: project"),
        ("not a score", r"scores\[2\]: expected a mapping"),
    ],
)
def test_one_invalid_score_keeps_its_whole_batch_back(nowhere: Client, bad: Any, detail: str) -> None:
    """It is named by its place; nothing was sent, so that it can be mended and given again."""
    good = Score(name="n", value=1, trace_id="t")
    with pytest.raises(InvalidScore, match=detail):
        nowhere.score_many([good, good, bad, good])
    assert (nowhere.delivery.sent, nowhere.delivery.refused) == (0, 1)


def test_batch_that_finds_no_room_says_how_much_was_taken(topics: Settings, stack: Stack) -> None:
    """With ids of one's own the whole batch can be given again."""
    small = topics.model_copy(update={"queue_events_max": 10, "queue_wait_s": 0.1})
    with Client(small) as client, frozen(broker_pid(stack.data_dir)):
        for number in range(4):
            client.create_score(name="n", value=number, trace_id="t")
        with pytest.raises(QueueFull) as raised:
            client.score_many([Score(name="n", value=1, trace_id="t")] * 10)
        assert raised.value.__notes__ == ["6 of 10 scores were taken"]


def test_batch_without_end_is_refused(nowhere: Client) -> None:
    """A batch is held until all of it is checked, so its size has a bound."""
    small = Client(NOWHERE.model_copy(update={"queue_events_max": 10}))
    endless = iter(lambda: Score(name="n", value=1, trace_id="t"), None)
    with pytest.raises(PermanentError, match="more than 10 scores at once"):
        small.score_many(endless)  # pyright: ignore[reportArgumentType]
    assert small.delivery.sent == 0
    small.close()


def test_handle_tells_where_the_broker_put_a_score(topics: Settings) -> None:
    """By waiting and by asking."""
    with Client(topics) as client:
        handle = client.submit(name="n", value=1, trace_id="t", score_id="s")
        acknowledgement = handle.wait(10)
        assert handle.acknowledged
    [message] = read_topic(topics, declare_topics(topics).raw.name)
    assert acknowledgement == Acknowledgement(str(message.topic()), message.partition() or 0, message.offset())
    assert handle.score_id == "s"


def test_handle_of_an_unsent_score_is_late_and_then_lost(nowhere: Client) -> None:
    """Waiting has an end; when the client is closed the handle says that the score was left."""
    handle = nowhere.submit(name="n", value=1, trace_id="t")
    with pytest.raises(KafkaUnavailable, match=r"not acknowledged within 0.05 s"):
        handle.wait(0.05)
    assert not handle.acknowledged
    with pytest.raises(KafkaUnavailable):
        nowhere.close()
    with pytest.raises(KafkaUnavailable, match="is Kafka at"):
        handle.wait(0)
    assert not handle.acknowledged


def test_async_calls_are_acknowledged_while_other_tasks_run(topics: Settings) -> None:
    """Handles are awaited side by side; the client is closed by `async with`."""

    async def emit() -> list[str]:
        async with Client(topics) as client:
            handles = [await client.submit_async(name="n", value=n, trace_id="t", score_id=f"a-{n}") for n in range(5)]
            for acknowledgement in await asyncio.gather(*handles):
                assert isinstance(acknowledgement, Acknowledgement)
            ids = [await client.create_score_async(name="n", value=1, session_id="s")]
            ids += await client.score_many_async(Score(name="n", value=n, trace_id="t") for n in range(250))
            assert await client.flush_async(10) == 0
            assert client.delivery.acknowledged == 256
            return ids + [handle.score_id for handle in handles]

    assert sorted(asyncio.run(emit())) == [fields["score_id"] for fields in sent(topics)]


def test_full_queue_does_not_hold_the_event_loop_up(topics: Settings, stack: Stack) -> None:
    """The task that emits waits for room; another goes on meanwhile, and ends the wait."""
    broker = broker_pid(stack.data_dir)
    small = topics.model_copy(update={"queue_events_max": 10})

    async def emit() -> None:
        async with Client(small) as client:
            with frozen(broker):
                emitting = asyncio.create_task(
                    client.score_many_async([Score(name="n", value=n, trace_id="t") for n in range(10)])
                )
                await emitting
                waiting = asyncio.create_task(client.create_score_async(name="n", value=11, trace_id="t"))
                ticks = 0
                until = time.monotonic() + 0.5
                while time.monotonic() < until:
                    await asyncio.sleep(0.01)
                    ticks += 1
                assert ticks > 10
                assert not waiting.done()
            await waiting

    asyncio.run(emit())
    assert len(sent(topics)) == 11


def test_task_that_is_cancelled_while_it_awaits_a_handle_costs_nothing(topics: Settings, stack: Stack) -> None:
    """The score arrives, and the handle still learns of it."""

    async def emit(client: Client) -> scoreline.Handle:
        handle = await client.submit_async(name="n", value=1, trace_id="t")
        with pytest.raises(KafkaUnavailable):
            await handle.wait_async(0.05)
        return handle

    with Client(topics) as client:
        with frozen(broker_pid(stack.data_dir)):
            handle = asyncio.run(emit(client))
        assert handle.wait(20).topic == declare_topics(topics).raw.name


def test_lenient_client_counts_tells_and_warns_once(caplog: pytest.LogCaptureFixture) -> None:
    """Invalid scores, a full queue, a closed client: no call raises, and each refusal is told with its score."""
    told: list[tuple[type, Any]] = []
    settings = NOWHERE.model_copy(update={"queue_events_max": 2, "strict": False})
    client = Client(settings, on_error=lambda error, score: told.append((type(error), score.get("name"))))
    with caplog.at_level(logging.WARNING, "scoreline"):
        for _ in range(3):
            assert client.create_score(name="no target", value=1, score_id="s") == "s"
        client.score_many([Score(name="taken", value=n, trace_id="t") for n in range(2)])
        client.create_score(name="full", value=1, trace_id="t")
        assert len(client.score_many([Score(name="bad", value=1), Score(name="full too", value=1, trace_id="t")])) == 2
        asyncio.run(client.create_score_async(name="bad async", value=1))
        handle = client.submit(name="bad handle", value=1)
        client.close()
        client.create_score(name="closed", value=1, trace_id="t")
    names = [name for _, name in told]
    assert names == [*["no target"] * 3, "full", "bad", "full too", "bad async", "bad handle", None, "closed"]
    assert [kind for kind, _ in told if kind is not InvalidScore] == [
        QueueFull,
        QueueFull,
        KafkaUnavailable,
        PermanentError,
    ]
    assert (client.delivery.refused, client.delivery.sent, client.delivery.failed) == (9, 2, 2)
    with pytest.raises(InvalidScore):
        handle.wait(0)
    warnings = [record.getMessage() for record in caplog.records if record.name == "scoreline.refusals"]
    assert [text.split()[2] for text in warnings] == ["no_target:", "no", "2", "this"]


def test_callback_that_fails_never_raises_in_a_lenient_client(caplog: pytest.LogCaptureFixture) -> None:
    """The log has it."""

    def fail(error: Exception, score: Any) -> None:
        raise RuntimeError("the callback's own")

    with Client(NOWHERE, strict=False, on_error=fail) as client:
        client.create_score(name="n", value=1)
    assert "RuntimeError: the callback's own" in caplog.text


def test_strict_client_tells_and_raises() -> None:
    """The callback is for metrics; the error is for the caller, also when the callback fails."""

    def fail(error: Exception, score: Any) -> None:
        raise RuntimeError("the callback's own")

    with Client(NOWHERE, on_error=fail) as client, pytest.raises(InvalidScore):
        client.create_score(name="n", value=1)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("value", Decimal("0.5")),
        ("value", b"0.5"),
        ("timestamp", "2026-11-23"),
        ("timestamp", 5),
        ("timestamp", datetime(2026, 11, 23)),  # noqa: DTZ001
        ("metadata", "text"),
        ("evaluator", "judge"),
        ("name", None),
    ],
)
def test_argument_of_another_type_is_an_invalid_score(nowhere: Client, field: str, value: Any) -> None:
    """Not a TypeError from somewhere inside, which a lenient client would let through."""
    score: dict[str, Any] = {"name": "n", "value": 1, "trace_id": "t"} | {field: value}
    with pytest.raises(InvalidScore) as raised:
        nowhere.create_score(**score)
    assert raised.value.rejection.reason in (Reason.INVALID_VALUE, Reason.MISSING_FIELD)


def test_metadata_may_hold_what_python_writes_as_text(topics: Settings) -> None:
    """Ids and moments need no conversion by hand."""
    run, at = uuid.uuid4(), datetime(2026, 11, 23, 12, tzinfo=UTC)
    with Client(topics) as client:
        client.create_score(name="n", value=1, trace_id="t", metadata={"run": run, "at": at}, timestamp=at)
    [fields] = sent(topics)
    assert fields["metadata"] == {"run": str(run), "at": "2026-11-23T12:00:00Z"}
    assert fields["timestamp"] == "2026-11-23T12:00:00Z"


def test_every_call_of_a_client_is_a_function_of_the_module() -> None:
    """With the signature of the method, so that nothing is lost on the way from one to the other."""
    calls = [name for name in vars(Emitter) if not name.startswith("_") and name not in ("send", "send_async")]
    assert len(calls) == 11
    for name in calls:
        of_client = dict(inspect.signature(getattr(Client, name)).parameters)
        del of_client["self"]
        assert dict(inspect.signature(getattr(scoreline, name)).parameters) == of_client, name
        assert name in scoreline.__all__


def test_debug_mode_says_on_stderr_what_was_put_where(topics: Settings, capfd: pytest.CaptureFixture[str]) -> None:
    """Id, topic, partition, offset."""
    from scoreline.delivery import debug_log

    debug_log.cache_clear()
    with Client(topics.model_copy(update={"debug": True})) as client:
        client.create_score(name="n", value=1, trace_id="t", score_id="s")
        assert client.flush(10) == 0
    [message] = read_topic(topics, declare_topics(topics).raw.name)
    raw = declare_topics(topics).raw.name
    assert f"scoreline: default/s is at {raw}, partition {message.partition()}, offset 0\n" in capfd.readouterr().err


def test_delivery_counts_bytes(topics: Settings) -> None:
    """Of the records, as they were sent."""
    with Client(topics) as client:
        client.score_many([Score(name="n", value=n, trace_id="t") for n in range(3)])
        eventually(lambda: client.flush(1) == 0, "they are acknowledged")
        counted = client.delivery.sent_bytes
    messages = read_topic(topics, declare_topics(topics).raw.name)
    assert counted == sum(len(message.value() or b"") for message in messages)
