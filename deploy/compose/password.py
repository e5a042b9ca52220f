"""Makes the password of ClickHouse's user `scoreline`, once: a file for scoreline, its hash in a file for ClickHouse.

`python password.py FOLDER`; what is there already is kept.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import sys
from pathlib import Path

USERS = """<clickhouse>
    <users>
        <default remove="remove"/>
        <scoreline>
            <password_sha256_hex>{digest}</password_sha256_hex>
            <networks><ip>::/0</ip></networks>
            <profile>default</profile>
            <quota>default</quota>
            <access_management>1</access_management>
        </scoreline>
    </users>
</clickhouse>
"""


def make(folder: Path) -> None:
    """Write both files; each appears whole, the password first."""
    os.umask(0o077)
    password = folder / "SCORELINE_CLICKHOUSE_PASSWORD"
    if not password.exists():
        _write(password, secrets.token_urlsafe(24), 0o400)
    digest = hashlib.sha256(password.read_bytes()).hexdigest()
    _write(folder / "scoreline.xml", USERS.format(digest=digest), 0o444)
    folder.chmod(0o755)


def _write(path: Path, text: str, mode: int) -> None:
    aside = path.with_suffix(".part")
    aside.unlink(missing_ok=True)
    aside.write_text(text)
    aside.chmod(mode)
    aside.rename(path)


if __name__ == "__main__":
    make(Path(sys.argv[1]))
