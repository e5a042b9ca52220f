"""`scoreline keys` on a real broker."""

from __future__ import annotations

import json

from scoreline.settings import Settings
from scoreline.topics import declare_topics
from tests.producers.scoreline.commands.conftest import Command
from tests.support import read_topic


def test_key_is_created_listed_and_revoked(topics: Settings, run: Command) -> None:
    """The secret is printed once and nowhere kept; a revoked key is gone."""
    made = json.loads(run("keys", "create", "--project", "checkout", "--scope", "write", "--json").stdout)
    assert list(made) == ["project", "public_key", "secret_key"]
    assert made["project"] == "checkout"
    shown = run("keys", "create", "--scope", "read", "--scope", "write", "--rate", "2.5").stdout
    assert "secret_key  sk-scl-" in shown
    assert "not shown again" in shown

    listed = json.loads(run("keys", "list", "--json").stdout)
    assert [(key["project"], key["scopes"], key["rate"]) for key in listed] == [
        ("checkout", ["write"], None),
        ("default", ["read", "write"], 2.5),
    ]
    assert "secret_hash" not in listed[0]
    table = run("keys", "list", "--project", "default").stdout
    assert "2.5/s" in table
    assert made["public_key"] not in table
    for message in read_topic(topics, declare_topics(topics).keys.name):
        assert made["secret_key"].encode() not in (message.value() or b"")

    assert json.loads(run("keys", "revoke", made["public_key"], "--json").stdout)["project"] == "checkout"
    assert made["public_key"] not in run("keys", "list").stdout
    assert "no key" in run("keys", "revoke", made["public_key"], status=1).stderr


def test_wrong_key_is_wrong_usage(topics: Settings, run: Command) -> None:
    """One line, and nothing is stored."""
    for arguments in (("--project", "A B"), ("--rate", "-1"), ("--scope", "all")):
        run("keys", "create", *arguments, status=2)
    assert json.loads(run("keys", "list", "--json").stdout) == []
