"""Two servers as the shards of a cluster, made of what chdb has of one.

It lacks three things: the worker of ON CLUSTER, Keeper, and an address for replicas, without which a replicated table
takes no row. So here each statement is sent to every server, as ON CLUSTER would, and a shard has one replica that is
not replicated. All else is the real form: `remote_servers`, shards, Distributed tables, views, over real connections.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from scoreline.errors import ClickHouseUnavailable
from scoreline.settings import Settings
from scoreline_local.clickhouse import users_xml
from scoreline_local.ports import pick_free
from scoreline_sink.clickhouse import ClickHouse
from scoreline_sink.layout import Layout, names, statements
from tests.support import eventually

CLUSTER = Layout("main")
USERS = users_xml("none")
_SERVE = """
import os, sys
from pathlib import Path
from scoreline_local import clickhouse_server as server
server._SERVE = "SYSTEM START LISTEN TCP; " + server._SERVE
os._exit(server.serve(Path(sys.argv[1])))
"""


def _config(http: int, tcp: int, shards: Sequence[int], shard: int) -> str:
    replicas = "".join(
        f"<shard><internal_replication>true</internal_replication><replica><host>127.0.0.1</host><port>{port}</port>"
        "</replica></shard>"
        for port in shards
    )
    return f"""<clickhouse>
    <listen_host>127.0.0.1</listen_host><http_port>{http}</http_port><tcp_port>{tcp}</tcp_port>
    <users_config>users.xml</users_config>
    <remote_servers><main>{replicas}</main></remote_servers>
    <macros><shard>{shard}</shard><replica>only</replica></macros>
    <zookeeper><implementation>testkeeper</implementation><node><host>127.0.0.1</host><port>1</port></node></zookeeper>
</clickhouse>"""


def _answers(settings: Settings) -> bool:
    try:
        ClickHouse(settings).close()
    except ClickHouseUnavailable:
        return False
    return True


@contextmanager
def shards(folder: Path, count: int = 2, users: str = USERS) -> Iterator[list[Settings]]:
    """Servers of one cluster `main`, a shard each, without tables; settings for each of them."""
    ports = pick_free(2 * count)
    https, tcps = ports[:count], ports[count:]
    started: list[subprocess.Popen[bytes]] = []
    made: list[Settings] = []
    try:
        for shard, (http, tcp) in enumerate(zip(https, tcps, strict=True)):
            own = folder / f"shard{shard}"
            own.mkdir()
            (own / "config.xml").write_text(_config(http, tcp, tcps, shard))
            (own / "users.xml").write_text(users)
            with (own / "log").open("wb") as log:
                started.append(
                    subprocess.Popen([sys.executable, "-c", _SERVE, str(own)], cwd=own, stdout=log, stderr=log)
                )
            made.append(Settings(clickhouse_host="127.0.0.1", clickhouse_port=http, clickhouse_user="default"))
        for settings in made:
            eventually(lambda s=settings: _answers(s), "the shard answers")
        yield made
    finally:
        for process in started:
            process.kill()
            process.wait(30)


def here(statement: str) -> str:
    """A statement of the cluster's form for one server after the other: neither ON CLUSTER nor replicated."""
    plain = statement.replace(CLUSTER.variables["ON_CLUSTER"], "").replace("= Replicated", "= ")
    return plain.replace(" replicated_deduplication_window", " non_replicated_deduplication_window").rstrip(";")


def make_tables(servers: Sequence[Settings], database: str) -> None:
    """The tables and views of the cluster's form, on every server."""
    for settings in servers:
        connection = ClickHouse(settings)
        connection.query(f"CREATE DATABASE {database}")
        connection._client.database = database
        for version in names():
            for statement in statements(version, CLUSTER):
                connection._client.command(here(statement))
        connection.close()
