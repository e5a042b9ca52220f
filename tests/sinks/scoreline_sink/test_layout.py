"""The migrations' SQL for one server and for a cluster, by ClickHouse's own parser."""

from __future__ import annotations

import re

import pytest

from scoreline.errors import SettingsError
from scoreline_sink.clickhouse import ClickHouse
from scoreline_sink.layout import SHARDED, Layout, names, script, statements
from tests.conftest import Stack

CLUSTER = Layout("main")


def _all(layout: Layout) -> list[str]:
    return [statement for version in names() for statement in statements(version, layout)]


def test_one_server_needs_no_keeper() -> None:
    """Its tables name no cluster, and nothing of the template is left in them."""
    text = "\n".join(line for line in script([*names()], "scoreline", Layout()).splitlines() if line[:2] != "--")
    assert not re.search(r"Replicated|ON CLUSTER|Distributed|_shard|\$\{", text)
    assert text.count("non_replicated_deduplication_window = 10000") == 2


def test_the_server_understands_the_form_for_a_cluster(stack: Stack) -> None:
    """Rows lie in a replicated table of each shard, behind a Distributed one of the name that everybody uses."""
    connection = ClickHouse(stack.settings)
    parsed = [
        connection.query("SELECT formatQuery({sql:String})", {"sql": statement.rstrip(";")})[0][0]
        for statement in _all(CLUSTER)
    ]
    connection.close()
    assert all("ON CLUSTER main" in statement for statement in parsed)
    for table in SHARDED:
        [local] = [statement for statement in parsed if f"EXISTS {table}_shard ON" in statement]
        [spread] = [statement for statement in parsed if f"EXISTS {table} ON" in statement]
        assert "ENGINE = Replicated" in local
        assert f"ENGINE = Distributed('main', currentDatabase(), {table}_shard, cityHash64(" in spread
    windows = [statement for statement in parsed if "SETTINGS replicated_deduplication_window = 10000" in statement]
    assert len(windows) == 2


def test_both_forms_have_the_same_columns_and_views() -> None:
    """A question that is asked of one server can be asked of a cluster."""
    one, many = "\n".join(_all(Layout())), "\n".join(_all(CLUSTER))
    comments = re.compile(r"^    \w+ .* COMMENT .*$", re.MULTILINE)
    views = re.compile(r"CREATE VIEW IF NOT EXISTS (\w+)")
    assert comments.findall(one) == comments.findall(many)
    assert views.findall(one) == views.findall(many) != []


def test_a_name_that_is_none_of_a_cluster_is_refused() -> None:
    """It stands in a statement."""
    with pytest.raises(SettingsError, match="letters, digits"):
        Layout("main'; DROP")
