"""`scoreline tail` on a real broker."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from scoreline.kafka import client_options
from scoreline.settings import Settings
from scoreline.topics import declare_topics
from tests.producers.scoreline.commands.conftest import Command, Start
from tests.producers.scoreline.commands.records import enriched
from tests.support import eventually, produce, read_topic


@pytest.fixture
def scores(topics: Settings) -> Settings:
    """Three enriched scores."""
    records = [("s-1", "accuracy", "team"), ("s-2", "toxicity", "team"), ("s-3", "accuracy", "other")]
    produce(
        topics,
        declare_topics(topics).enriched.name,
        [
            (f"{project}/{score_id}".encode(), enriched(score_id, name=name, project=project))
            for score_id, name, project in records
        ],
    )
    return topics


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ([], {"s-1", "s-2", "s-3"}),
        (["--name", "accuracy"], {"s-1", "s-3"}),
        (["--name", "accuracy", "toxicity", "--project", "team"], {"s-1", "s-2"}),
        (["--project", "other"], {"s-3"}),
        (["--where", "target=trace", "--where", "project=team"], {"s-1", "s-2"}),
        (["--where", "value<0.6", "--where", "metadata.model=null", "--name", "toxicity"], {"s-2"}),
    ],
)
def test_wanted_scores_are_shown_from_the_beginning(
    run: Command, scores: Settings, filters: list[str], expected: set[str]
) -> None:
    """As the JSON records that they are; --max ends it."""
    done = run("tail", "--from-beginning", "--json", "--max", len(expected), *filters)
    assert {json.loads(line)["score_id"] for line in done.stdout.splitlines()} == expected


def test_since_begins_with_what_came_since(run: Command, scores: Settings) -> None:
    """By the time of enrichment; what is older is not shown."""
    written = [record.timestamp()[1] for record in read_topic(scores, declare_topics(scores).enriched.name)]
    later = datetime.fromtimestamp((max(written) + 1) / 1000, UTC)
    eventually(lambda: datetime.now(UTC) > later + timedelta(milliseconds=10), "a later millisecond")
    produce(scores, declare_topics(scores).enriched.name, [(b"team/s-4", enriched("s-4"))])
    shown = run("tail", "--json", "--max", "1", "--since", later.isoformat()).stdout
    assert json.loads(shown)["score_id"] == "s-4"
    assert len(run("tail", "--json", "--max", "4", "--since", "1h").stdout.splitlines()) == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--where", "vlaue=1"], "'vlaue' is no field; there are author, "),
        (["--rejected", "--where", "value<1", "--where", "lookups.x=1"], "there are detail, key, "),
        (["--since", "yesterday"], "no point in time"),
        (["--since", "1h", "--from-beginning"], "one of them"),
    ],
)
def test_what_cannot_be_asked_is_wrong_usage(run: Command, arguments: list[str], message: str) -> None:
    """Said before a broker is looked for."""
    assert message in run("tail", *arguments, status=2, kafka="127.0.0.1:1").stderr


def test_lines_are_for_people(run: Command, scores: Settings) -> None:
    """Whole where no terminal cuts them."""
    done = run("tail", "--from-beginning", "--max", "1", "--name", "toxicity")
    assert done.stdout == "2026-02-11 15:13:17  toxicity  0.5  trace=t-1  team/s-2\n"


def test_new_scores_are_shown_until_interrupted(start: Start, scores: Settings) -> None:
    """Only what comes after it said that it waits, only committed records, without a consumer group; then status 0."""
    tail = start("tail", "--json")
    assert b"Ctrl-C ends" in next(_lines(tail.stderr))
    topic = declare_topics(scores).enriched.name
    producer = Producer(client_options(scores, transactional_id=f"{scores.topic_prefix}test"))
    producer.init_transactions(30)
    for score_id, end in (("aborted", producer.abort_transaction), ("committed", producer.commit_transaction)):
        producer.begin_transaction()
        producer.produce(topic, enriched(score_id), f"team/{score_id}".encode())
        producer.flush(30)
        end(30)
    assert json.loads(next(_lines(tail.stdout)))["score_id"] == "committed"
    admin = AdminClient(client_options(scores))
    groups = admin.list_consumer_groups().result(30).valid
    assert not [group.group_id for group in groups if group.group_id.startswith(scores.topic_prefix)]
    tail.send_signal(signal.SIGINT)
    assert tail.communicate(timeout=60)[0] == b""
    assert tail.returncode == 0


def test_reader_that_goes_away_ends_it(start: Start, scores: Settings) -> None:
    """`scoreline tail | head -1` is no failure."""
    tail = start("tail", "--from-beginning", "--json")
    assert tail.stdout is not None
    assert tail.stdout.readline()
    tail.stdout.close()
    topic = declare_topics(scores).enriched.name
    produce(scores, topic, [(b"team/s-9", enriched("s-9"))] * 50)
    assert tail.wait(60) == 0
    assert tail.stderr is not None
    assert b"Error" not in tail.stderr.read()


def test_rejected_scores_are_shown_with_their_reason(run: Command, topics: Settings) -> None:
    """A record that is no enriched score is reported and passed over."""
    name = declare_topics(topics).rejected.name
    producer = Producer(client_options(topics))
    headers = [("scoreline.reason", b"no_target"), ("scoreline.detail", b"one is required")]
    producer.produce(name, b'{"name":"x"}', b"team/s-1", headers=headers)
    assert producer.flush(30) == 0
    asked = ["--name", "x", "--where", "reason=no_target"]
    shown = json.loads(run("tail", "--rejected", "--from-beginning", "--max", "1", "--json", *asked).stdout)
    assert shown == {"reason": "no_target", "detail": "one is required", "key": "team/s-1", "value": '{"name":"x"}'}


def test_record_that_is_no_score_is_reported_and_passed_over(run: Command, scores: Settings) -> None:
    """Somebody else wrote into the topic."""
    produce(scores, declare_topics(scores).enriched.name, [(b"team/s-1", b"{"), (b"team/s-1", enriched("last"))])
    done = run("tail", "--from-beginning", "--json", "--max", "4")
    assert any('"last"' in line for line in done.stdout.splitlines())
    assert "JSON" in done.stderr


def test_missing_topic_fails_with_the_remedy(run: Command) -> None:
    """It is not created on the way."""
    assert "create it with: scoreline topics" in run("tail", status=1).stderr


def _lines(stream: object) -> Iterator[bytes]:
    """Lines of a process, each awaited for 30 s at most."""
    while True:
        found: list[bytes] = []
        reader = threading.Thread(target=lambda: found.append(stream.readline()), daemon=True)  # noqa: B023
        reader.start()
        reader.join(30)
        assert found, "no line within 30 s"
        yield found[0]
