"""`scoreline configs` and `ConfigStore` on a real broker."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from scoreline.configs import ScoreConfig
from scoreline.errors import ConflictingChange, QueryError, TopicError
from scoreline.events import DataType
from scoreline.kafka import client_options
from scoreline.settings import Settings
from scoreline.stores import ConfigStore
from scoreline.topics import declare_topics
from tests.producers.scoreline.commands.conftest import Command
from tests.support import produce, read_topic


def config(config_id: str = "acc", **fields: Any) -> ScoreConfig:
    """A numeric config."""
    return ScoreConfig(id=config_id, name="accuracy", data_type=DataType.NUMERIC, **fields)


def test_put_configs_are_read_back_with_their_versions(topics: Settings) -> None:
    """The newest version of each; an unchanged one is not written again."""
    store = ConfigStore(topics)
    store.put([config("a"), config("b")])
    before = store.get("a")
    assert before is not None
    store.put([before.model_copy(update={"max": 1.0, "unit": "share"}), config("b")])
    assert store.all() == [config("a", version=2, max=1.0, unit="share"), config("b")]
    assert [version.config for version in store.history("a")] == [
        config("a"),
        config("a", version=2, max=1.0, unit="share"),
    ]
    assert len(read_topic(topics, declare_topics(topics).configs.name)) == 6
    with pytest.raises(ConflictingChange, match="based on version 1, but version 2 is stored"):
        store.put([before.model_copy(update={"max": 9.0})])


def test_archived_config_comes_back_and_deleted_one_keeps_its_versions(topics: Settings) -> None:
    """Each is a change like any other; what is not there is an error that lists what is."""
    store = ConfigStore(topics)
    store.put([config()])
    assert store.archive("acc").entry == config(version=2, archived=True)
    assert store.archive("acc").action == "unchanged"
    assert store.unarchive("acc").entry == config(version=3)
    assert store.delete("acc").action == "deleted"
    assert store.get("acc") is None
    assert [version.config.version for version in store.history("acc")] == [1, 2, 3]
    assert store.put([config()])[0].entry.version == 4
    with pytest.raises(QueryError, match="no config default/nope; there are default/acc"):
        store.archive("nope")


def test_writers_at_the_same_time_lose_no_update(topics: Settings) -> None:
    """Of the same config: one wins and the other is told, or they follow each other. Of others: all are stored."""
    store = ConfigStore(topics)
    store.put([config()])

    def change(number: int) -> str:
        try:
            [shared, own] = ConfigStore(topics).put([config(max=float(number)), config(f"own-{number}")])
        except ConflictingChange:
            return ""
        assert own.action == "created"
        return f"{shared.entry.version} {shared.entry.max:g}"

    with ThreadPoolExecutor(4) as pool:
        done = [outcome for outcome in pool.map(change, range(1, 5)) if outcome]
    assert done
    kept = [f"{version.config.version} {version.config.max:g}" for version in store.history("acc")[1:]]
    assert sorted(done) == kept
    assert len(store.all()) == 1 + len(done)


def test_writer_that_died_in_its_transaction_is_fenced(topics: Settings) -> None:
    """What it wrote never counts, and the next one need not wait for its timeout."""
    topic = declare_topics(topics).configs.name
    dead = Producer(client_options(topics, transactional_id=f"{topic}.writer"))
    dead.init_transactions(30)
    dead.begin_transaction()
    dead.produce(topic, b"{}", b"default/acc")
    assert dead.flush(30) == 0
    assert ConfigStore(topics).put([config()])[0].action == "created"
    assert ConfigStore(topics).all() == [config()]


def test_tombstone_removes_and_broken_record_is_reported(topics: Settings, caplog: pytest.LogCaptureFixture) -> None:
    """Neither stalls the reader, and a broken one is put anew like one that is not there."""
    store, topic = ConfigStore(topics), declare_topics(topics).configs.name
    store.put([config("a"), config("b")])
    produce(topics, topic, [(b"default/a", None), (b"default/c", b"{"), (b"default/x", None)])
    assert store.all() == [config("b")]
    assert "key b'default/c'" in caplog.text
    assert store.put([config("c")])[0].action == "created"


def test_missing_topic_is_an_error(settings: Settings) -> None:
    """With the command that creates it."""
    for call in (ConfigStore(settings).all, lambda: ConfigStore(settings).put([config()])):
        with pytest.raises(TopicError, match="create it with: scoreline topics"):
            call()


def test_configs_are_put_changed_and_explained_by_command(run: Command, topics: Settings, tmp_path: Path) -> None:
    """The life of a config, as an operator sees it."""
    file = tmp_path / "configs.yaml"
    file.write_text("id: acc\nname: accuracy\ndata_type: NUMERIC\nmin: 0\nmax: 1\nowner: team-eval\n")
    assert run("configs", "put", file, "--dry-run", project="team").stdout.endswith("(dry run: nothing was stored)\n")
    assert run("configs", "put", file, project="team").stdout == "team/acc  version 1  created\n1 created\n"
    assert run("configs", "put", file, project="team").stdout == "1 unchanged\n"
    file.write_text(file.read_text().replace("max: 1", "max: 5"))
    assert run("configs", "import", file, project="team").stdout == (
        "team/acc  version 2  updated  max: 1 → 5\n1 updated\n"
    )
    [shown] = json.loads(run("configs", "list", "--json").stdout)
    assert (shown["project"], shown["max"], shown["owner"], shown["version"]) == ("team", 5.0, "team-eval", 2)
    assert (
        json.loads(run("configs", "show", "acc", "--config-version", "1", "--json", project="team").stdout)["max"] == 1
    )
    newest, first = json.loads(run("configs", "history", "acc", "--json", "--project", "team").stdout)
    assert (newest["version"], newest["changed"]) == (2, {"max": {"before": 1.0, "after": 5.0}})
    assert (first["version"], first["changed"], first["config"]["max"]) == (1, {}, 1.0)
    assert "archived: no → yes" in run("configs", "archive", "acc", project="team").stdout
    assert "archived" in run("configs", "list").stdout
    assert json.loads(run("configs", "unarchive", "acc", "--json", project="team").stdout)[0]["version"] == 4
    assert run("configs", "delete", "acc", project="team").stdout.startswith("team/acc  version 4  deleted")
    assert "is deleted" in run("configs", "history", "acc", project="team").stderr
    assert run("configs", "list", "--json").stdout == "[]\n"


def test_export_is_imported_unchanged(run: Command, topics: Settings, tmp_path: Path) -> None:
    """The file is the truth: what it lacks is archived with --prune, and the same configs give the same text."""
    labels = {"yes": 1.0, "1": 0.5, "kind of": None}
    tone = ScoreConfig(id="tone", name="tone", data_type=DataType.CATEGORICAL, categories=labels, description="a\nb\n")
    ConfigStore(topics).put([tone, config("acc", min=0.0, max=0.5), config("old"), config("theirs", project="other")])
    file = tmp_path / "configs.yaml"
    file.write_text(run("configs", "export", "--project", "default").stdout)
    assert run("configs", "import", file).stdout == "3 unchanged\n"
    assert run("configs", "export", "--project", "default").stdout == file.read_text()
    assert "version" not in file.read_text()
    first, old, tone_text = file.read_text().split("---\n")[1:]
    file.write_text("---\n".join(("", first, tone_text)))
    plan = json.loads(run("configs", "import", file, "--prune", "--dry-run", "--json").stdout)
    assert [(change["id"], change["action"]) for change in plan] == [
        ("acc", "unchanged"),
        ("tone", "unchanged"),
        ("old", "archived"),
    ]
    run("configs", "import", file, "--prune")
    assert [c.id for c in ConfigStore(topics).all() if c.archived] == ["old"]
    assert "id: old" in old


def test_file_with_versions_refuses_to_replace_newer_ones(run: Command, topics: Settings, tmp_path: Path) -> None:
    """Exported before somebody else changed it: nothing is stored, and the message says what to do."""
    store, file = ConfigStore(topics), tmp_path / "configs.yaml"
    store.put([config(), config("b")])
    file.write_text(run("configs", "export", "--versions").stdout.replace("id: b\n", "id: b\nmin: 1\n") + "max: 3\n")
    store.put([config("b", max=2.0)])
    ended = run("configs", "import", file, status=1)
    assert "default/b is based on version 1, but version 2 is stored" in ended.stderr
    assert store.get("b") == config("b", max=2.0, version=2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "id: a\nname: n\ndata_type: BOOLEAN\n---\nid: b\nname: n\ndata_type: NUMERIC\nmin: '0'\n",
            "stdin, document 2 (line 5): min: ",
        ),
        ("id: a\nname: n\ndata_type: CATEGORICAL\ncategories: {yes: 1}\n", "stdin, document 1, line 4: yes is bool"),
        ("id: a\nname: n\ndata_type: BOOLEAN\n---\nid: a\nname: n\ndata_type: BOOLEAN\n", "default/a is given 2 times"),
        ("id: a\nname: n\ndata_type: BOOLEAN\nlabels: 1\n", "labels: not a field of a config"),
    ],
)
def test_wrong_file_is_refused_as_a_whole(run: Command, topics: Settings, text: str, message: str) -> None:
    """The message names file, document and field; nothing is stored."""
    assert message in run("configs", "put", "-", stdin=text.encode(), status=1).stderr
    assert ConfigStore(topics).all() == []


def test_wrong_calls_fail_with_their_status(run: Command, topics: Settings, tmp_path: Path) -> None:
    """1 for what is not there, 2 for what cannot be understood."""
    assert "No such file" in run("configs", "put", tmp_path / "none", status=1).stderr
    assert "is not UTF-8" in run("configs", "put", "-", stdin=b"id: \xff\n", status=1).stderr
    assert "there never was a config 'acc'" in run("configs", "show", "acc", status=1).stderr
    assert "there is none yet" in run("configs", "delete", "acc", status=1).stderr
    ConfigStore(topics).put([config()])
    assert "has no version 2; there are 1" in run("configs", "show", "acc", "--config-version", "2", status=1).stderr
    run("configs", "put", status=2)
    run("configs", "show", "acc", "--config-version", "0", status=2)
