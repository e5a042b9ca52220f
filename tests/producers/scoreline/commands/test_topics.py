"""`scoreline topics` on a real broker."""

from __future__ import annotations

import json

from scoreline.access import Component
from scoreline.kafka import require_topics
from scoreline.settings import Settings
from scoreline.topics import declare_topics
from tests.producers.scoreline.commands.conftest import Command


def test_topics_are_created_once(run: Command, settings: Settings) -> None:
    """The first call creates, the second one finds."""
    first, second = json.loads(run("topics", "--json").stdout), run("topics").stdout.splitlines()
    names = [topic.name for topic in declare_topics(settings).all()]
    assert [(topic["name"], topic["created"]) for topic in first] == [(name, True) for name in names]
    assert [line.split() for line in second[1:]] == [
        [topic["name"], str(topic["partitions"]), "exists"] for topic in first
    ]
    require_topics(settings, Component.WORKER)


def test_topic_with_other_partitions_fails(run: Command, topics: Settings) -> None:
    """The message names the setting."""
    done = run("topics", status=1, partitions=topics.partitions + 1)
    assert "SCORELINE_PARTITIONS" in done.stderr
