"""The examples in other languages, on the real broker: our client's partitions, and records that the worker takes."""

from __future__ import annotations

import os
import re
import subprocess
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from confluent_kafka import Message

from scoreline.client import Client
from scoreline.kafka import ensure_topics
from scoreline.reading import Event
from scoreline.settings import Settings
from scoreline.topics import declare_topics
from scoreline.validation import check
from scoreline_local.jars import locked_jars
from tests.contract.murmur2 import partition_of
from tests.deploy.examples import toolchains
from tests.documents import ROOT
from tests.support import environment, read_topic

pytestmark = pytest.mark.timeout(toolchains.BUILD_S_MAX + 120)

LANGUAGES: dict[str, Callable[[], toolchains.Argv]] = {
    "javascript": toolchains.node,
    "go": toolchains.go,
    "java": toolchains.java,
}
IDS = ["größe", "nightly/42/accuracy", "☃", *(f"example-{'x' * (number % 7)}{number}" for number in range(60))]
"""Ids of every length modulo 4, which murmur2 tells apart, in ASCII and beyond."""


def run(command: toolchains.Argv, settings: Settings, *ids: str) -> subprocess.CompletedProcess[str]:
    """Run an example to its end, in a UTF-8 locale as a user's shell has it."""
    return subprocess.run(
        [*command, *ids],
        env=os.environ | environment(settings) | {"LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


@pytest.fixture
def team(settings: Settings) -> Settings:
    """Topics of four partitions, and a project of its own."""
    made = settings.model_copy(update={"project": "team"})
    ensure_topics(made)
    return made


@pytest.mark.parametrize("language", LANGUAGES)
def test_example_sends_what_our_client_would(language: str, team: Settings) -> None:
    """The same keys on the same partitions, and a record that the worker takes as the expected event."""
    done = run(LANGUAGES[language](), team, *IDS)
    assert (done.returncode, done.stdout) == (0, f"{len(IDS)} acknowledged\n"), done.stderr
    theirs = by_key(team)
    assert theirs.keys() == {f"team/{score_id}".encode() for score_id in IDS}
    for score_id in IDS:
        [message] = theirs[f"team/{score_id}".encode()]
        sent = msgspec.to_builtins(event_of(message))
        assert sent.pop("timestamp")
        assert sent == expected(score_id, language)
        assert message.partition() == partition_of(message.key() or b"", team.partitions)
    with Client(team) as client:
        for score_id in IDS:
            client.create_score(name="accuracy", value=0.92, trace_id="t", score_id=score_id)
    for key, messages in by_key(team).items():
        assert len({message.partition() for message in messages}) == 1, key
        assert len(messages) == 2
    assert len({message.partition() for [message, *_] in theirs.values()}) == team.partitions


@pytest.mark.parametrize("language", LANGUAGES)
def test_example_without_ids_sends_three_scores(language: str, settings: Settings) -> None:
    """As its README shows it; the same ids again are the same scores."""
    ensure_topics(settings)
    for _ in range(2):
        done = run(LANGUAGES[language](), settings)
        assert (done.returncode, done.stdout) == (0, "3 acknowledged\n"), done.stderr
    assert [len(messages) for messages in by_key(settings).values()] == [2, 2, 2]


@pytest.mark.parametrize("language", LANGUAGES)
def test_example_fails_where_the_topic_is_missing(language: str, settings: Settings) -> None:
    """It must not be made on the way, and nothing that was not acknowledged may pass for sent."""
    done = run(LANGUAGES[language](), settings, "a")
    assert done.returncode == 1, done.stdout
    assert "acknowledged" not in done.stdout
    assert "not acknowledged" in done.stderr


def test_java_example_names_the_versions_of_the_local_kafka() -> None:
    """What its pom.xml would fetch is what it was tried with."""
    assert toolchains.pinned_jars() <= {(jar.artifact, jar.version) for jar in locked_jars()}
    assert "kafka-clients" in {artifact for artifact, _ in toolchains.pinned_jars()}


def test_examples_name_no_registry() -> None:
    """Where packages come from is the machine's business; the versions and hashes are ours."""
    for path in files():
        assert not re.search(r"https?://|\"resolved\"", path.read_text()), path


def files() -> list[Path]:
    """Every file of the examples that git tracks or would track."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "deploy/examples"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    assert listed
    return [ROOT / name for name in listed]


def by_key(settings: Settings) -> dict[bytes, list[Message]]:
    """The records of the raw topic."""
    found: defaultdict[bytes, list[Message]] = defaultdict(list)
    for message in read_topic(settings, declare_topics(settings).raw.name):
        found[message.key() or b""].append(message)
    return found


def event_of(message: Message) -> Event:
    """The record as the worker's validation reads it; every field but the time is known beforehand."""
    event = check(message.value() or b"", message.key() or b"", message.timestamp()[1])
    assert isinstance(event, Event), event
    return event


def expected(score_id: str, language: str) -> dict[str, Any]:
    """The event that an example sends, in every language the same but for the service; the time is its own."""
    return {
        "score_id": score_id,
        "project": "team",
        "name": "accuracy",
        "value": 0.92,
        "status": "ok",
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
        "source": "EVAL",
        "evaluator": {"name": "judge", "version": "7"},
        "service": f"example-{'node' if language == 'javascript' else language}",
        "schema_version": 1,
    }
