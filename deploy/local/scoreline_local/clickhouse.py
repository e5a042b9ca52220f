"""A ClickHouse server on loopback: its folders, its configuration, its command."""

from __future__ import annotations

import hashlib
import secrets
import sys
from pathlib import Path
from xml.sax.saxutils import escape

from scoreline_local.datadir import DataDir, write_private
from scoreline_local.ports import HOST

USER = "scoreline"
DATABASE = "scoreline"


def clickhouse_command(folder: Path) -> tuple[str, ...]:
    """The command that serves the configuration and tables in `folder`."""
    return (sys.executable, "-m", "scoreline_local.clickhouse_server", str(folder))


def write_configuration(data: DataDir, http_port: int) -> None:
    """Write `config.xml` and `users.xml`; the password of user `scoreline` is made the first time and then kept."""
    if not data.clickhouse_password.is_file():
        write_private(data.clickhouse_password, secrets.token_urlsafe(24))
    write_private(data.clickhouse / "config.xml", config_xml(http_port))
    write_private(data.clickhouse / "users.xml", users_xml(read_password(data)))


def read_password(data: DataDir) -> str:
    """The password of user `scoreline`."""
    return data.clickhouse_password.read_text("utf-8").strip()


def config_xml(http_port: int) -> str:
    """Loopback only; caches and memory in bounds that leave the machine to others."""
    return f"""<clickhouse>
    <listen_host>{HOST}</listen_host>
    <http_port>{http_port}</http_port>
    <users_config>users.xml</users_config>
    <mark_cache_size>{64 * 1024 * 1024}</mark_cache_size>
    <index_mark_cache_size>{64 * 1024 * 1024}</index_mark_cache_size>
    <max_server_memory_usage_to_ram_ratio>0.5</max_server_memory_usage_to_ram_ratio>
</clickhouse>
"""


def users_xml(password: str) -> str:
    """User `scoreline` owns the databases whose names start with it; `default` is the server's own connection.

    chdb needs `default` without a password, so it is bound to loopback as everything here is.
    """
    digest = hashlib.sha256(password.encode("utf-8")).hexdigest()
    loopback = "<networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota>"
    grants = ("ALL ON scoreline*.*", "TABLE ENGINE ON *", "SELECT ON system.*", "CREATE TEMPORARY TABLE ON *.*")
    queries = "".join(f"<query>GRANT {escape(grant)}</query>" for grant in grants)
    return f"""<clickhouse>
    <profiles><default/></profiles>
    <quotas><default/></quotas>
    <users>
        <default><password/>{loopback}</default>
        <{USER}>
            <password_sha256_hex>{digest}</password_sha256_hex>{loopback}
            <grants>{queries}</grants>
        </{USER}>
    </users>
</clickhouse>
"""
