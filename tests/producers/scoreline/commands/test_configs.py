"""Score configs: planning changes, and the commands on a real broker."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from scoreline.commands.configs import parse_configs, plan_changes, put_configs, read_configs
from scoreline.configs import ScoreConfig
from scoreline.errors import MalformedRecord, TopicError
from scoreline.events import DataType
from scoreline.settings import Settings
from scoreline.topics import declare_topics
from tests.producers.scoreline.commands.conftest import Command
from tests.support import produce, read_topic


def config(config_id: str = "acc", version: int = 1, **fields: Any) -> ScoreConfig:
    """A numeric config."""
    return ScoreConfig(id=config_id, name="accuracy", data_type=DataType.NUMERIC, version=version, **fields)


@pytest.mark.parametrize(
    ("stored", "wanted", "version", "action"),
    [
        (None, config(), 1, "created"),
        (None, config(version=7), 7, "created"),
        (config(), config(), 1, "unchanged"),
        (config(version=3), config(), 3, "unchanged"),
        (config(version=3), config(max=1.0), 4, "updated"),
        (config(version=3), config(version=3, max=1.0), 4, "updated"),
        (config(version=3), config(version=9, max=1.0), 9, "updated"),
        (config(version=3), config(version=9), 9, "updated"),
    ],
)
def test_version_grows_with_every_change(
    stored: ScoreConfig | None, wanted: ScoreConfig, version: int, action: str
) -> None:
    """By itself where the caller gives none above the stored one; the same again changes nothing."""
    [change] = plan_changes({} if stored is None else {stored.key: stored}, [wanted])
    assert (change.config.version, change.action) == (version, action)
    assert change.config.model_copy(update={"version": 1}) == wanted.model_copy(update={"version": 1})


def test_config_given_twice_is_changed_twice() -> None:
    """In order; the second one is compared with the first."""
    changes = plan_changes({}, [config(), config(max=1.0), config(max=1.0)])
    assert [(change.config.version, change.action) for change in changes] == [
        (1, "created"),
        (2, "updated"),
        (2, "unchanged"),
    ]


_ONE = '{"id": "a", "name": "n", "data_type": "BOOLEAN"}'


@pytest.mark.parametrize(
    ("text", "ids"),
    [(_ONE, ["a"]), (f"[{_ONE}, {_ONE}]", ["a", "a"]), (f"{_ONE}\n\n{_ONE}\n", ["a", "a"]), ("[]", [])],
)
def test_configs_are_read_from_object_array_and_lines(text: str, ids: list[str]) -> None:
    """A config without a project belongs to the one of the settings."""
    configs = parse_configs(text, "team")
    assert [config.id for config in configs] == ids
    assert {config.project for config in configs} <= {"team"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x", "neither JSON nor an object a line"),
        ("\n", "there is no config in it"),
        ("[1]", "config 1: expected a JSON object"),
        (f'[{_ONE}, {{"id": "b", "name": "n", "data_type": "NUMERIC", "min": "0"}}]', r"config 2 \(b\): min:"),
        ('{"id": "a", "id": "b"}', "key 'id' stands twice"),
    ],
)
def test_wrong_config_is_named_with_its_field(text: str, message: str) -> None:
    """Nothing is published then."""
    with pytest.raises(MalformedRecord, match=message):
        parse_configs(text, "team")


def test_put_configs_are_read_back(topics: Settings) -> None:
    """The newest version of each; an unchanged one is not written again."""
    put_configs(topics, [config("a"), config("b")])
    put_configs(topics, [config("a", max=1.0), config("b")])
    assert read_configs(topics) == {
        b"default/a": config("a", version=2, max=1.0),
        b"default/b": config("b"),
    }
    assert len(read_topic(topics, declare_topics(topics).configs.name)) == 3


def test_tombstone_removes_and_broken_record_is_reported(topics: Settings, caplog: pytest.LogCaptureFixture) -> None:
    """Neither stalls the reader."""
    put_configs(topics, [config("a"), config("b")])
    topic = declare_topics(topics).configs.name
    produce(topics, topic, [(b"default/a", None), (b"default/c", b"{"), (b"default/x", None)])
    assert read_configs(topics) == {b"default/b": config("b")}
    assert f"{topic}@3 is no score config" in caplog.text


def test_missing_topic_is_an_error(settings: Settings) -> None:
    """With the command that creates it."""
    with pytest.raises(TopicError, match="create it with: scoreline topics"):
        read_configs(settings)


def test_configs_are_put_and_listed_by_command(run: Command, topics: Settings, tmp_path: Path) -> None:
    """What list prints, put takes back unchanged."""
    file = tmp_path / "configs.json"
    file.write_text(json.dumps([{"id": "acc", "name": "accuracy", "data_type": "NUMERIC", "min": 0, "max": 1}]))
    assert run("configs", "put", file, project="team").stdout == "team/acc  version 1  created\n"
    listed = run("configs", "list", "--json").stdout
    assert run("configs", "put", "-", "--json", stdin=listed.encode()).stdout == (
        '[{"project": "team", "id": "acc", "version": 1, "action": "unchanged"}]\n'
    )
    assert listed.startswith('[{"id": "acc", "project": "team"')
    assert len(read_topic(topics, declare_topics(topics).configs.name)) == 1


def test_file_that_is_not_there_fails(run: Command, tmp_path: Path) -> None:
    """Before Kafka is asked."""
    assert "No such file" in run("configs", "put", tmp_path / "none", status=1).stderr
