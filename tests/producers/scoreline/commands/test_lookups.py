"""`scoreline lookups` and `LookupStore` on a real broker."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scoreline.errors import MalformedRecord, QueryError
from scoreline.lookups import Lookup, LookupField, plan_lookups, writes_of_lookups
from scoreline.settings import Settings
from scoreline.stores import LookupStore
from scoreline.topics import declare_topics
from tests.producers.scoreline.commands.conftest import Command
from tests.support import read_topic


def lookup(value: str, field: LookupField = "service", project: str = "default", **attributes: str) -> Lookup:
    return Lookup(project=project, field=field, value=value, attributes=attributes or {"team": "assist"})


def test_lookups_are_planned_against_what_is_stored() -> None:
    """Created, updated with what changed, unchanged; pruned only in the projects that are asked for."""
    held = [lookup("chat"), lookup("search"), lookup("old"), lookup("theirs", project="other")]
    stored = {known.key: known for known in held}
    wanted = [lookup("chat"), lookup("search", team="find"), lookup("new")]
    changes = plan_lookups(stored, wanted, {"default"})
    assert [(change.entry.value, change.action) for change in changes] == [
        ("chat", "unchanged"),
        ("search", "updated"),
        ("new", "created"),
        ("old", "deleted"),
    ]
    assert changes[1].changed == {"attributes": ({"team": "assist"}, {"team": "find"})}
    writes = writes_of_lookups(changes)
    assert writes.keys() == {b"default/service/search", b"default/service/new", b"default/service/old"}
    assert writes[b"default/service/old"] is None
    with pytest.raises(MalformedRecord, match="default/service/chat is given 2 times"):
        plan_lookups(stored, [lookup("chat"), lookup("chat")])


def test_lookups_are_put_read_and_deleted(topics: Settings) -> None:
    """A deletion is a tombstone; of what is not there it is an error that lists what is."""
    store = LookupStore(topics)
    store.put([lookup("chat"), lookup("m-1", "evaluator_model", vendor="acme"), lookup("theirs", project="other")])
    assert store.all("default") == [lookup("m-1", "evaluator_model", vendor="acme"), lookup("chat")]
    assert store.delete("service", "chat").action == "deleted"
    assert read_topic(topics, declare_topics(topics).lookups.name)[-1].value() is None
    with pytest.raises(
        QueryError, match="no lookup default/service/chat; there are default/evaluator_model/m-1, other"
    ):
        store.delete("service", "chat")


def test_lookups_by_command(run: Command, topics: Settings, tmp_path: Path) -> None:
    """Put from YAML, list, export, import unchanged, prune, delete."""
    file = tmp_path / "lookups.yaml"
    file.write_text(
        "field: service\nvalue: chat\nattributes: {team: assist}\n---\n"
        'field: evaluator_model\nvalue: m-1\nattributes: {vendor: acme, version: "4.1"}\n'
    )
    planned = run("lookups", "put", file, "--dry-run").stdout
    assert planned.endswith("2 created (dry run: nothing was stored)\n")
    assert run("lookups", "list", "--json").stdout == "[]\n"
    assert run("lookups", "import", file).stdout.endswith("2 created\n")
    exported = run("lookups", "export").stdout
    assert exported.splitlines()[1:5] == ["project: default", "field: evaluator_model", "value: m-1", "attributes:"]
    file.write_text(exported.replace("acme", "apex"))
    updated = "attributes: {vendor: acme, version: 4.1} → {vendor: apex, version: 4.1}"
    assert updated in run("lookups", "import", file).stdout
    file.write_text("---".join(exported.split("---")[:2]))
    pruned = json.loads(run("lookups", "import", file, "--prune", "--json").stdout)
    assert [(change["value"], change["action"]) for change in pruned] == [("m-1", "updated"), ("chat", "deleted")]
    assert "vendor=acme, version=4.1" in run("lookups", "list").stdout
    assert run("lookups", "delete", "evaluator_model", "m-1").stdout.endswith("1 deleted\n")
    run("lookups", "delete", "comment", "x", status=2)


def test_number_as_attribute_is_refused(run: Command, topics: Settings) -> None:
    """It must be in quotes: 4.10 and 4.1 are the same number, and not the same version."""
    text = b"field: service\nvalue: chat\nattributes: {version: 4.10}\n"
    ended = run("lookups", "put", "-", stdin=text, status=1)
    assert "stdin (line 1): attributes.version: Input should be a valid string" in ended.stderr
