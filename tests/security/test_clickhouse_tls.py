"""ClickHouse over TLS: every client of ours, and what each says of a certificate that it does not trust."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Event

import pytest

from scoreline.errors import SettingsError
from scoreline.settings import Settings, load_settings
from scoreline_analytics.clickhouse import clickhouse_probe
from scoreline_local.certificates import Certificate, make_authority, make_certificate
from scoreline_local.ports import HOST
from scoreline_sink.clickhouse import ClickHouse
from scoreline_sink.schema import migrate
from tests.security.tls_front import tls_front

MISTRUSTED = "SCORELINE_CLICKHOUSE_CA"


@pytest.fixture(scope="module")
def authority() -> Certificate:
    return make_authority("tests")


@pytest.fixture
def over_tls(settings: Settings, authority: Certificate, tmp_path: Path) -> Iterator[Settings]:
    """The settings of a server with a certificate for its address."""
    with tls_front(settings.clickhouse_port, make_certificate(authority, "clickhouse", [HOST]), tmp_path) as port:
        yield _secure(settings, port, authority, tmp_path)


def _secure(settings: Settings, port: int, authority: Certificate, folder: Path) -> Settings:
    file = folder / "ca.pem"
    file.write_bytes(authority.certificate)
    changed = {"clickhouse_port": port, "clickhouse_secure": True, "clickhouse_ca": file}
    return load_settings(**(settings.model_dump(exclude_defaults=True) | changed))


def test_every_client_speaks_tls(over_tls: Settings) -> None:
    """The migrations and their lock, the sink, the questions."""
    migrate(over_tls, Event())
    with closing(ClickHouse(over_tls)) as sink:
        assert sink.query(f"SELECT count() FROM {over_tls.clickhouse_database}.scores") == [(0,)]
    clickhouse_probe(over_tls)()


@pytest.mark.parametrize(
    ("certificate", "trusted"),
    [
        pytest.param(make_certificate(made := make_authority("tests"), "clickhouse", ["elsewhere"]), made, id="host"),
        pytest.param(make_certificate(made, "clickhouse", [HOST]), make_authority("another"), id="authority"),
    ],
)
def test_server_that_cannot_be_trusted_is_refused(
    settings: Settings, certificate: Certificate, trusted: Certificate, tmp_path: Path
) -> None:
    """By all of them, at once: to wait would not help."""
    with tls_front(settings.clickhouse_port, certificate, tmp_path) as port:
        wrong = _secure(settings, port, trusted, tmp_path)
        with pytest.raises(SettingsError, match=MISTRUSTED):
            migrate(wrong, Event())
        with pytest.raises(SettingsError, match=MISTRUSTED):
            ClickHouse(wrong)
        with pytest.raises(SettingsError, match=MISTRUSTED):
            clickhouse_probe(wrong)()


def test_port_without_tls_is_named(settings: Settings, authority: Certificate, tmp_path: Path) -> None:
    """8123 instead of 8443."""
    wrong = _secure(settings, settings.clickhouse_port, authority, tmp_path)
    with pytest.raises(SettingsError, match="SCORELINE_CLICKHOUSE_PORT or SCORELINE_CLICKHOUSE_SECURE"):
        ClickHouse(wrong)
    with pytest.raises(SettingsError, match="SCORELINE_CLICKHOUSE_SECURE"):
        clickhouse_probe(wrong)()
