"""Settings: sources, their order, and errors that name the setting."""

from __future__ import annotations

from pathlib import Path

import pytest

from scoreline.errors import SettingsError
from scoreline.settings import load_settings
from scoreline.topics import declare_topics


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in list(os.environ):
        if name.startswith("SCORELINE_"):
            monkeypatch.delenv(name)


def test_environment_wins_over_secret_files_and_toml(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Environment, then secret files, then the TOML file, then the default."""
    toml = tmp_path / "scoreline.toml"
    toml.write_text('kafka = "toml:1"\nproject = "toml"\nservice = "toml"\n[kafka_options]\n"linger.ms" = "7"\n')
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "scoreline_project").write_text("secret")
    (secrets / "scoreline_kafka").write_text("secret:1")
    monkeypatch.setenv("SCORELINE_CONFIG", str(toml))
    monkeypatch.setenv("SCORELINE_SECRETS_DIR", str(secrets))
    monkeypatch.setenv("SCORELINE_KAFKA", "env:1")
    settings = load_settings()
    assert (settings.kafka, settings.project, settings.service) == ("env:1", "secret", "toml")
    assert settings.kafka_options == {"linger.ms": "7"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SCORELINE_PROJECT", "Not A Project"),
        ("SCORELINE_PARTITIONS", "none"),
        ("SCORELINE_KAFKA_OPTIONS", "[1]"),
        ("SCORELINE_CLICKHOUSE_PORT", "70000"),
        ("SCORELINE_TRACE_URL", "https://traces.example/{trace}"),
        ("SCORELINE_TRACE_URL", "https://traces.example/{trace_id!r}"),
        ("SCORELINE_TRACE_URL", "https://traces.example/{trace_id"),
        ("SCORELINE_TRACE_URL", "https://traces.example/all"),
        ("SCORELINE_TRACE_URL", "javascript:alert('{trace_id}')"),
    ],
)
def test_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """The message says which setting is wrong."""
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=name):
        load_settings()


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"KAFKA_USER": "worker"}, "SCORELINE_KAFKA_PASSWORD"),
        ({"KAFKA_PASSWORD": "hush"}, "SCORELINE_KAFKA_USER"),
        ({"KAFKA_CERTIFICATE": __file__}, "SCORELINE_KAFKA_KEY"),
        ({"KAFKA_CA": "nowhere.pem"}, "SCORELINE_KAFKA_CA"),
        ({"CLICKHOUSE_CA": __file__}, "SCORELINE_CLICKHOUSE_SECURE"),
    ],
)
def test_half_of_a_proof_is_refused(monkeypatch: pytest.MonkeyPatch, given: dict[str, str], named: str) -> None:
    """What is missing is named; a connection in the open instead would tell the password to whoever listens."""
    for name, value in given.items():
        monkeypatch.setenv(f"SCORELINE_{name}", value)
    with pytest.raises(SettingsError, match=named) as raised:
        load_settings()
    assert "hush" not in str(raised.value)


def test_settings_file_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistyped path must not mean defaults."""
    monkeypatch.setenv("SCORELINE_CONFIG", "nowhere.toml")
    with pytest.raises(SettingsError, match=r"SCORELINE_CONFIG=nowhere\.toml"):
        load_settings()


def test_secret_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the password nor a Kafka option is in the repr of the settings."""
    monkeypatch.setenv("SCORELINE_CLICKHOUSE_PASSWORD", "hush-1")
    monkeypatch.setenv("SCORELINE_KAFKA_OPTIONS", '{"sasl.password": "hush-2"}')
    assert "hush" not in repr(load_settings())


def test_prefix_stands_before_every_topic() -> None:
    """Two pipelines on one cluster share nothing."""
    topics = declare_topics(load_settings(topic_prefix="team.", replication_factor=3))
    assert [topic.name for topic in topics.all()] == [
        "team.scores.raw",
        "team.scores.enriched",
        "team.scores.rejected",
        "team.scores.configs",
        "team.scores.lookups",
        "team.scores.keys",
        "team.scores.dedup-changelog",
    ]
    assert all(topic.config["min.insync.replicas"] == "2" for topic in topics.all())


def test_state_horizon_can_be_forever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the changelog keeps everything."""
    monkeypatch.setenv("SCORELINE_STATE_HORIZON_DAYS", "forever")
    assert declare_topics(load_settings()).changelog.config["retention.ms"] == "-1"
