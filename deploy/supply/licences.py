"""docs/licences.md, and which licences a runtime package may have."""

from __future__ import annotations

import re
from collections.abc import Sequence

from deploy.supply.packages import ROOT, Package

DOCUMENT = ROOT / "docs" / "licences.md"

ALLOWED = {
    "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "ISC", "MIT", "MPL-2.0", "PSF-2.0", "Zlib",
    "LicenseRef-Public-Domain", "LicenseRef-Repoze",
}  # fmt: skip
"""MPL-2.0 binds changes of its own files only; the Repoze licence is a BSD one with a clause about names."""
_HEAD = """# Licences

What an installation with all runtime extras (cli, streams, sinks, analytics, ui, gateway, parquet) brings on Linux with
Python 3.11, made by `make sbom` from the metadata of the locked packages. `tests/test_supply.py` refuses any licence
that is not on the list in `deploy/supply/licences.py`.

| package | licence (SPDX) | brought by |
|---|---|---|
"""


def refused(packages: Sequence[Package]) -> list[str]:
    """Packages with a licence that is not allowed, in words."""
    return [f"{package.name}: {package.licence}" for package in packages if not set(_names(package.licence)) <= ALLOWED]


def _names(expression: str) -> list[str]:
    return [word for word in re.split(r"[\s()]+", expression) if word not in ("AND", "OR", "WITH", "")]


def document(packages: Sequence[Package]) -> str:
    """The page."""
    rows = [f"| {each.name} | {each.licence} | {', '.join(each.extras)} |\n" for each in packages]
    return _HEAD + "".join(rows)
