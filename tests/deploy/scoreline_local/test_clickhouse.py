"""The configuration of the ClickHouse server."""

from __future__ import annotations

import hashlib
import stat
import xml.etree.ElementTree as ET

from scoreline_local.clickhouse import config_xml, read_password, users_xml, write_configuration
from scoreline_local.datadir import DataDir, adopt


def test_server_listens_on_loopback_only() -> None:
    """User `default` has no password, so nobody else may reach it."""
    config = ET.fromstring(config_xml(8123))
    assert [host.text for host in config.findall("listen_host")] == ["127.0.0.1"]
    assert config.findtext("http_port") == "8123"


def test_users_file_holds_no_password() -> None:
    """Only its hash is written, and only loopback is let in."""
    text = users_xml("a<b&c")
    users = ET.fromstring(text)
    assert users.findtext("users/scoreline/password_sha256_hex") == hashlib.sha256(b"a<b&c").hexdigest()
    assert "a<b" not in text
    assert {ip.text for ip in users.iter("ip")} == {"127.0.0.1"}


def test_password_is_made_once_and_readable_by_its_owner_only(data: DataDir) -> None:
    """Clients that learned it keep working after `down` and `up`."""
    adopt(data)
    write_configuration(data, 8123)
    first = read_password(data)
    write_configuration(data, 8124)
    assert read_password(data) == first
    assert len(first) >= 24
    assert stat.S_IMODE(data.clickhouse_password.stat().st_mode) == 0o600
