"""The configuration of a broker."""

from __future__ import annotations

from pathlib import Path

import pytest

from scoreline.errors import StackError
from scoreline_local.kafka import Broker, format_log, new_cluster_id, server_properties


def _cluster(count: int, folder: Path = Path("/data")) -> tuple[Broker, ...]:
    return tuple(Broker(n, 9091 + n, 9190 + n, folder / str(n)) for n in range(1, count + 1))


def _settings(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines())


def test_one_broker_keeps_one_copy_of_everything() -> None:
    """With Kafka's defaults of three, a single broker could not even make its own topics."""
    cluster = _cluster(1)
    settings = _settings(server_properties(cluster[0], cluster, cluster[0].log))
    copies = {name: value for name, value in settings.items() if "replication.factor" in name or "isr" in name}
    assert set(copies.values()) == {"1"}
    assert settings["controller.quorum.voters"] == "1@127.0.0.1:9191"
    assert settings["listeners"] == "PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9191"
    assert settings["auto.create.topics.enable"] == "false"


def test_three_brokers_keep_three_copies_of_which_two_must_be_in_sync() -> None:
    """So that one broker may die without an acknowledged record being lost or a write refused."""
    cluster = _cluster(3)
    settings = _settings(server_properties(cluster[1], cluster, cluster[1].log))
    for name in ("default", "offsets.topic", "transaction.state.log"):
        assert settings[f"{name}.replication.factor"] == "3"
    assert settings["transaction.state.log.min.isr"] == settings["min.insync.replicas"] == "2"
    assert settings["controller.quorum.voters"] == "1@127.0.0.1:9191,2@127.0.0.1:9192,3@127.0.0.1:9193"
    assert settings["node.id"] == "2"


def test_path_is_written_as_a_properties_file_wants_it() -> None:
    """Java reads properties as Latin-1 and takes a backslash for an escape."""
    broker = _cluster(1, Path("/dätä 🎯/a\\b"))[0]
    assert _settings(server_properties(broker, (broker,), broker.log))["log.dirs"] == (
        "/d\\u00e4t\\u00e4 \\ud83c\\udfaf/a\\\\b/1/log"
    )


def test_path_that_kafka_would_split_is_refused(tmp_path: Path) -> None:
    """Kafka would make two log folders of `a,b`."""
    broker = _cluster(1, tmp_path / "a,b")[0]
    with pytest.raises(StackError, match="comma"):
        format_log(Path("java"), tmp_path, "id", broker, (broker,))


def test_cluster_id_is_never_taken_for_an_option() -> None:
    """One in 64 random ids starts with a dash."""
    made = {new_cluster_id() for _ in range(500)}
    assert len(made) == 500
    assert all(len(each) == 22 and not each.startswith("-") for each in made)
